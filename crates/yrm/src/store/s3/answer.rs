//! What an S3 error says about the call: refused, lost, missing, or nobody knows.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::aws::chain::{in_words, names_credentials};
use crate::aws::refusal::{GIVE_CREDENTIALS, NO_CREDENTIALS};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Outcome;

/// A longer text is no region's name.
const LONGEST_REGION: usize = 40;

/// An error answer, by what is known after it.
#[derive(Debug)]
pub(super) enum Answer {
    /// 412.
    Lost,
    /// 409.
    Conflict,
    /// 404 for the object.
    Missing,
    /// 416: the range starts past the object's end.
    PastEnd,
    /// It may have applied, or may yet.
    Ambiguous(Error),
    /// It did not apply, and the same call would fail again.
    Failed(Error),
}

impl Answer {
    /// Sorts an SDK error. The code in the body counts before the status: a copy or a completion
    /// may carry an error in a body whose status is 200.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>, doing: impl Into<String>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let not_built = matches!(error, SdkError::ConstructionFailure(_));
        let no_credentials = status.is_none() && names_credentials(error);
        let code = error.code().unwrap_or_default().to_owned();
        let (right, region) = (error.message().and_then(right_in).map(str::to_owned), region_in(error));
        let words = if no_credentials { NO_CREDENTIALS.to_owned() } else { in_words(error) };
        let failed = |kind: ErrorKind| Error::new(kind, doing).because(words);
        match (code.as_str(), status) {
            ("NoSuchBucket", _) => Self::Failed(failed(ErrorKind::Config).hint("check the bucket's name and region")),
            ("PreconditionFailed", _) | (_, Some(412)) => Self::Lost,
            ("ConditionalRequestConflict" | "OperationAborted", _) | (_, Some(409)) => Self::Conflict,
            ("NoSuchKey" | "NotFound", _) | (_, Some(404)) => Self::Missing,
            ("InvalidRange", _) | (_, Some(416)) => Self::PastEnd,
            // The server gave up waiting for the request's body; its status is 400.
            ("RequestTimeout", _) | (_, Some(429)) => Self::Ambiguous(failed(ErrorKind::Unavailable)),
            ("RequestTimeTooSkewed", _) => Self::Failed(failed(ErrorKind::Denied).hint("set this machine's clock")),
            ("InvalidObjectState", _) => Self::Failed(
                failed(ErrorKind::Archived).hint("have the object restored (`aws s3api restore-object`), or delete it"),
            ),
            ("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired", _) | (_, Some(401 | 403)) => {
                Self::Failed(failed(ErrorKind::Denied).hint(match right {
                    Some(right) => format!("allow {right}; `yrm doctor` tries every right that is needed"),
                    None => "check the credentials, the policies and the bucket's owner".to_owned(),
                }))
            }
            (
                "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException"
                | "PermanentRedirect"
                | "TemporaryRedirect",
                _,
            )
            | (_, Some(301 | 307)) => Self::Failed(failed(ErrorKind::Config).hint(match region {
                Some(region) => {
                    format!("the bucket is in the region {region}: give --region {region}, or set AWS_REGION")
                }
                None => "the bucket is in another region".to_owned(),
            })),
            // An answer to HEAD has no body that could say more; so all that is known is where the bucket is.
            ("", Some(400)) if region.is_some() => Self::Failed(failed(ErrorKind::Config).hint(format!(
                "the bucket is in the region {}: give --region if another is set, else look at the credentials",
                region.unwrap_or_default()
            ))),
            (code, Some(400..=499)) if code.starts_with("KMS.") => Self::Failed(
                failed(ErrorKind::Config)
                    .hint("look at the key that sse-kms-key or the bucket's default encryption names"),
            ),
            ("AccessControlListNotSupported", _) => Self::Failed(
                failed(ErrorKind::Config)
                    .hint("ACLs are off in this bucket and its owner owns everything: leave acl out"),
            ),
            ("InvalidStorageClass" | "InvalidTag" | "InvalidEncryptionAlgorithmError", _) => Self::Failed(
                failed(ErrorKind::Config).hint("look at sse, storage-class and tags; `yrm doctor` tries them"),
            ),
            (_, Some(405 | 501)) => {
                Self::Failed(failed(ErrorKind::Config).hint("this store does not have that call; see `yrm doctor`"))
            }
            (_, Some(400..=499)) => Self::Failed(failed(ErrorKind::Internal)),
            (_, None) if no_credentials => Self::Failed(failed(ErrorKind::Denied).hint(GIVE_CREDENTIALS)),
            (_, None) if not_built => Self::Failed(failed(ErrorKind::Internal)),
            // A 5xx, a 200 with an error, a timeout, a lost connection, an unreadable answer.
            _ => Self::Ambiguous(failed(ErrorKind::Unavailable)),
        }
    }

    /// As the answer to a conditional call.
    pub(super) fn outcome<T>(self, doing: &str) -> Result<Outcome<T>> {
        match self {
            Self::Lost => Ok(Outcome::Lost),
            Self::Conflict => Ok(Outcome::Conflict),
            Self::Missing => Ok(Outcome::Missing),
            Self::Ambiguous(error) => Ok(Outcome::Ambiguous(error)),
            Self::Failed(error) => Err(error),
            Self::PastEnd => Err(out_of_place(doing, "a range is not satisfiable")),
        }
    }

    /// As the answer to a read: `None` when there is no such object.
    pub(super) fn absent<T>(self, doing: &str) -> Result<Option<T>> {
        match self {
            Self::Missing => Ok(None),
            Self::Lost | Self::Conflict | Self::PastEnd | Self::Ambiguous(_) | Self::Failed(_) => {
                Err(self.error(doing))
            }
        }
    }

    /// As the failure of a call that has no condition and names no object.
    pub(super) fn error(self, doing: &str) -> Error {
        match self {
            Self::Ambiguous(error) | Self::Failed(error) => error,
            Self::Lost => out_of_place(doing, "a condition failed"),
            Self::Conflict => out_of_place(doing, "another call was in flight"),
            Self::Missing => out_of_place(doing, "there is no such object or upload"),
            Self::PastEnd => out_of_place(doing, "a range is not satisfiable"),
        }
    }
}

