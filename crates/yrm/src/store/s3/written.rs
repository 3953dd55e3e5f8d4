//! What every object is written with: encryption, access, storage class and tags.

use std::fmt::Write as _;

use aws_sdk_s3::types::{ObjectCannedAcl, ServerSideEncryption, StorageClass};

use crate::config::{Acl, Encryption, ObjectClass, Written};

/// The headers of one object, as the SDK's calls take them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Headers {
    pub(super) encryption: Option<ServerSideEncryption>,
    pub(super) kms_key: Option<String>,
    pub(super) bucket_key: Option<bool>,
    pub(super) acl: Option<ObjectCannedAcl>,
    pub(super) storage_class: Option<StorageClass>,
    pub(super) tagging: Option<String>,
}

impl Headers {
    /// Those of an object of this class.
    pub(super) fn of(written: &Written, class: Option<ObjectClass>) -> Self {
        let (encryption, kms_key, bucket_key) = match &written.encryption {
            None => (None, None, None),
            Some(Encryption::Aes256) => (Some(ServerSideEncryption::Aes256), None, None),
            Some(Encryption::Kms { is_double, key, bucket_key }) => {
                let algorithm =
                    if *is_double { ServerSideEncryption::AwsKmsDsse } else { ServerSideEncryption::AwsKms };
                (Some(algorithm), key.as_ref().map(|key| key.as_str().to_owned()), *bucket_key)
            }
        };
        let acl = written.acl.map(|acl| match acl {
            Acl::BucketOwnerFullControl => ObjectCannedAcl::BucketOwnerFullControl,
        });
        Self {
            encryption,
            kms_key,
            bucket_key,
            acl,
            storage_class: class.and_then(|class| written.storage_class(class)).map(StorageClass::from),
            tagging: class.and_then(|class| tagging(written, class)),
        }
    }
}

/// Tags as `x-amz-tagging` spells them: a query.
fn tagging(written: &Written, class: ObjectClass) -> Option<String> {
    let mut text = String::new();
    for tag in written.tags(class) {
        if !text.is_empty() {
            text.push('&');
        }
        encode(&tag.key, &mut text);
        text.push('=');
        encode(&tag.value, &mut text);
    }
    (!text.is_empty()).then_some(text)
}

fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            write!(into, "%{byte:02X}").expect("a String takes any text");
        }
    }
}

/// Says `Headers` with a call that makes an object. The SDK's three such calls have the same setters and no trait.
macro_rules! say {
    ($call:expr, $headers:expr) => {{
        let headers: $crate::store::s3::written::Headers = $headers;
        $call
            .set_server_side_encryption(headers.encryption)
            .set_ssekms_key_id(headers.kms_key)
            .set_bucket_key_enabled(headers.bucket_key)
            .set_acl(headers.acl)
            .set_storage_class(headers.storage_class)
            .set_tagging(headers.tagging)
    }};
}
pub(super) use say;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tag;

    #[test]
    fn tags_are_a_query_and_only_of_their_class() {
        let tag = |key: &str, value: &str| Tag { key: key.to_owned(), value: value.to_owned() };
        let (packages, state) = (ObjectClass::Packages, ObjectClass::State);
        let tags = vec![(packages, tag("cost:centre", "a b+c")), (packages, tag("e", "")), (state, tag("k", "ü"))];
        let written = Written { tags, ..Written::default() };
        assert_eq!(tagging(&written, packages).unwrap(), "cost%3Acentre=a%20b%2Bc&e=");
        assert_eq!(tagging(&written, state).unwrap(), "k=%C3%BC");
        assert_eq!(tagging(&written, ObjectClass::Metadata), None);
        assert_eq!(Headers::of(&written, None), Headers::default());
    }
}
