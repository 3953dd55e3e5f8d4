//! Addresses that carry their signature: SigV4 in the query, for one method, one object and a few minutes. It only
//! computes: the time is given.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningInstructions, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;

use crate::bucket::Region;
use crate::complaint::{Complaint, Result, chain};
use crate::key::encode;

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unsigned<'a> {
    pub(crate) method: &'a str,
    /// The address, encoded; it may have a query of its own.
    pub(crate) address: &'a str,
    /// `s3`, or another service.
    pub(crate) service: &'a str,
    pub(crate) region: &'a Region,
}

/// How long an address made now may be good: as long as wanted, and no longer than the credentials. None if they
/// have expired.
pub(crate) fn lifetime(credentials: &Credentials, now: SystemTime, wanted: Duration) -> Option<Duration> {
    let left = match credentials.expiry() {
        Some(expiry) => expiry.duration_since(now).ok()?,
        None => wanted,
    };
    // The signature counts whole seconds, from a whole second on.
    let lifetime = Duration::from_secs(left.min(wanted).as_secs());
    (lifetime >= Duration::from_secs(1)).then_some(lifetime)
}

/// The address with its signature, good for `lifetime` from `now` on.
pub(crate) fn presign(
    unsigned: Unsigned<'_>,
    credentials: &Credentials,
    now: SystemTime,
    lifetime: Duration,
) -> Result<String> {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(lifetime);
    // S3 signs the path as it is sent, and does not ask for the hash of a body.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let instructions = instructions(unsigned, SignableBody::UnsignedPayload, credentials, now, settings)?;
    let mut address = unsigned.address.to_owned();
    for (name, value) in instructions.params() {
        let joint = if address.contains('?') { '&' } else { '?' };
        write!(address, "{joint}{}={}", encode(name, false), encode(value, false))
            .expect("a string takes whatever is written to it");
    }
    Ok(address)
}

/// The headers that sign a request without a body, for services that others play by looking at them.
pub(crate) fn headers(
    unsigned: Unsigned<'_>,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<Vec<(&'static str, String)>> {
    let instructions = instructions(unsigned, SignableBody::Bytes(b""), credentials, now, SigningSettings::default())?;
    let (headers, _) = instructions.into_parts();
    Ok(headers.into_iter().map(|header| (header.name(), header.value().to_owned())).collect())
}

fn instructions(
    unsigned: Unsigned<'_>,
    body: SignableBody<'_>,
    credentials: &Credentials,
    now: SystemTime,
    settings: SigningSettings,
) -> Result<SigningInstructions> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Complaint::new(format!("the request cannot be signed: {}", chain(error)))
    };
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(unsigned.region.as_str())
        .name(unsigned.service)
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let request = SignableRequest::new(unsigned.method, unsigned.address, std::iter::empty(), body);
    let signed = sign(request.map_err(|error| failed(&error))?, &parameters).map_err(|error| failed(&error))?;
    Ok(signed.into_parts().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2013-05-24T00:00:00Z
    const THEN: Duration = Duration::from_hours(380_376);

    #[test]
    fn the_example_of_the_documentation_has_its_signature() {
        // "Authenticating Requests: Using Query Parameters", Amazon S3 API Reference.
        let credentials =
            Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, None, "test");
        let unsigned = Unsigned {
            method: "GET",
            address: "https://examplebucket.s3.amazonaws.com/test.txt",
            service: "s3",
            region: &Region::usual(),
        };
        let address = presign(unsigned, &credentials, SystemTime::UNIX_EPOCH + THEN, Duration::from_hours(24)).unwrap();
        assert!(address.starts_with("https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-"), "{address}");
        let signature = "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(address.ends_with(signature), "{address}");
    }

    #[test]
    fn an_address_does_not_outlive_its_credentials() {
        let now = SystemTime::UNIX_EPOCH + THEN;
        let wanted = Duration::from_mins(5);
        let until = |expiry| Credentials::new("a", "b", None, expiry, "test");
        let left = |millis| lifetime(&until(Some(now + Duration::from_millis(millis))), now, wanted);
        assert_eq!(lifetime(&until(None), now, wanted), Some(wanted));
        assert_eq!(left(3_600_000), Some(wanted));
        assert_eq!(left(61_900), Some(Duration::from_secs(61)));
        assert_eq!(left(999), None);
        assert_eq!(lifetime(&until(Some(now - Duration::from_secs(1))), now, wanted), None);
    }
}
