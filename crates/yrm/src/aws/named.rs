//! The services of AWS that this program asks beside S3, as they are named and as they speak.

/// A service, as it is named.
#[derive(Debug)]
pub(crate) struct Named {
    /// In host names and signatures.
    pub(super) host: &'static str,
    /// In the configuration: `AWS_ENDPOINT_URL_<ID>`, and `services` of a profile.
    pub(super) id: &'static str,
    /// The language.
    pub(super) speaks: Speaks,
}

/// How a call is spelt.
#[derive(Debug, Clone, Copy)]
pub(super) enum Speaks {
    /// JSON of this version; operations bear this name in front.
    Json(&'static str, &'static str),
    /// Forms, and XML for answers, of this version of the service.
    Forms(&'static str),
}

pub(crate) const KMS: Named = Named { host: "kms", id: "KMS", speaks: Speaks::Json("1.1", "TrentService") };
pub(crate) const SQS: Named = Named { host: "sqs", id: "SQS", speaks: Speaks::Json("1.0", "AmazonSQS") };
pub(crate) const SNS: Named = Named { host: "sns", id: "SNS", speaks: Speaks::Forms("2010-03-31") };
pub(crate) const STS: Named = Named { host: "sts", id: "STS", speaks: Speaks::Forms("2011-06-15") };
pub(crate) const SSM: Named = Named { host: "ssm", id: "SSM", speaks: Speaks::Json("1.1", "AmazonSSM") };
pub(crate) const SECRETS_MANAGER: Named =
    Named { host: "secretsmanager", id: "Secrets Manager", speaks: Speaks::Json("1.1", "secretsmanager") };
