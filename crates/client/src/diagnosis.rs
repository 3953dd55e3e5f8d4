//! From an answer of S3 to words: the repository can be read, or this is wrong and that helps. It only computes.

use std::time::{Duration, SystemTime};

use aws_smithy_types::date_time::{DateTime, Format};

use crate::bucket::{BucketName, Region};
use crate::complaint::{Complaint, Result};
use crate::endpoint::arn;
use crate::outgoing::Answer;

/// S3 refuses what was signed more than fifteen minutes from its own time; so much is worth a word.
const TELL_CLOCK_FROM: Duration = Duration::from_mins(1);

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) bucket: &'a BucketName,
    pub(crate) region: &'a Region,
    /// The `repomd.xml`.
    pub(crate) key: &'a str,
    pub(crate) now: SystemTime,
}

/// What an answer to the read of one object says.
pub(crate) fn of(answer: &Answer, asked: &Asked<'_>) -> Result<String> {
    let Asked { bucket, region, key, now } = asked;
    if matches!(answer.status, 200 | 206) {
        return Ok(format!("{key} can be read (region {region})"));
    }
    let code = between(&answer.body, "<Code>", "</Code>").unwrap_or_default();
    let message = between(&answer.body, "<Message>", "</Message>").unwrap_or_default();
    let elsewhere = between(&answer.body, "<Region>", "</Region>").or_else(|| answer.header("x-amz-bucket-region"));
    let off = clock_off(answer, *now).filter(|off| off.0 >= TELL_CLOCK_FROM);
    Err(match code {
        "NoSuchBucket" => {
            Complaint::new(format!("there is no bucket {bucket}")).hint("look at its name and the region")
        }
        "NoSuchKey" => no_repository(key),
        _ if answer.status == 404 => no_repository(key),
        "InvalidAccessKeyId" => Complaint::new("S3 does not know the access key")
            .hint("it was deleted, or it is one of another partition or another store"),
        "ExpiredToken" | "TokenRefreshRequired" => Complaint::new("S3 says that the credentials have expired")
            .hint("renew them (aws sso login), and look at the clock: date"),
        "InvalidToken" => Complaint::new("S3 does not take the session token")
            .hint("it belongs to other keys: look at AWS_SESSION_TOKEN, or the region is not enabled for the account"),
        "SignatureDoesNotMatch" => Complaint::new("S3 reckons another signature than this program")
            .hint("the secret access key is not that of the access key"),
        "RequestTimeTooSkewed" | "RequestExpired" => clock_wrong(off),
        _ if message.contains("Request has expired") || message.contains("not yet valid") => clock_wrong(off),
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "AuthorizationQueryParametersError"
        | "IllegalLocationConstraintException" => other_region(bucket, region, elsewhere, message),
        _ if matches!(answer.status, 301 | 307) => other_region(bucket, region, elsewhere, message),
        "SlowDown" | "ServiceUnavailable" | "InternalError" => {
            Complaint::new(format!("S3 does not serve now ({code})")).hint("try again in a minute")
        }
        _ if answer.status == 403 => match off {
            Some(off) => clock_wrong(Some(off)),
            None => denied(asked, message),
        },
        _ => Complaint::new(format!("S3 answered {} {code}: {message}", answer.status)),
    })
}

/// How far this machine's clock is from the server's, and whether it is ahead.
pub(crate) fn clock_off(answer: &Answer, now: SystemTime) -> Option<(Duration, bool)> {
    let date = DateTime::from_str(answer.header("date")?, Format::HttpDate).ok()?;
    let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(date.secs()).ok()?);
    Some(match now.duration_since(theirs) {
        Ok(ahead) => (ahead, true),
        Err(behind) => (behind.duration(), false),
    })
}

/// For people; none if the clock is right.
pub(crate) fn clock(off: Option<(Duration, bool)>) -> Option<Complaint> {
    off.filter(|(off, _)| *off >= TELL_CLOCK_FROM).map(|off| clock_wrong(Some(off)))
}

fn clock_wrong(off: Option<(Duration, bool)>) -> Complaint {
    let how = off.map_or_else(String::new, |(off, is_ahead)| {
        let by = match off.as_secs() {
            seconds @ 0..600 => format!("{seconds} seconds"),
            seconds => format!("{} minutes", seconds / 60),
        };
        format!(", {by} {}", if is_ahead { "ahead" } else { "behind" })
    });
    Complaint::new(format!("the clock of this machine is wrong{how}; S3 takes no signature from another time"))
        .hint("set it: chronyc makestep, or timedatectl set-ntp true")
}

