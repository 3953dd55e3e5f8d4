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
    PAYLOADDIGEST = 5092;
    PAYLOADDIGESTALGO = 5093;
    PAYLOADSIZE = 5112;
    RPMFORMAT = 5114;
}

/// The type that rpm gives a tag of the main header, of those above; it refuses a header with
/// another. `None` for tags that are not known here.
pub(crate) fn kind(number: u32) -> Option<u32> {
    const INT16: u32 = 3;
    const INT32: u32 = 4;
    const INT64: u32 = 5;
    const TEXTS: u32 = 8;
    Some(match number {
        1030 => INT16,
        1003 | 1006 | 1009 | 1037 | 1048 | 1053 | 1080 | 1106 | 1112 | 1114 | 1116 => INT32,
        1158 | 1161 | 5048 | 5051 | 5054 | 5057 | 5093 | 5114 => INT32,
        5009 | 5112 => INT64,
        1000..=1002 | 1004 | 1005 | 1007 | 1011 | 1014..=1016 | 1020 | 1022 | 1027 | 1035 | 1044 => TEXTS,
        1047 | 1049 | 1050 | 1054 | 1055 | 1081 | 1082 | 1090 | 1113 | 1115 | 1117 | 1118 | 1124 => TEXTS,
        1156 | 1157 | 1159 | 1160 | 5046 | 5047 | 5049 | 5050 | 5052 | 5053 | 5055 | 5056 | 5092 => TEXTS,
        _ => return None,
    })
}

/// Tags of the signature header, whose numbers from 1000 on mean other things than in the main one.
pub mod signature {
    use super::Tag;

    tags! {
        SHA1 = 269;
        LONGSIZE = 270;
        LONGARCHIVESIZE = 271;
        SHA256 = 273;
        SIZE = 1000;
        PAYLOADSIZE = 1007;
    }
}
