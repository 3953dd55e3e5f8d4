//! The command line: what can be typed, and what is done then.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};

use crate::bucket::{Bucket, Region};
use crate::chain::{Chain, Typed};
use crate::check::check;
use crate::complaint::{Complaint, Result};
use crate::endpoint::Origin;
use crate::host::Hosts;
use crate::repo_file::{Repository, Signed};
use crate::serve::{Serving, serve};
use crate::signer::Signer;
use crate::{environment, log, sockets};

/// Presigned addresses are good for no longer.
const MAX_EXPIRES: Duration = Duration::from_mins(5);

const EXAMPLES: &str = "\
Examples:
  yrm-client serve --bucket s3://my-bucket
  yrm-client check --bucket s3://my-bucket
  yrm-client repo --bucket s3://my-bucket >/etc/yum.repos.d/my-bucket.repo

dnf, yum and zypper then read baseurl=http://127.0.0.1:8735/my-bucket/repo.";

const SERVE_EXAMPLES: &str = "\
Every flag can stand in /etc/yrm-client.conf: --expires 1m is
YRM_CLIENT_EXPIRES=1m, and all buckets are YRM_CLIENT_BUCKETS=s3://one,s3://two

Examples:
  yrm-client serve --bucket s3://my-bucket
  yrm-client serve -b s3://one/team -b 's3://two?region=eu-west-1'
  yrm-client serve -b s3://mine --endpoint http://127.0.0.1:9000 --path-style";

const CHECK_EXAMPLES: &str = "\
Examples:
  yrm-client check                  what /etc/yrm-client.conf says
  yrm-client check -b s3://my-bucket --folder repo/el9";

const REPO_EXAMPLES: &str = "\
Examples:
  yrm-client repo -b s3://my-bucket >/etc/yum.repos.d/my-bucket.repo
  yrm-client repo -b s3://my-bucket --folder repo/el9 --name el9
  yrm-client repo -b s3://my-bucket --key RPM-GPG-KEY-my-bucket";

/// Lets dnf, yum and zypper install from a private S3 bucket with this machine's
/// role
#[derive(Debug, Parser)]
#[command(name = "yrm-client", version, term_width = 80, after_help = EXAMPLES, disable_help_subcommand = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(ServeFlags),
    Check(CheckFlags),
    Repo(RepoFlags),
}

/// Run the service: answer http://127.0.0.1:8735/BUCKET/KEY with a redirect
#[derive(Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
struct ServeFlags {
    #[command(flatten)]
    place: PlaceFlags,
    /// Address to listen on; repeat for more. A socket of systemd replaces it
    #[arg(long, env = "YRM_CLIENT_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    #[arg(default_value = "127.0.0.1:8735", hide_env = true)]
    listen: Vec<SocketAddr>,
    /// How long a redirect is valid, at most 5m
    #[arg(long, env = "YRM_CLIENT_EXPIRES", value_name = "TIME", value_parser = expires)]
    #[arg(default_value = "5m", hide_env = true)]
    expires: Duration,
    /// Stop after this time without a request (systemd starts it again)
    #[arg(long, env = "YRM_CLIENT_IDLE_EXIT", value_name = "TIME", value_parser = time, hide_env = true)]
    idle_exit: Option<Duration>,
    /// Allow addresses that other machines reach: they read with these rights
    #[arg(long, env = "YRM_CLIENT_ANYWHERE", value_parser = FalseyValueParser::new(), hide_env = true)]
    anywhere: bool,
    /// With --anywhere, a host name that requests may use
    #[arg(long, env = "YRM_CLIENT_HOSTS", value_name = "NAME", value_delimiter = ',', requires = "anywhere")]
    #[arg(hide_env = true)]
    host: Vec<String>,
    /// Log every request (never its presigned address)
    #[arg(short, long, env = "YRM_CLIENT_VERBOSE", value_parser = FalseyValueParser::new(), hide_env = true)]
    verbose: bool,
}

/// Say whether credentials are found, as whom, and whether the bucket answers
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
struct CheckFlags {
    #[command(flatten)]
    place: PlaceFlags,
    #[command(flatten)]
    reader: ReaderFlags,
}

/// Print the repository file for dnf, yum and zypper
#[derive(Debug, Args)]
#[command(after_help = REPO_EXAMPLES)]
struct RepoFlags {
    #[command(flatten)]
    buckets: BucketFlags,
    #[command(flatten)]
    reader: ReaderFlags,
    /// Name of the repository [default: bucket and folder]
    #[arg(long)]
    name: Option<String>,
    /// Public key in that folder: check the metadata's signature, too
    #[arg(long, value_name = "FILE", conflicts_with = "unsigned")]
    key: Option<String>,
    /// Do not check signatures
    #[arg(long)]
    unsigned: bool,
}

#[derive(Debug, Args)]
struct BucketFlags {
    /// Bucket to allow, or a prefix in it; repeat for more
    #[arg(short, long = "bucket", env = "YRM_CLIENT_BUCKETS", value_name = "s3://NAME", value_delimiter = ',')]
    #[arg(required = true, hide_env = true)]
    buckets: Vec<Bucket>,
}

