//! A signed question "who am I?" to STS, that somebody else may ask.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::SignableBody;

use super::call::address_of_sts;
use super::chain::beside;
use super::keeper::Keeper;
use super::presign::{Unsigned, presigned};
use crate::config::S3Config;
use crate::error::{Error, ErrorKind, Result};

/// The address that asks STS who has signed it, with a signature that covers one header more.
pub(crate) async fn prove(config: &S3Config, header: (&str, &str), valid: Duration) -> Result<String> {
    let failed = |why: String| {
        Error::new(ErrorKind::Denied, "proving this machine's AWS identity")
            .because(why)
            .hint("`aws sts get-caller-identity` says whether there are credentials")
    };
    let shared = beside(config, None).await?;
    let now = SystemTime::now();
    let credentials = Keeper::new(shared.credentials_provider()).credentials(now, valid).await.map_err(failed)?;
    let region = shared.region().map_or("us-east-1", AsRef::as_ref);
    let question = "Action=GetCallerIdentity&Version=2011-06-15";
    let unsigned = Unsigned {
        method: "GET",
        address: format!("{}/?{question}", address_of_sts(&shared, region)),
        header: Some(header),
        body: SignableBody::Bytes(b""),
        region,
        service: "sts",
    };
    presigned(unsigned, credentials, now, valid).map_err(failed)
}
