//! Addresses that carry their signature.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;

/// What is signed.
pub(crate) struct Unsigned<'a> {
    pub(crate) method: &'a str,
    /// Encoded, once; it may have a query.
    pub(crate) address: String,
    /// A header that the signature covers.
    pub(crate) header: Option<(&'a str, &'a str)>,
    pub(crate) body: SignableBody<'a>,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

/// The address with its signature, valid for so long from `now` on.
pub(crate) fn presigned(
    unsigned: Unsigned<'_>,
    credentials: Credentials,
    now: SystemTime,
    valid: Duration,
) -> Result<String, String> {
    let Unsigned { method, address, header, body, region, service } = unsigned;
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(valid);
    // S3 signs a path as it is sent; no other that is signed here has one.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder().identity(&identity).region(region).name(service);
    let parameters = parameters.time(now).settings(settings).build().map_err(|error| error.to_string())?.into();
    let request =
        SignableRequest::new(method, &address, header.into_iter(), body).map_err(|error| error.to_string())?;
    let (instructions, _) = sign(request, &parameters).map_err(|error| error.to_string())?.into_parts();
    let mut presigned = address;
    let mut joint = if presigned.contains('?') { '&' } else { '?' };
    for (name, value) in instructions.params() {
        presigned.push(std::mem::replace(&mut joint, '&'));
        presigned.push_str(name);
        presigned.push('=');
        presigned.extend(form_urlencoded::byte_serialize(value.as_bytes()));
    }
    Ok(presigned)
}
