//! Addresses by which somebody else reads an object of a bucket for a while, without credentials: whoever has one is let
//! in, so none of them is ever logged.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;

/// How an object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// With its bytes.
    Get,
    /// Only what is said of it. An address for the one is none for the other.
    Head,
}

impl Method {
    /// As HTTP spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
        }
    }
}

/// Such an address.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    address: String,
    valid: Duration,
}

impl Link {
    /// This one, which is good for so long.
    pub fn new(address: String, valid: Duration) -> Self {
        Self { address, valid }
    }

    /// For whoever is let in.
    pub fn expose(&self) -> &str {
        &self.address
    }

    /// For how long it was good when it was made.
    pub fn valid(&self) -> Duration {
        self.valid
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link(…)")
    }
}

/// A store that can be read by addresses.
#[async_trait]
pub trait Links: fmt::Debug + Send + Sync {
    /// The address of an object for at most so long: less where the credentials end before that.
    async fn link(&self, method: Method, key: &str, valid: Duration) -> Result<Link>;
}
