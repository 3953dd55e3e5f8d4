//! What is said with every object that is written to S3: encryption, access, storage classes and tags.

use super::complaint::{Complaint, Parsed};
use super::place::{self, AwsName, KeyPlace};

/// S3 takes no more tags on an object.
const MAX_TAGS: usize = 10;
/// S3's limits for a tag's key and its value, in characters.
const MAX_TAG_KEY: usize = 128;
const MAX_TAG_VALUE: usize = 256;
/// What stands for all classes.
const ALL: &str = "all";

/// Storage classes that give an object back at once.
const STORAGE_CLASSES: [&str; 6] =
    ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "REDUCED_REDUNDANCY"];
/// Those that do not: an object has to be restored first.
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// What objects are for. What lies in the inbox has no class: it is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectClass {
    /// Published packages.
    Packages,
    /// What clients read beside them.
    Metadata,
    /// Rejected files and why.
    Quarantine,
    /// What yrm keeps for itself, below `.yrm/`.
    State,
}

impl ObjectClass {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Packages, Self::Metadata, Self::Quarantine, Self::State];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Packages => "packages",
            Self::Metadata => "metadata",
            Self::Quarantine => "quarantine",
            Self::State => "state",
        }
    }
}

/// What is said with every object that is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// How the store encrypts it; unset, as the bucket does by default.
    pub encryption: Option<Encryption>,
    /// Who may do what with it; unset, as the bucket says.
    pub acl: Option<Acl>,
    /// How it is stored, by its class.
    pub storage_classes: Vec<(ObjectClass, &'static str)>,
    /// Its tags, by its class.
    pub tags: Vec<(ObjectClass, Tag)>,
}

impl Written {
    /// How objects of this class are stored.
    pub fn storage_class(&self, class: ObjectClass) -> Option<&'static str> {
        self.storage_classes.iter().find(|(of, _)| *of == class).map(|(_, name)| *name)
    }

    /// The tags of objects of this class.
    pub fn tags(&self, class: ObjectClass) -> impl Iterator<Item = &Tag> {
        self.tags.iter().filter(move |(of, _)| *of == class).map(|(_, tag)| tag)
    }
}

/// How the store encrypts an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With keys of S3's own.
    Aes256,
    /// With a key in KMS.
    Kms {
        /// Twice, in two layers.
        is_double: bool,
        /// The key; unset, the account's own for S3.
        key: Option<AwsName>,
        /// Whether one key of the bucket's stands between, which saves calls of KMS; unset, as the bucket does.
        bucket_key: Option<bool>,
    },
}

/// Access that is given with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acl {
    /// The bucket's owner may do everything, whoever wrote it.
    BucketOwnerFullControl,
}

/// A tag of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value; may be empty.
    pub value: String,
}

/// How `sse` is written, before its key is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sse {
    Aes256,
    Kms,
    KmsTwice,
}

/// `AES256`, `aws:kms` or `aws:kms:dsse`.
pub(super) fn sse(text: &str) -> Parsed<Sse> {
    match text {
        "AES256" => Ok(Sse::Aes256),
        "aws:kms" => Ok(Sse::Kms),
        "aws:kms:dsse" => Ok(Sse::KmsTwice),
        _ => Err(Complaint::new(format!("{text:?} is no encryption of S3"))
            .hint("write AES256, aws:kms or aws:kms:dsse; unset, the bucket's default holds")),
    }
}

/// A key in KMS: its id, its ARN, or `alias/NAME`.
pub(super) fn kms_key(text: &str) -> Parsed<AwsName> {
    match place::key(&format!("awskms:{text}")) {
        Ok(KeyPlace::Kms(name)) => Ok(name),
        Ok(KeyPlace::File(_)) | Err(_) => {
            Err(Complaint::new(format!("{text:?} is no key in KMS")).hint("write the key's id, its ARN, or alias/NAME"))
        }
    }
}

