//! What becomes of a call to a service of AWS, as far as its answer tells.

use std::fmt;

use crate::error::ErrorKind;

/// What to do when nobody says who is asking.
pub(crate) const GIVE_CREDENTIALS: &str = "give credentials: AWS_ACCESS_KEY_ID and its secret, a profile, or a role";

/// The cause, when nobody said who is asking.
pub(crate) const NO_CREDENTIALS: &str = "no credentials were found";

/// What became of a call, as far as its error tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody said who is asking.
    NoCredentials,
    /// Whoever asks may not.
    Denied,
    /// It was understood, and will not be done.
    Refused,
    /// Throttled, timed out, lost, a 5xx, or what this version does not know.
    Away,
}

impl Failure {
    /// Sorts the answer of a service that speaks JSON, where a refusal may well have the status 400.
    pub(crate) fn of_answer(status: Option<u16>, code: &str) -> Self {
        let busy = ["Throttl", "TooManyRequests", "LimitExceeded", "Timeout", "Unavailable", "Internal"];
        let of_credentials = [
            "AccessDenied",
            "NotAuthorized",
            "UnrecognizedClient",
            "Signature",
            "ExpiredToken",
            "InvalidClientTokenId",
            "MissingAuthenticationToken",
        ];
        let is = |codes: &[&str]| codes.iter().any(|known| code.contains(known));
        match status {
            Some(400..=499) if is(&of_credentials) => Self::Denied,
            Some(400..=499) if status == Some(429) || is(&busy) => Self::Away,
            Some(401 | 403) => Self::Denied,
            Some(400..=499) => Self::Refused,
            Some(_) | None => Self::Away,
        }
    }

    /// What kind of error it is.
    pub(crate) fn kind(self) -> ErrorKind {
        match self {
            Self::NoCredentials | Self::Denied => ErrorKind::Denied,
            Self::Refused => ErrorKind::Config,
            Self::Away => ErrorKind::Unavailable,
        }
    }
}

/// Why a call was not answered as it should be.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What it means.
    pub(crate) failure: Failure,
    /// The service's word for it; empty when it said none.
    pub(crate) code: String,
    pub(super) said: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.said.as_str()) {
            ("", said) => f.write_str(said),
            (code, "") => f.write_str(code),
            (code, said) => write!(f, "{code}: {said}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    pub(super) fn away(said: impl Into<String>) -> Self {
        Self { failure: Failure::Away, code: String::new(), said: said.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_service_that_is_busy() {
        for (status, code, expected) in [
            (400, "AccessDeniedException", Failure::Denied),
            (400, "ExpiredTokenException", Failure::Denied),
            (403, "", Failure::Denied),
            (400, "ThrottlingException", Failure::Away),
            (400, "KMSInternalException", Failure::Away),
            (429, "", Failure::Away),
            (500, "KeyUnavailableException", Failure::Away),
            (503, "AccessDeniedException", Failure::Away),
            (400, "KMSInvalidStateException", Failure::Refused),
            (400, "NotFoundException", Failure::Refused),
            (404, "", Failure::Refused),
        ] {
            assert_eq!(Failure::of_answer(Some(status), code), expected, "{status} {code}");
        }
        assert_eq!(Failure::of_answer(None, ""), Failure::Away);
    }
}