/// The right that a refusal says is missing: "… is not authorized to perform: kms:GenerateDataKey on …".
pub(super) fn right_in(message: &str) -> Option<&str> {
    let after = message.split_once("not authorized to perform: ")?.1;
    let right = after.split(|c: char| c.is_whitespace() || c == ',').next()?;
    let is_word =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    right.split_once(':').filter(|(service, action)| is_word(service) && is_word(action)).map(|_| right)
}

/// The region that an error says the bucket is in: in a header, in its XML, or in its words.
fn region_in<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    let response = error.raw_response()?;
    let body = response.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
    let between = |text: &str, from: &str, to: &str| Some(text.split_once(from)?.1.split_once(to)?.0.to_owned());
    let found = response
        .headers()
        .get("x-amz-bucket-region")
        .map(str::to_owned)
        .or_else(|| between(&body, "<Region>", "</Region>"))
        .or_else(|| between(error.message()?, "expecting '", "'"))?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!found.is_empty() && found.len() <= LONGEST_REGION && found.bytes().all(is_plain)).then_some(found)
}

fn out_of_place(doing: &str, answer: &str) -> Error {
    Error::new(ErrorKind::Unavailable, doing).because(format!("the store answered that {answer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_right() {
        let said = "User: arn:aws:sts::123456789012:assumed-role/yrm/i-1 is not authorized to perform: \
                    kms:GenerateDataKey on resource: arn:aws:kms:eu-west-1:123456789012:key/1 because no policy allows it";
        assert_eq!(right_in(said), Some("kms:GenerateDataKey"));
        for other in ["Access Denied", "not authorized to perform: ", "not authorized to perform: \u{1b}[2J:x on y"] {
            assert_eq!(right_in(other), None, "{other:?}");
        }
    }
}