fn no_repository(key: &str) -> Complaint {
    Complaint::new(format!("the bucket answers, but there is no {key}"))
        .hint("nothing was published yet, or --folder names another folder")
}

fn other_region(bucket: &BucketName, region: &Region, elsewhere: Option<&str>, message: &str) -> Complaint {
    match elsewhere.filter(|elsewhere| *elsewhere != region.as_str()) {
        Some(elsewhere) => Complaint::new(format!("{bucket} is in {elsewhere}, and was asked for in {region}"))
            .hint(format!("write s3://{bucket}?region={elsewhere}, or leave the region out: it is found")),
        None => Complaint::new(format!("{bucket} is not in {region}: {message}"))
            .hint("leave the region out, it is found; or look at --endpoint"),
    }
}

fn denied(asked: &Asked<'_>, message: &str) -> Complaint {
    let Asked { bucket, region, key, .. } = asked;
    let arn = arn(bucket, region);
    let said = if message.is_empty() || message == "Access Denied" { String::new() } else { format!(": {message}") };
    if message.contains("kms:Decrypt") {
        return Complaint::new(format!("{key} may not be decrypted{said}"))
            .hint("the role needs kms:Decrypt on the bucket's key, in its policy and in the key's");
    }
    let folder = key.strip_suffix("repodata/repomd.xml").unwrap_or(key);
    Complaint::new(format!("{key} may not be read, or does not exist{said}")).hint(format!(
        "the role needs s3:GetObject on {arn}/{folder}*, and no policy may deny it (S3 tells a missing object from a \
         forbidden one only to those who have s3:ListBucket on {arn})"
    ))
}

/// What stands between two marks.
pub(crate) fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "repo/repodata/repomd.xml";

    fn told(status: u16, headers: &[(&str, &str)], code: &str, message: &str) -> String {
        let body = format!("<?xml?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
        let asked = Asked {
            bucket: &"my-bucket".parse().unwrap(),
            region: &"eu-west-1".parse().unwrap(),
            key: KEY,
            // Mon, 30 Nov 2026 07:00:00 GMT
            now: SystemTime::UNIX_EPOCH + Duration::from_hours(498_895),
        };
        match of(&Answer::of(status, headers, if code.is_empty() { "" } else { &body }), &asked) {
            Ok(told) => told,
            Err(complaint) => complaint.to_string(),
        }
    }

    #[test]
    fn each_answer_says_what_is_wrong_and_what_helps() {
        for (status, headers, code, message, expected) in [
            (200, &[][..], "", "", "can be read (region eu-west-1)"),
            (404, &[], "NoSuchBucket", "", "there is no bucket my-bucket"),
            (404, &[], "", "", "the bucket answers, but there is no repo/repodata/repomd.xml"),
            (403, &[], "InvalidAccessKeyId", "", "does not know the access key"),
            (400, &[], "ExpiredToken", "", "have expired"),
            (403, &[], "SignatureDoesNotMatch", "", "the secret access key is not that of"),
            (301, &[("x-amz-bucket-region", "us-west-2")], "PermanentRedirect", "", "my-bucket is in us-west-2"),
            (301, &[("x-amz-bucket-region", "us-west-2")], "", "", "write s3://my-bucket?region=us-west-2"),
            (503, &[], "SlowDown", "", "try again"),
            (418, &[], "Teapot", "short", "S3 answered 418 Teapot: short"),
            (403, &[], "AccessDenied", "Access Denied", "s3:GetObject on arn:aws:s3:::my-bucket/repo/*"),
            (403, &[], "AccessDenied", "User: x is not authorized to perform: kms:Decrypt on k", "needs kms:Decrypt"),
            (
                403,
                &[],
                "AccessDenied",
                "User: x is not authorized",
                "does not exist: User: x is not authorized; the role",
            ),
            (403, &[], "AccessDenied", "Request has expired", "the clock of this machine is wrong; S3"),
            (
                403,
                &[("date", "Mon, 30 Nov 2026 09:00:00 GMT")],
                "RequestTimeTooSkewed",
                "",
                "the clock of this machine is wrong, 120 minutes behind",
            ),
            (
                403,
                &[("date", "Mon, 30 Nov 2026 06:58:00 GMT")],
                "AccessDenied",
                "Access Denied",
                "the clock of this machine is wrong, 120 seconds ahead",
            ),
        ] {
            let told = told(status, headers, code, message);
            assert!(told.contains(expected), "{status} {code}: {told}");
        }
    }
}