/// The three settings of encryption as one, or why they do not go together.
pub(super) fn encryption(
    sse: Option<Sse>,
    key: Option<AwsName>,
    bucket_key: Option<bool>,
) -> Result<Option<Encryption>, (&'static str, Complaint)> {
    let by_kms = |setting, hint| (setting, Complaint::new("this is for sse = \"aws:kms\" only").hint(hint));
    match sse {
        Some(Sse::Kms | Sse::KmsTwice) => {}
        None | Some(Sse::Aes256) if key.is_some() => {
            return Err(by_kms("sse-kms-key", "set sse = \"aws:kms\" too, or leave the key out"));
        }
        None | Some(Sse::Aes256) if bucket_key.is_some() => {
            return Err(by_kms("sse-bucket-key", "set sse = \"aws:kms\" too, or leave it out"));
        }
        None => return Ok(None),
        Some(Sse::Aes256) => return Ok(Some(Encryption::Aes256)),
    }
    let is_double = sse == Some(Sse::KmsTwice);
    if is_double && bucket_key.is_some() {
        return Err(by_kms("sse-bucket-key", "S3 has no bucket keys for aws:kms:dsse: leave it out"));
    }
    Ok(Some(Encryption::Kms { is_double, key, bucket_key }))
}

/// `bucket-owner-full-control`.
pub(super) fn acl(text: &str) -> Parsed<Acl> {
    match text {
        "bucket-owner-full-control" => Ok(Acl::BucketOwnerFullControl),
        _ => Err(Complaint::new(format!("{text:?} is no ACL that yrm gives"))
            .hint("write bucket-owner-full-control; any other would open the quarantine too: use a bucket policy")),
    }
}

/// `CLASS:STORAGE_CLASS,…`.
pub(super) fn storage_classes(text: &str) -> Parsed<Vec<(ObjectClass, &'static str)>> {
    let mut found: Vec<(ObjectClass, &'static str)> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (classes, name) = classed(part, "packages:STANDARD_IA")?;
        if ARCHIVES.contains(&name) {
            return Err(Complaint::new(format!("objects in {name} cannot be read until they are restored"))
                .hint("GLACIER_IR is as cheap to keep where nothing is read, and gives objects back at once"));
        }
        let Some(known) = STORAGE_CLASSES.into_iter().find(|known| *known == name) else {
            return Err(Complaint::new(format!("{name:?} is no storage class"))
                .hint(format!("write one of {}", STORAGE_CLASSES.join(", "))));
        };
        for class in classes {
            if found.iter().any(|(of, _)| *of == class) {
                return Err(Complaint::new(format!("{} have two storage classes", class.name())));
            }
            found.push((class, known));
        }
    }
    Ok(found)
}

/// `CLASS:KEY=VALUE,…`.
pub(super) fn tags(text: &str) -> Parsed<Vec<(ObjectClass, Tag)>> {
    const EXAMPLE: &str = "all:team=platform";
    let mut found: Vec<(ObjectClass, Tag)> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (classes, tag) = classed(part, EXAMPLE)?;
        let Some((key, value)) = tag.split_once('=') else {
            return Err(
                Complaint::new(format!("{tag:?} is no tag")).hint(format!("write CLASS:KEY=VALUE, such as {EXAMPLE}"))
            );
        };
        let fits = |text: &str, most: usize| {
            text.chars().count() <= most && text.chars().all(|c| c.is_alphanumeric() || " +-=._:/@".contains(c))
        };
        if key.is_empty() || !fits(key, MAX_TAG_KEY) || !fits(value, MAX_TAG_VALUE) {
            return Err(Complaint::new(format!("S3 takes no tag {tag:?}"))
                .hint("letters, digits, blanks and + - = . _ : / @; a key of up to 128, a value of up to 256"));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(Complaint::new(format!("the tag {key:?} is one of AWS's own")).hint("choose another key"));
        }
        for class in classes {
            let of_class = || found.iter().filter(|(of, _)| *of == class);
            if of_class().any(|(_, tag)| tag.key == key) {
                return Err(Complaint::new(format!("{} get the tag {key:?} twice", class.name())));
            }
            if of_class().count() == MAX_TAGS {
                return Err(Complaint::new(format!("{} get more than {MAX_TAGS} tags", class.name())));
            }
            found.push((class, Tag { key: key.to_owned(), value: value.to_owned() }));
        }
    }
    Ok(found)
}

