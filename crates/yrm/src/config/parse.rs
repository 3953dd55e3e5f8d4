//! Texts to values: durations, sizes, the bucket, the repositories. Each parser says in words
//! what it wanted; nothing here knows where a text came from.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use p256::pkcs8::DecodePublicKey as _;

use super::complaint::{Complaint, Parsed};
use super::values::OWN_FOLDERS;
use super::{
    BucketUrl, NotifyOn, NotifyShape, OnConflict, QueueAddress, ReleaseKey, Repositories, SignWith, Topic, access_point,
};

/// The longest duration taken: a hundred years, far from every overflow.
const LONGEST: Duration = Duration::from_hours(100 * 366 * 24);

/// What keep-at-least is when only prune-age-days is given.
pub const KEEP_AT_LEAST: usize = 10;
/// What prune-age-days is when only keep-at-least is given.
pub const PRUNE_AGE: Duration = Duration::from_hours(60 * 24);

/// How many of the newest versions stay.
pub fn keep_at_least(text: &str) -> Parsed<usize> {
    number(text, 1..=1_000_000).map(|keep| usize::try_from(keep).expect("at most a million"))
}

/// `90`, `90s`, `5m`, `72h`, `60d`; a bare number is seconds.
pub fn duration(text: &str) -> Parsed<Duration> {
    duration_in(text, 1, "write a number with s, m, h or d, such as 90s, 5m, 72h or 60d")
}

/// A duration between two of something that is done again and again.
pub fn interval(text: &str) -> Parsed<Duration> {
    match duration(text)? {
        Duration::ZERO => Err(Complaint::new("an interval of 0 would never rest")),
        interval => Ok(interval),
    }
}

/// What `openssl pkey -pubout | base64 -w0` prints of a key on the curve P-256.
pub fn release_key(text: &str) -> Parsed<ReleaseKey> {
    let wrong = |message: &str| {
        Complaint::new(message).hint(
            "write what `openssl pkey -in release.pem -pubout | base64 -w0` prints of a key that \
             `openssl ecparam -name prime256v1 -genkey -noout` made",
        )
    };
    let pem = base64::engine::general_purpose::STANDARD.decode(text.trim()).ok();
    let pem = pem.and_then(|pem| String::from_utf8(pem).ok()).ok_or_else(|| wrong("this is not a PEM in base64"))?;
    if pem.contains("PRIVATE KEY") {
        return Err(wrong("this is a private key, which stays where releases are made"));
    }
    ReleaseKey::from_public_key_pem(pem.trim()).map_err(|_| wrong("this is no public key on the curve P-256"))
}

/// `60` or `60d`; a bare number is days.
pub fn days(text: &str) -> Parsed<Duration> {
    duration_in(text, 86_400, "write a whole number of days, such as 60")
}

/// The same, at least one day: the history is what says who did what.
pub fn history_days(text: &str) -> Parsed<Duration> {
    match days(text)? {
        kept if kept >= Duration::from_hours(24) => Ok(kept),
        _ => {
            Err(Complaint::new("the history is kept for one day at least").hint("write a number of days, such as 400"))
        }
    }
}

