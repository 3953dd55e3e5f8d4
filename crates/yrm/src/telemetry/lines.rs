//! The way of a line into the log. What uploaders can have said again and again is bounded here: a
//! warning about the publish line or the store is said once, and again when it says something else or an hour
//! later; and of each kind so many come in a minute, and then how many more there were. A line
//! that cannot be written is lost, and holds up nobody.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::rotating::Rotating;
use crate::legible::{Log, Spelling};

/// The same line comes again after this.
const SAID_AGAIN_AFTER: Duration = Duration::from_hours(1);
/// Lines of one kind in a [`MINUTE`], at most.
const LINES_A_MINUTE: u32 = 100;
/// What that is.
const MINUTE: Duration = Duration::from_mins(1);
/// Lines that are remembered; when they are more, all are forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// Where lines end.
#[derive(Debug)]
pub(super) enum Sink {
    Stderr,
    File(Rotating),
}

impl Sink {
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().write_all(line),
            Self::File(file) => file.append(line),
        }
    }
}

/// The lines of one log.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    spelling: Spelling,
    log: Arc<Mutex<(Sink, Restraint)>>,
}

impl Lines {
    pub(super) fn to(sink: Sink, spelling: Spelling) -> Self {
        Self { spelling, log: Arc::new(Mutex::new((sink, Restraint::default()))) }
    }

    /// Goes on in a new file where the present one was moved away.
    pub(super) fn reopen(&self) -> io::Result<()> {
        match &mut self.log.lock().unwrap_or_else(PoisonError::into_inner).0 {
            Sink::Stderr => Ok(()),
            Sink::File(file) => file.reopen(),
        }
    }

    fn put(&self, kind: Option<&Identifier>, line: &[u8]) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let (sink, restraint) = &mut *log;
        let says = match kind {
            Some(kind) => restraint.judge(kind, gist(&String::from_utf8_lossy(line)), Instant::now()),
            None => Says::Line,
        };
        let mut safe = Vec::with_capacity(line.len());
        if let Says::Line | Says::AfterLeavingOut(_) = says {
            drop(Log(&mut safe, self.spelling).write_all(line));
        }
        if let Says::AfterLeavingOut(count) = says {
            safe.extend(left_out(self.spelling, count).into_bytes());
        }
        // Nobody is left to tell.
        drop(sink.put(&safe));
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, kind: None }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        let ours = ["yrm::publish", "yrm::store"].iter().any(|module| metadata.target().starts_with(module));
        let kind = (ours && *metadata.level() <= Level::WARN).then(|| metadata.callsite());
        Line { lines: self, kind }
    }
}

/// One line on its way. Writing it never fails.
#[derive(Debug)]
pub(super) struct Line<'a> {
    lines: &'a Lines,
    kind: Option<Identifier>,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.put(self.kind.as_ref(), line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Line,
    /// The line, and that so many before it were left out.
    AfterLeavingOut(u64),
    Nothing,
}

/// What was said lately.
#[derive(Debug, Default)]
struct Restraint {
    said: HashMap<u64, Instant>,
    kinds: HashMap<Identifier, Minute>,
}

#[derive(Debug)]
struct Minute {
    began: Instant,
    lines: u32,
    left_out: u64,
}

impl Restraint {
    fn judge(&mut self, kind: &Identifier, gist: u64, now: Instant) -> Says {
        if self.said.get(&gist).is_some_and(|said| now.duration_since(*said) < SAID_AGAIN_AFTER) {
            return Says::Nothing;
        }
        let minute = self.kinds.entry(kind.clone()).or_insert_with(|| Minute { began: now, lines: 0, left_out: 0 });
        if now.duration_since(minute.began) >= MINUTE {
            (minute.began, minute.lines) = (now, 0);
        }
        if minute.lines >= LINES_A_MINUTE {
            minute.left_out += 1;
            return Says::Nothing;
        }
        minute.lines += 1;
        let left_out = std::mem::take(&mut minute.left_out);
        if self.said.len() >= MAX_REMEMBERED {
            self.said.clear();
        }
        self.said.insert(gist, now);
        if left_out == 0 { Says::Line } else { Says::AfterLeavingOut(left_out) }
    }
}

/// What a line says, whenever and in whatever run: without its time and the run's id.
fn gist(line: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    let words = line.split_ascii_whitespace().skip(1).filter(|word| !word.starts_with("run.id="));
    // Of JSON the first word is all up to the first blank: the time and the level, or more.
    let json = line.starts_with('{').then(|| {
        let without = |name: &str, text: &str| match text.split_once(&format!("\"{name}\":\"")) {
            Some((before, behind)) => format!("{before}{}", behind.split_once('"').map_or("", |(_, rest)| rest)),
            None => text.to_owned(),
        };
        without("run.id", &without("timestamp", line))
    });
    match json {
        Some(json) => json.hash(&mut hash),
        None => words.collect::<Vec<_>>().hash(&mut hash),
    }
    hash.finish()
}

/// A line about lines.
fn left_out(spelling: Spelling, count: u64) -> String {
    let message = format!("{count} more lines of this kind were left out of the log");
    match spelling {
        Spelling::Human => format!("   … {message}\n"),
        Spelling::Json => format!("{{\"level\":\"WARN\",\"message\":\"{message}\",\"target\":\"yrm::telemetry\"}}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind() -> Identifier {
        struct Here;
        impl tracing::callsite::Callsite for Here {
            fn set_interest(&self, _: tracing::subscriber::Interest) {}
            fn metadata(&self) -> &Metadata<'_> {
                unreachable!("nobody asks")
            }
        }
        static HERE: Here = Here;
        Identifier(&HERE)
    }

    #[test]
    fn the_same_line_of_the_next_run_says_nothing_new() {
        let human =
            |time, run, key| gist(&format!("{time} ERROR yrm::publish: left in the inbox run.id={run} key={key}\n"));
        assert_eq!(human("10:00", "01A", "a"), human("10:01", "01B", "a"));
        assert_ne!(human("10:00", "01A", "a"), human("10:00", "01A", "b"));
        let json = |time, run, key| {
            gist(&format!("{{\"timestamp\":\"{time}\",\"level\":\"WARN\",\"run.id\":\"{run}\",\"key\":\"{key}\"}}\n"))
        };
        assert_eq!(json("10:00", "01A", "a b"), json("10:01", "01B", "a b"));
        assert_ne!(json("10:00", "01A", "a b"), json("10:00", "01A", "a c"));
    }

    #[test]
    fn what_uploaders_have_said_again_and_again_is_said_once_an_hour() {
        let (mut restraint, began) = (Restraint::default(), Instant::now());
        let mut said = 0;
        // 5,000 files that wait, for ten runs a minute apart.
        for run in 0..10 {
            for file in 0..5_000 {
                said += u32::from(restraint.judge(&kind(), file, began + run * MINUTE) != Says::Nothing);
            }
        }
        assert_eq!(said, 10 * LINES_A_MINUTE, "each run the next ones");
        let now = began + Duration::from_hours(2);
        assert_eq!(restraint.judge(&kind(), 0, now), Says::AfterLeavingOut(5_000 - 9 * 100 - 100));
        assert_eq!(restraint.judge(&kind(), 0, now), Says::Nothing);
        assert_eq!(restraint.judge(&kind(), 0, now + SAID_AGAIN_AFTER), Says::Line);
        for gist in 0..100_000 {
            restraint.judge(&kind(), gist, now + MINUTE * u32::try_from(gist / 50).unwrap());
        }
        assert!(restraint.said.len() <= MAX_REMEMBERED);
    }
}