/// The classes before the colon, and what stands after it.
fn classed<'a>(part: &'a str, example: &str) -> Parsed<(Vec<ObjectClass>, &'a str)> {
    let wrong = |message: String| {
        let names = ObjectClass::ALL.map(ObjectClass::name).join(", ");
        Complaint::new(message).hint(format!("write {names} or {ALL} before a colon, such as {example}"))
    };
    let (class, rest) = part.split_once(':').ok_or_else(|| wrong(format!("{part:?} names no class of objects")))?;
    if class == ALL {
        return Ok((ObjectClass::ALL.to_vec(), rest));
    }
    let found = ObjectClass::ALL.into_iter().find(|known| known.name() == class);
    found.map(|found| (vec![found], rest)).ok_or_else(|| wrong(format!("{class:?} is no class of objects")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_classes_and_tags_are_given_by_class() {
        let classes = storage_classes("packages:INTELLIGENT_TIERING, quarantine:GLACIER_IR").unwrap();
        let written = Written {
            storage_classes: classes,
            tags: tags("all:cost:centre=a b,packages:team=x+y@z,state:empty=").unwrap(),
            ..Written::default()
        };
        assert_eq!(written.storage_class(ObjectClass::Packages), Some("INTELLIGENT_TIERING"));
        assert_eq!(written.storage_class(ObjectClass::State), None);
        let of = |class| written.tags(class).map(|tag| format!("{}={}", tag.key, tag.value)).collect::<Vec<_>>();
        assert_eq!(of(ObjectClass::Packages), ["cost:centre=a b", "team=x+y@z"]);
        assert_eq!(of(ObjectClass::State), ["cost:centre=a b", "empty="]);
    }

    #[test]
    fn what_s3_would_refuse_is_refused_with_words() {
        for (text, why) in [
            ("STANDARD_IA", "names no class of objects"),
            ("inbox:STANDARD_IA", "is no class of objects"),
            ("packages:standard_ia", "is no storage class"),
            ("quarantine:GLACIER", "cannot be read until"),
            ("all:STANDARD,state:STANDARD_IA", "state have two storage classes"),
        ] {
            let complaint = storage_classes(text).unwrap_err();
            assert!(
                complaint.message.contains(why) && (complaint.hint.is_some() || why.contains("two")),
                "{complaint:?}"
            );
        }
        let long = format!("all:{}=x", "k".repeat(129));
        let many = (0..11).map(|number| format!("state:k{number}=v")).collect::<Vec<_>>().join(",");
        for (text, why) in [
            ("team=x", "names no class of objects"),
            ("packages:team", "is no tag"),
            ("packages:=x", "takes no tag"),
            ("packages:a&b=x", "takes no tag"),
            (&long, "takes no tag"),
            ("all:AWS:x=y", "one of AWS's own"),
            ("all:a=x,state:a=y", "state get the tag \"a\" twice"),
            (&many, "more than 10 tags"),
        ] {
            let complaint = tags(text).unwrap_err();
            assert!(complaint.message.contains(why), "{text}: {complaint:?}");
        }
        for (sse, key, bucket_key, setting) in [
            (None, true, None, "sse-kms-key"),
            (Some(Sse::Aes256), true, None, "sse-kms-key"),
            (None, false, Some(true), "sse-bucket-key"),
            (Some(Sse::Aes256), false, Some(false), "sse-bucket-key"),
            (Some(Sse::KmsTwice), true, Some(true), "sse-bucket-key"),
        ] {
            let key = key.then(|| kms_key("alias/rpms").unwrap());
            assert_eq!(encryption(sse, key, bucket_key).unwrap_err().0, setting);
        }
        for wrong in ["", "kms", "aes256", "AES-256"] {
            assert!(sse(wrong).is_err());
        }
        assert!(acl("public-read").unwrap_err().hint.unwrap().contains("bucket policy"));
        assert!(kms_key("my key").is_err() && kms_key("arn:aws:kms:eu-west-1:123456789012:key/1234abcd").is_ok());
    }
}