fn duration_in(text: &str, bare_seconds: u64, hint: &str) -> Parsed<Duration> {
    let wrong = || Complaint::new(format!("{text:?} is not a duration")).hint(hint);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds_each = match &text[digits.len()..] {
        "" => bare_seconds,
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = plain_number(digits).ok_or_else(wrong)?;
    let duration = count.checked_mul(seconds_each).map(Duration::from_secs).ok_or_else(wrong)?;
    if duration > LONGEST { Err(wrong()) } else { Ok(duration) }
}

/// `20GiB`, `500MB`, `1048576`; a bare number is bytes.
pub fn size(text: &str) -> Parsed<u64> {
    let wrong = || Complaint::new(format!("{text:?} is not a size")).hint("write bytes, or a number with MiB or GiB");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let bytes_each: u64 = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let bytes = plain_number(digits).and_then(|count| count.checked_mul(bytes_each)).ok_or_else(wrong)?;
    if bytes == 0 { Err(Complaint::new("a size of 0 would reject everything")) } else { Ok(bytes) }
}

/// A whole number within `range`.
pub fn number(text: &str, range: std::ops::RangeInclusive<u64>) -> Parsed<u64> {
    let wrong = || Complaint::new(format!("{text:?} is not a whole number from {} to {}", range.start(), range.end()));
    let value = plain_number(text).ok_or_else(wrong)?;
    if range.contains(&value) { Ok(value) } else { Err(wrong()) }
}

/// Digits only: `u64::from_str` would take a `+` too.
fn plain_number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// `true` or `false`.
pub fn switch(text: &str) -> Parsed<bool> {
    match text {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(Complaint::new(format!("{text:?} is neither true nor false"))),
    }
}

/// `reject` or `replace`.
pub fn on_conflict(text: &str) -> Parsed<OnConflict> {
    match text {
        "reject" => Ok(OnConflict::Reject),
        "replace" => Ok(OnConflict::Replace),
        _ => Err(Complaint::new(format!("{text:?} is neither reject nor replace"))),
    }
}

/// `first` or `all`.
pub fn sign_with(text: &str) -> Parsed<SignWith> {
    match text {
        "first" => Ok(SignWith::First),
        "all" => Ok(SignWith::All),
        _ => Err(Complaint::new(format!("{text:?} is neither first nor all"))),
    }
}

/// What a file with public keys may be called by: a plain part of a name, the same in every URL.
pub fn key_name(text: &str) -> Parsed<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 100 || !text.bytes().all(plain) {
        return Err(Complaint::new(format!("{text:?} is no name for a key file"))
            .hint("write letters, digits, -, _ and . only"));
    }
    Ok(text.to_owned())
}

/// `s3://name[/prefix]`, `./dir`, `/dir`, `file:///dir`, or a bare name for S3.
pub fn bucket(text: &str) -> Parsed<BucketUrl> {
    const HINT: &str = "write s3://name, s3://name/prefix, ./dir, /dir or file:///dir";
    if text.is_empty() {
        return Err(Complaint::new("the bucket's name is empty").hint(HINT));
    }
    let of_s3 = text.strip_prefix("s3://");
    if let Some(rest) = of_s3.or_else(|| text.starts_with("arn:").then_some(text)) {
        let (name, prefix) = if let Some(parts) = access_point::split(rest) {
            parts?
        } else {
            let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            (s3_name(name)?, prefix)
        };
        let prefix = prefix.trim_matches('/');
        if !prefix.is_empty() && !is_plain_path(prefix) {
            return Err(Complaint::new(format!("{prefix:?} is not a plain prefix"))
                .hint("a prefix has no empty, \".\" or \"..\" segments and no control characters"));
        }
        return Ok(BucketUrl::S3 { name, prefix: prefix.to_owned() });
    }
    if let Some(rest) = text.strip_prefix("file://") {
        let Some(path) = percent_decoded(rest).filter(|path| path.starts_with('/') && !path.contains('\0')) else {
            return Err(Complaint::new(format!("{text:?} names no directory of this machine"))
                .hint("a file URL has three slashes: file:///srv/bucket"));
        };
        return Ok(BucketUrl::Directory(PathBuf::from(path)));
    }
    if text.contains("://") {
        return Err(Complaint::new(format!("{text:?} is not a kind of bucket")).hint(HINT));
    }
    if text.starts_with(['/', '.']) {
        return Ok(BucketUrl::Directory(PathBuf::from(text)));
    }
    if text.contains('/') {
        return Err(Complaint::new(format!("{text:?} may be a directory or a bucket with a prefix"))
            .hint(format!("write ./{text} for the directory or s3://{text} for the bucket")));
    }
    Ok(BucketUrl::S3 { name: s3_name(text)?, prefix: String::new() })
}

/// S3's naming rules, loose enough for other servers and old buckets (`_`, capitals), strict
/// enough that a name never changes the meaning of a URL.
fn s3_name(name: &str) -> Parsed<String> {
    let sound = (3..=255).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && !name.contains("..");
    if sound {
        Ok(name.to_owned())
    } else {
        Err(Complaint::new(format!("{name:?} is not a bucket's name"))
            .hint("3 or more letters, digits, dots and hyphens; write ./name for a directory"))
    }
}

/// A folder's name below the bucket.
pub fn folder(text: &str) -> Parsed<String> {
    let folder = text.trim_end_matches('/');
    if !is_plain_path(folder) {
        return Err(Complaint::new(format!("{text:?} is not a plain folder"))
            .hint("no leading slash, no empty, \".\" or \"..\" segments, no control characters"));
    }
    let first = folder.split('/').next().unwrap_or_default();
    if OWN_FOLDERS.contains(&first) {
        return Err(Complaint::new(format!("{first:?} is yrm's own folder")).hint("choose another name"));
    }
    Ok(folder.to_owned())
}