/// Where a client reads.
#[derive(Debug, Args)]
struct ReaderFlags {
    /// Folder of the repository in the bucket
    #[arg(long, default_value = "repo", value_name = "FOLDER")]
    folder: String,
    /// Where the service listens
    #[arg(long, env = "YRM_CLIENT_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    #[arg(default_value = "127.0.0.1:8735", hide_env = true)]
    listen: Vec<SocketAddr>,
}

/// Where the buckets are, and who reads them.
#[derive(Debug, Args)]
struct PlaceFlags {
    #[command(flatten)]
    buckets: BucketFlags,
    /// Region of the buckets [default: S3 is asked]
    #[arg(long, env = "YRM_CLIENT_REGION", hide_env = true)]
    region: Option<Region>,
    /// Address of an S3-compatible store
    #[arg(long, env = "YRM_CLIENT_ENDPOINT", value_name = "URL", hide_env = true)]
    endpoint: Option<Origin>,
    /// Put the bucket into the path, not into the host name
    #[arg(long, env = "YRM_CLIENT_PATH_STYLE", value_parser = FalseyValueParser::new(), hide_env = true)]
    path_style: bool,
    /// Use FIPS endpoints
    #[arg(long, env = "YRM_CLIENT_FIPS", value_parser = FalseyValueParser::new(), hide_env = true)]
    fips: bool,
    /// Use dual-stack endpoints (IPv6)
    #[arg(long, env = "YRM_CLIENT_DUAL_STACK", value_parser = FalseyValueParser::new(), hide_env = true)]
    dual_stack: bool,
    /// Profile of the AWS configuration [default: AWS_PROFILE]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

impl PlaceFlags {
    fn signer(self, expires: Duration) -> Signer {
        let typed = Typed {
            profile: self.profile,
            region: self.region,
            origin: self.endpoint,
            path_style: self.path_style,
            fips: self.fips,
            dual_stack: self.dual_stack,
        };
        Signer::new(self.buckets.buckets, Chain::new(typed), expires)
    }
}

/// Does what was typed.
pub fn execute() -> ExitCode {
    if let Err(complaint) = environment::settle() {
        return failed(&complaint);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli.verb) {
        Ok(code) => code,
        Err(complaint) => failed(&complaint),
    }
}

fn failed(complaint: &Complaint) -> ExitCode {
    log::warn(complaint.what());
    if let Some(advice) = complaint.advice() {
        log::warn(&format!("hint: {advice}"));
    }
    ExitCode::FAILURE
}

fn run(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Serve(flags) => {
            let hosts = Hosts {
                names: flags.host.iter().map(|name| name.to_ascii_lowercase()).collect(),
                any_address: flags.anywhere,
            };
            let serving = Serving { hosts, idle_exit: flags.idle_exit, verbose: flags.verbose };
            let signer = flags.place.signer(flags.expires);
            let listening = sockets::open(&flags.listen, flags.anywhere)?;
            runtime()?.block_on(serve(signer, listening, serving))?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Check(flags) => {
            let signer = flags.place.signer(MAX_EXPIRES);
            let service = first(&flags.reader.listen);
            let findings = runtime()?.block_on(check(&signer, &flags.reader.folder, service));
            print(&findings.text)?;
            Ok(if findings.is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        Verb::Repo(flags) => {
            let signed = match (&flags.key, flags.unsigned) {
                (Some(key), _) => Signed::By(key),
                (None, true) => Signed::Nothing,
                (None, false) => Signed::Packages,
            };
            let listens = first(&flags.reader.listen);
            let files: Vec<String> = flags
                .buckets
                .buckets
                .iter()
                .map(|bucket| {
                    let (folder, name) = (flags.reader.folder.as_str(), flags.name.as_deref());
                    Repository { bucket, listens, folder, name, signed }.file()
                })
                .collect();
            print(&files.join("\n"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Everything waits for the network or for a client: one thread is enough.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Complaint::new(format!("the program cannot start: {error}")))
}

/// The address that clients are told of.
fn first(listen: &[SocketAddr]) -> SocketAddr {
    listen.first().copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8735)))
}

fn print(text: &str) -> Result<()> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Complaint::new(format!("the output cannot be written: {error}")))
}

/// `5m`, `90s`, `2h`, or seconds.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        unit => return Err(format!("there is no unit \"{}\": write 90s, 5m or 2h", unit.escape_default())),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match seconds {
        Some(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
        _ => Err("write a time of at least a second, such as 90s, 5m or 2h".to_owned()),
    }
}

fn expires(text: &str) -> Result<Duration, String> {
    match time(text)? {
        time if time > MAX_EXPIRES => Err("a redirect is valid for 5m at most".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_a_unit_and_addresses_a_limit() {
        assert_eq!(time("90"), Ok(Duration::from_secs(90)));
        assert_eq!(time("2h"), Ok(Duration::from_hours(2)));
        assert_eq!(expires("5m"), Ok(MAX_EXPIRES));
        for text in ["", "0", "0s", "-1", "1d", "m", "99999999999999999999", "1.5m"] {
            assert!(time(text).is_err(), "{text}");
        }
        assert!(expires("301").is_err());
    }
}
