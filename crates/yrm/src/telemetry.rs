//! Where log lines go: stderr, and a file if one is named. Never stdout, which carries data.
//! A log that cannot be written to, on a full disk say, ends nothing.

mod lines;
mod rotating;

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::OnceLock;

use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use self::lines::{Lines, Sink};
use self::rotating::Rotating;
pub use self::rotating::{KEPT_LOG_FILES, LOG_FILE_BYTES};
use crate::config::LogFormat;
use crate::error::{Error, ErrorKind, Result};
use crate::legible::Spelling;

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Warnings and errors: verbs that end.
    Quiet,
    /// What the service does: `serve`.
    Normal,
    /// `-v`: this program's details.
    Verbose,
    /// `-d`: everything, the libraries' too.
    Debug,
}

impl Verbosity {
    fn filter(self) -> &'static str {
        match self {
            // What the service would log about a run, the verb itself shows.
            // What AWS's libraries warn of is Debug output, and what comes of it is told by whoever asked them.
            Self::Quiet => "warn,yrm::serve=off,aws_config=error,aws_runtime=error,aws_smithy_runtime=error",
            Self::Normal => "warn,yrm=info,aws_config=error,aws_runtime=error,aws_smithy_runtime=error",
            Self::Verbose => "info,yrm=debug,aws_config=error,aws_runtime=error,aws_smithy_runtime=error",
            // The HTTP and TLS layers' own debug lines print headers, and headers hold signatures.
            Self::Debug => {
                "debug,yrm=trace,hyper=info,hyper_util=info,h2=info,rustls=info,aws_sigv4=info,\
                            aws_smithy_runtime=info,aws_smithy_runtime_api=info,aws_runtime=info,aws_config=info,reqwest=info"
            }
        }
    }
}

impl Verbosity {
    /// A file is read when nobody saw what the verb showed.
    fn in_a_file(self) -> Self {
        match self {
            Self::Quiet | Self::Normal => Self::Normal,
            Self::Verbose | Self::Debug => self,
        }
    }
}

/// What logging needs to know.
#[derive(Debug)]
pub struct Logging<'a> {
    /// How much.
    pub verbosity: Verbosity,
    /// A filter in `tracing`'s syntax that wins over the verbosity (`YRM_LOG`).
    pub filter: Option<&'a str>,
    /// How lines are written.
    pub format: LogFormat,
    /// A file to append to as well.
    pub file: Option<&'a Path>,
}

/// The log file, once there is one.
static FILE: OnceLock<Lines> = OnceLock::new();

/// Goes on in a new log file where the present one was moved away, as logrotate does. Without a log file nothing happens.
pub fn reopen() {
    let Some(file) = FILE.get() else { return };
    match file.reopen() {
        Ok(()) => tracing::info!("the log file was opened anew"),
        Err(error) => tracing::warn!(%error, "the log file cannot be opened anew; the log goes on where it was"),
    }
}

/// Starts logging. Called once, before anything that logs.
pub fn start(logging: &Logging<'_>) -> Result<()> {
    let (seen, kept) = (filter(logging, logging.verbosity)?, filter(logging, logging.verbosity.in_a_file())?);
    let file = logging.file.map(open).transpose()?;
    let spelling = match logging.format {
        LogFormat::Human => Spelling::Human,
        LogFormat::Json => Spelling::Json,
    };
    let is_terminal = std::io::stderr().is_terminal();
    let stderr = writer(logging.format, is_terminal, Lines::to(Sink::Stderr, spelling)).with_filter(seen);
    let file = file.map(|file| Lines::to(Sink::File(file), spelling));
    let to_file = file.clone().map(|lines| writer(logging.format, false, lines).with_filter(kept));
    // A second start (tests in one process) keeps the first: no reason to fail.
    if Registry::default().with(stderr).with(to_file).try_init().is_ok()
        && let Some(file) = file
    {
        drop(FILE.set(file));
    }
    Ok(())
}

fn filter(logging: &Logging<'_>, verbosity: Verbosity) -> Result<EnvFilter> {
    let text = logging.filter.unwrap_or_else(|| verbosity.filter());
    EnvFilter::try_new(text).map_err(|error| {
        Error::new(ErrorKind::Config, format!("reading the log filter {text:?}"))
            .because(error)
            .hint("YRM_LOG is a level or a list such as info,yrm::publish=trace")
    })
}

fn open(path: &Path) -> Result<Rotating> {
    Rotating::open(path, LOG_FILE_BYTES).map_err(|error| {
        Error::new(ErrorKind::Config, format!("opening the log file {}", path.display()))
            .because(error)
            .hint("log-file must be in a directory that exists and may be written to")
    })
}

fn writer<S, W>(format: LogFormat, colours: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    match format {
        LogFormat::Human => layer().with_ansi(colours).with_writer(writer).boxed(),
        LogFormat::Json => layer().json().flatten_event(true).with_writer(writer).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verbosity_has_a_filter_that_parses() {
        for verbosity in [Verbosity::Quiet, Verbosity::Normal, Verbosity::Verbose, Verbosity::Debug] {
            assert!(EnvFilter::try_new(verbosity.filter()).is_ok(), "{verbosity:?}");
        }
    }

    #[test]
    fn a_log_file_that_cannot_be_opened_says_so() {
        let logging = Logging {
            verbosity: Verbosity::Quiet,
            filter: None,
            format: LogFormat::Human,
            file: Some(Path::new("/nonexistent/dir/log")),
        };
        let error = start(&logging).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("/nonexistent/dir/log"));
    }
}