/// The folder that clients read: the same, or nothing for the bucket's root, which may be written `.` too.
pub fn repo(text: &str) -> Parsed<String> {
    if matches!(text, "" | "." | "./" | "/") { Ok(String::new()) } else { folder(text) }
}

/// Whether one folder is the other or lies inside it; everything lies inside the bucket's root.
pub fn overlap(one: &str, other: &str) -> bool {
    let inside = |inner: &str, outer: &str| {
        outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    inside(one, other) || inside(other, one)
}

fn is_plain_path(path: &str) -> bool {
    !path.chars().any(char::is_control) && path.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

/// The layout that goes by what is there: that of the bucket's settings, or, in a bucket without, of the repositories that
/// another program made.
pub const AUTO: &str = "auto";

/// `single`, `per-folder`, `depth=N`, or globs separated by commas.
pub fn repositories(text: &str) -> Parsed<Repositories> {
    const DEEPEST: u64 = 32;
    match text {
        "single" => return Ok(Repositories::Single),
        // Whoever opens a bucket says "auto" in other words first; where there is nothing to go by it is this.
        "per-folder" | AUTO => return Ok(Repositories::Depth(1)),
        _ => {}
    }
    if let Some(levels) = text.strip_prefix("depth=") {
        let levels = number(levels, 1..=DEEPEST)?;
        return Ok(Repositories::Depth(usize::try_from(levels).expect("at most 32")));
    }
    let globs: Vec<String> = text.split(',').map(|glob| glob.trim().trim_matches('/').to_owned()).collect();
    for glob in &globs {
        if !is_plain_path(glob) {
            return Err(Complaint::new(format!("{glob:?} is not a folder's glob"))
                .hint("write single, per-folder, depth=N, auto, or globs such as el9/*,el8/*"));
        }
        if let Err(error) = globset::GlobBuilder::new(glob).literal_separator(true).build() {
            return Err(Complaint::new(format!("{glob:?} is not a glob: {}", error.kind())));
        }
    }
    Ok(Repositories::Globs(globs))
}

/// `gz` or `zstd`.
pub fn compression(text: &str) -> Parsed<rpmmd::compress::Compression> {
    match text {
        "gz" | "gzip" => Ok(rpmmd::compress::Compression::Gz),
        "zstd" | "zst" => Ok(rpmmd::compress::Compression::Zstd),
        _ => Err(Complaint::new(format!("{text:?} is not a compression")).hint("write gz or zstd")),
    }
}

/// `http://…` or `https://…` without a trailing slash.
pub fn web_url(text: &str) -> Parsed<String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let unfit = |c: char| c.is_whitespace() || c.is_control() || c == '@';
    if host.is_empty() || host.starts_with('/') || host.contains(unfit) {
        return Err(Complaint::new("this is not a web address").hint("write http://host:port or https://host"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Addresses of one folder, separated by commas: what can stand in a list of mirrors, a line each.
pub fn public_urls(text: &str) -> Parsed<Vec<String>> {
    let sound = |url: &str| {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let file = url.strip_prefix("file://").filter(|path| path.starts_with('/'));
        let host_and_path = rest.filter(|rest| !rest.starts_with(['/', ':']));
        host_and_path.or(file).is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"@?#\"<>\\^`{|}".contains(&b))
        })
    };
    let one = |url: &str| {
        let url = url.trim().trim_end_matches('/');
        let wrong = || {
            let hint = "write https://host/path, http://host/path or file:///path, without a password, `?` or `#`";
            Complaint::new("this is not the address of a folder").hint(hint)
        };
        if sound(url) { Ok(url.to_owned()) } else { Err(wrong()) }
    };
    text.split(',').map(one).collect()
}

/// An SQS queue's URL or ARN.
pub fn queue(text: &str) -> Parsed<QueueAddress> {
    const HINT: &str = "write https://sqs.REGION.amazonaws.com/ACCOUNT/NAME, or arn:aws:sqs:REGION:ACCOUNT:NAME";
    let wrong = || Complaint::new("this is no queue's URL or ARN").hint(HINT);
    if let Some(rest) = text.strip_prefix("arn:") {
        let parts: Vec<&str> = rest.split(':').collect();
        let sound = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let [partition, "sqs", region, account, name] = parts[..] else { return Err(wrong()) };
        if ![partition, region, account, name].into_iter().all(sound) {
            return Err(wrong());
        }
        let [partition, region, account, name] = [partition, region, account, name].map(str::to_owned);
        return Ok(QueueAddress::Arn { partition, region, account, name });
    }
    let url = web_url(text).map_err(|_| wrong())?;
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    if path.split('/').any(str::is_empty) || path.contains(['?', '#']) {
        return Err(wrong());
    }
    Ok(QueueAddress::Url(url))
}

/// An SNS topic's ARN.
pub fn topic(text: &str) -> Parsed<Topic> {
    let parts: Vec<&str> = text.split(':').collect();
    let sound = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    match parts[..] {
        ["arn", partition, "sns", region, account, name]
            if [partition, region, account, name].into_iter().all(sound) =>
        {
            Ok(Topic { arn: text.to_owned(), region: region.to_owned() })
        }
        _ => Err(Complaint::new("this is no SNS topic's ARN").hint("write arn:aws:sns:REGION:ACCOUNT:NAME")),
    }
}

/// What is told, separated by commas.
pub fn notify_on(text: &str) -> Parsed<NotifyOn> {
    text.split(',').map(str::trim).try_fold(NotifyOn::nothing(), |on, word| {
        on.and(word).ok_or_else(|| {
            Complaint::new(format!("there is no event {word:?} to notify of"))
                .hint(format!("write one or more of {}", NotifyOn::WORDS.join(", ")))
        })
    })
}

/// `yrm`, `slack` or `teams`.
pub fn notify_shape(text: &str) -> Parsed<NotifyShape> {
    match text {
        "yrm" => Ok(NotifyShape::Yrm),
        "slack" => Ok(NotifyShape::Slack),
        "teams" => Ok(NotifyShape::Teams),
        _ => Err(Complaint::new(format!("{text:?} is not the shape of a notice")).hint("write yrm, slack or teams")),
    }
}

/// A Datadog site (`datadoghq.eu`) or a whole URL.
pub fn datadog_site(text: &str) -> Parsed<String> {
    if text.contains("://") {
        return web_url(text);
    }
    let sound =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    if sound {
        Ok(text.to_owned())
    } else {
        Err(Complaint::new(format!("{text:?} is not a Datadog site")).hint("such as datadoghq.com or datadoghq.eu"))
    }
}

/// `host:port`.
pub fn host_and_port(text: &str) -> Parsed<String> {
    let wrong = || Complaint::new(format!("{text:?} is not host:port")).hint("such as 127.0.0.1:8125");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    if host.is_empty() || host.contains(char::is_whitespace) || port.parse::<u16>().is_err() {
        return Err(wrong());
    }
    Ok(text.to_owned())
}

/// `text` with its `%XX` undone; `None` when that is not UTF-8 or an escape is broken.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_units_and_bare_numbers_in_their_own() {
        let cases = [("60", 60), ("90s", 90), ("5m", 300), ("72h", 259_200), ("60d", 5_184_000), ("0", 0)];
        for (text, seconds) in cases {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(days("60"), duration("60d"));
        for wrong in ["", "s", "-5", "+5", "1.5h", "5 m", "5w", "99999999999999999999", "40000d", "٣s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_take_binary_and_decimal_units() {
        assert_eq!(size("20GiB"), Ok(20 << 30));
        assert_eq!(size("500 MB"), Ok(500_000_000));
        assert_eq!(size("7"), Ok(7));
        for wrong in ["", "GiB", "0", "-1", "1PB", "99999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bucket_is_told_from_a_directory() {
        let s3 = |name: &str, prefix: &str| Ok(BucketUrl::S3 { name: name.to_owned(), prefix: prefix.to_owned() });
        let directory = |path: &str| Ok(BucketUrl::Directory(PathBuf::from(path)));
        assert_eq!(bucket("my-bucket"), s3("my-bucket", ""));
        assert_eq!(bucket("s3://my-bucket"), s3("my-bucket", ""));
        assert_eq!(bucket("s3://my-bucket/a/b/"), s3("my-bucket", "a/b"));
        assert_eq!(bucket("./my-bucket"), directory("./my-bucket"));
        assert_eq!(bucket("../b"), directory("../b"));
        assert_eq!(bucket("."), directory("."));
        assert_eq!(bucket("/srv/b"), directory("/srv/b"));
        assert_eq!(bucket("file:///srv/my%20b"), directory("/srv/my b"));
        for wrong in [
            "",
            "s3://",
            "s3://a",
            "s3://ok-name/../x",
            "s3://ok-name//x/./y",
            "file://host/x",
            "a/b",
            "http://x/y",
            "bad name",
            "-lead",
            "s3://na?me",
        ] {
            assert!(bucket(wrong).is_err(), "{wrong}");
        }
        assert!(bucket("a/b").unwrap_err().hint.unwrap().contains("./a/b"));
    }

    #[test]
    fn folders_keep_out_of_each_other_and_of_ours() {
        assert_eq!(folder("inbox/"), Ok("inbox".to_owned()));
        for root in ["", ".", "./", "/"] {
            assert!(folder(root).is_err(), "{root:?}: an inbox has a name");
            assert_eq!(repo(root), Ok(String::new()));
        }
        assert!(repo("quarantine").is_err() && repo("../x").is_err() && overlap("inbox", ""));
        assert_eq!(folder("a/b"), Ok("a/b".to_owned()));
        for wrong in ["", "/", "/abs", "a//b", "..", "a/../b", ".yrm", ".yrm/x", "quarantine", "a\nb"] {
            assert!(folder(wrong).is_err(), "{wrong}");
        }
        assert!(overlap("a", "a") && overlap("a/b", "a") && overlap("a", "a/b"));
        assert!(!overlap("inbox", "inbox2") && !overlap("a/b", "a/c"));
    }

    #[test]
    fn repositories_have_four_spellings() {
        assert!(matches!(repositories("single"), Ok(Repositories::Single)));
        assert!(matches!(repositories("per-folder"), Ok(Repositories::Depth(1))));
        assert!(matches!(repositories("depth=3"), Ok(Repositories::Depth(3))));
        let Ok(Repositories::Globs(globs)) = repositories("el9/*, /el8/x/") else { panic!("globs") };
        assert_eq!(globs, ["el9/*", "el8/x"]);
        for wrong in ["", "depth=0", "depth=x", "a,,b", "../x", "el9/[", "depth=99"] {
            assert!(repositories(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_queue_has_two_spellings() {
        for right in [
            "https://sqs.eu-west-1.amazonaws.com/123456789012/my-bucket-inbox",
            "http://127.0.0.1:4566/123456789012/q",
            "arn:aws:sqs:eu-west-1:123456789012:my-bucket-inbox",
            "arn:aws-cn:sqs:cn-north-1:123456789012:q_1",
        ] {
            assert_eq!(queue(right).map(|queue| queue.to_string()), Ok(right.to_owned()));
        }
        for wrong in [
            "",
            "my-queue",
            "https://sqs.eu-west-1.amazonaws.com",
            "https://sqs.eu-west-1.amazonaws.com/",
            "https://host/a//b",
            "https://host/a?Action=DeleteQueue",
            "https://user:pw@host/a/b",
            "arn:aws:sns:eu-west-1:123456789012:topic",
            "arn:aws:sqs:eu-west-1:123456789012",
            "arn:aws:sqs::123456789012:q",
            "arn:aws:sqs:eu-west-1:123456789012:q:x",
        ] {
            assert!(queue(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_carry_no_credentials_and_no_blanks() {
        assert_eq!(web_url("http://127.0.0.1:9000/"), Ok("http://127.0.0.1:9000".to_owned()));
        for wrong in ["", "127.0.0.1:9000", "http://", "http:///x", "http://user:pw@host", "http://a b"] {
            assert!(web_url(wrong).is_err(), "{wrong}");
        }
        let two = "https://packages.example.org/repo/, file:///srv/bucket/repo";
        let read = vec!["https://packages.example.org/repo".to_owned(), "file:///srv/bucket/repo".to_owned()];
        assert_eq!(public_urls(two), Ok(read));
        let many =
            ["", "host/repo", "https://", "https:///repo", "http://user:pw@host", "https://host/a b", "file://host/x"];
        for wrong in
            many.into_iter().chain(["https://host/repo?token=x", "https://host/\nhttps://evil", "ftp://host/x"])
        {
            assert!(public_urls(wrong).is_err(), "{wrong}");
        }
        assert!(datadog_site("datadoghq.eu").is_ok() && datadog_site("evil/path").is_err());
        assert!(host_and_port("localhost:8125").is_ok() && host_and_port("localhost").is_err());
    }
}
