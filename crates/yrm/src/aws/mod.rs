//! AWS: the chain of credentials, and its services beside S3. All of it is behind the feature `aws`; without that
//! whoever asks for AWS is told so, and everything else works.

#[cfg(feature = "aws")]
mod call;
#[cfg(feature = "aws")]
pub(crate) mod chain;
#[cfg(feature = "aws")]
pub mod http;
#[cfg(feature = "aws")]
pub(crate) mod keeper;
#[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "nobody is asked"))]
pub(crate) mod named;
#[cfg(feature = "aws")]
pub(crate) mod presign;
#[cfg(feature = "aws")]
mod prove;
#[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "nobody is asked"))]
pub(crate) mod refusal;
#[cfg(not(feature = "aws"))]
mod without;

#[cfg(not(feature = "aws"))]
pub(crate) use self::without::{Service, authorities, missing, other_sts, prove};
#[cfg(feature = "aws")]
pub(crate) use self::{call::Service, call::other_sts, chain::authorities, prove::prove};
