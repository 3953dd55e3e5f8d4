//! The header tags that metadata is made from, by rpm's names and numbers.

use std::fmt;

/// A tag: what an index entry of a header is about. Prints as rpm's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag {
    number: u32,
    name: &'static str,
}

impl Tag {
    /// The number in the index entry.
    pub fn number(self) -> u32 {
        self.number
    }

    /// rpm's name, without `RPMTAG_`.
    pub fn name(self) -> &'static str {
        self.name
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! tags {
    ($($name:ident = $number:literal;)*) => {
        $(
            #[doc = concat!("`RPMTAG_", stringify!($name), "`, ", stringify!($number), ".")]
            pub const $name: Tag = Tag { number: $number, name: stringify!($name) };
        )*
    };
}

tags! {
    HEADERIMAGE = 61;
    HEADERSIGNATURES = 62;
    HEADERIMMUTABLE = 63;
    SIGSIZE = 257;
    SIGPGP = 259;
    SIGMD5 = 261;
    SIGGPG = 262;
    NAME = 1000;
    VERSION = 1001;
    RELEASE = 1002;
    EPOCH = 1003;
    SUMMARY = 1004;
    DESCRIPTION = 1005;
    BUILDTIME = 1006;
    BUILDHOST = 1007;
    SIZE = 1009;
    VENDOR = 1011;
    LICENSE = 1014;
    PACKAGER = 1015;
    GROUP = 1016;
    URL = 1020;
    ARCH = 1022;
    OLDFILENAMES = 1027;
    FILEMODES = 1030;
    FILEDIGESTS = 1035;
    FILEFLAGS = 1037;
    SOURCERPM = 1044;
    ARCHIVESIZE = 1046;
    PROVIDENAME = 1047;
    REQUIREFLAGS = 1048;
    REQUIRENAME = 1049;
    REQUIREVERSION = 1050;
    CONFLICTFLAGS = 1053;
    CONFLICTNAME = 1054;
    CONFLICTVERSION = 1055;
    CHANGELOGTIME = 1080;
    CHANGELOGNAME = 1081;
    CHANGELOGTEXT = 1082;
    OBSOLETENAME = 1090;
    SOURCEPACKAGE = 1106;
    PROVIDEFLAGS = 1112;
    PROVIDEVERSION = 1113;
    OBSOLETEFLAGS = 1114;
    OBSOLETEVERSION = 1115;
    DIRINDEXES = 1116;
    BASENAMES = 1117;
    DIRNAMES = 1118;
    PAYLOADFORMAT = 1124;
    OLDSUGGESTSNAME = 1156;
    OLDSUGGESTSVERSION = 1157;
    OLDSUGGESTSFLAGS = 1158;
    OLDENHANCESNAME = 1159;
    OLDENHANCESVERSION = 1160;
    OLDENHANCESFLAGS = 1161;
    LONGSIZE = 5009;
    RECOMMENDNAME = 5046;
    RECOMMENDVERSION = 5047;
    RECOMMENDFLAGS = 5048;
    SUGGESTNAME = 5049;
    SUGGESTVERSION = 5050;
    SUGGESTFLAGS = 5051;
    SUPPLEMENTNAME = 5052;
    SUPPLEMENTVERSION = 5053;
    SUPPLEMENTFLAGS = 5054;
    ENHANCENAME = 5055;
    ENHANCEVERSION = 5056;
    ENHANCEFLAGS = 5057;
    FILESIGNATURES = 5090;
    FILESIGNATURELENGTH = 5091;
    PAYLOADDIGEST = 5092;
    PAYLOADDIGESTALGO = 5093;
    MODULARITYLABEL = 5096;
    PAYLOADDIGESTALT = 5097;
    PAYLOADSIZE = 5112;
    RPMFORMAT = 5114;
    PAYLOADSHA512 = 5121;
    PAYLOADSHA3_256 = 5123;
}

/// The type that rpm (4.18's table) gives a tag of the main header: a header with another is none
/// for it. `None` for tags that it does not know, and allows.
#[expect(clippy::match_same_arms, reason = "a table in lines that fit a page")]
pub(crate) fn kind(number: u32) -> Option<u32> {
    const CHAR: u32 = 1;
    const INT16: u32 = 3;
    const INT32: u32 = 4;
    const INT64: u32 = 5;
    const BYTES: u32 = 7;
    /// Or any other type of strings.
    const TEXTS: u32 = 8;
    Some(match number {
        1029 => CHAR,
        1030 | 1033 => INT16,
        257 | 277 | 1003 | 1006 | 1008 | 1009 | 1028 | 1034 | 1037 | 1045 | 1046 | 1048 | 1051..=1053 => INT32,
        1068 | 1069 | 1080 | 1095 | 1096 | 1106 | 1112 | 1114 | 1116 | 1119 | 1127..=1129 | 1134 => INT32,
        1140 | 1141 | 1143..=1145 | 1158 | 1161 | 1195 | 5011 | 5017..=5027 | 5032 | 5033 | 5037 => INT32,
        5045 | 5048 | 5051 | 5054 | 5057 | 5068 | 5070 | 5072 | 5078 | 5080 | 5082 | 5084 | 5085 => INT32,
        5091 | 5093 | 5114 => INT32,
        270 | 271 | 5008 | 5009 | 5112 => INT64,
        259 | 261 | 262 | 267 | 268 | 1012 | 1013 | 1043 | 1146 => BYTES,
        100 | 266 | 269 | 273 | 276 | 1000..=1002 | 1004 | 1005 | 1007 | 1010 | 1011 | 1014..=1016 => TEXTS,
        1018..=1027 | 1035 | 1036 | 1039 | 1040 | 1044 | 1047 | 1049 | 1050 | 1054 | 1055 | 1059..=1062 => TEXTS,
        1064..=1067 | 1079 | 1081 | 1082 | 1085..=1092 | 1094 | 1097..=1099 | 1113 | 1115 | 1117 | 1118 => TEXTS,
        1120..=1126 | 1132 | 1133 | 1135 | 1142 | 1147..=1157 | 1159 | 1160 | 1196 | 5000..=5002 => TEXTS,
        5005..=5007 | 5010 | 5012..=5016 | 5030 | 5031 | 5034..=5036 | 5040..=5044 | 5046 | 5047 => TEXTS,
        5049 | 5050 | 5052 | 5053 | 5055 | 5056 | 5058..=5062 | 5066 | 5067 | 5069 | 5071 | 5076 | 5077 => TEXTS,
        5079 | 5081 | 5086..=5090 | 5092 | 5096..=5101 => TEXTS,
        _ => return None,
    })
}

/// The type that rpm gives a tag of the signature header, and how many values, where it says; those of
/// SHA3_256 and OPENPGP since version 6. `None` for tags that it does not read there.
pub(crate) fn signature_kind(number: u32) -> Option<(u32, Option<u32>)> {
    const INT32: u32 = 4;
    const INT64: u32 = 5;
    const TEXT: u32 = 6;
    const BYTES: u32 = 7;
    const TEXTS: u32 = 8;
    const MD5_BYTES: u32 = 16;
    Some(match number {
        275 | 277 | 1000 | 1007 => (INT32, Some(1)),
        270 | 271 => (INT64, Some(1)),
        269 | 273 | 279 => (TEXT, Some(1)),
        274 | 276 | 278 => (TEXTS, None),
        1004 => (BYTES, Some(MD5_BYTES)),
        267 | 268 | 1002 | 1005 => (BYTES, None),
        _ => return None,
    })
}

/// Tags of the signature header, whose numbers from 1000 on mean other things than in the main one.
pub mod signature {
    use super::Tag;

    tags! {
        DSA = 267;
        RSA = 268;
        SHA1 = 269;
        LONGSIZE = 270;
        LONGARCHIVESIZE = 271;
        SHA256 = 273;
        FILESIGNATURES = 274;
        FILESIGNATURELENGTH = 275;
        VERITYSIGNATURES = 276;
        VERITYSIGNATUREALGO = 277;
        OPENPGP = 278;
        SHA3_256 = 279;
        SIZE = 1000;
        PGP = 1002;
        MD5 = 1004;
        GPG = 1005;
        PGP5 = 1006;
        PAYLOADSIZE = 1007;
        RESERVEDSPACE = 1008;
    }
}
