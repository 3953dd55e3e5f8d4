//! A line for each request below `repo/`, in the combined log format, into a file of its own; written beside the answers, and
//! opened anew when SIGHUP says that it was moved away. No query and no password is ever in a line.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::error::{Error, ErrorKind, Result};
use crate::metrics;

/// Lines that wait to be written; more are dropped and counted.
const WAITING: usize = 10_000;
/// Characters of what a client says of itself, at most.
const MAX_CHARS: usize = 500;

/// Lines are written together that come within this.
const TOGETHER: Duration = Duration::from_millis(50);
/// Whoever waits for the last lines waits for so long.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Where lines go.
#[derive(Debug, Clone)]
pub struct AccessLog {
    lines: SyncSender<Sent>,
    /// The file was moved away since the last line.
    moved: Arc<AtomicBool>,
}

/// What comes to the one who writes.
#[derive(Debug)]
enum Sent {
    Line(String),
    /// Somebody waits for all before it.
    Flush(SyncSender<()>),
}

/// What a line tells of.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) from: IpAddr,
    /// The name of the token.
    pub(crate) who: Option<&'a str>,
    pub(crate) at: Timestamp,
    pub(crate) method: &'a Method,
    /// Without its query.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) status: StatusCode,
    /// Of the body, where that is known.
    pub(crate) bytes: Option<u64>,
}

impl AccessLog {
    /// Appends to a file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open(path).map_err(|error| {
            Error::new(ErrorKind::Config, format!("opening the access log {}", path.display()))
                .because(error)
                .hint("access-log names a file that the service may write to")
        })?;
        let (lines, waiting) = sync_channel(WAITING);
        let (path, moved) = (path.to_owned(), Arc::new(AtomicBool::new(false)));
        let seen = Arc::clone(&moved);
        std::thread::spawn(move || write(file, &path, &waiting, &seen));
        Ok(Self { lines, moved })
    }

    /// The file was moved away: the next line begins a new one.
    pub fn reopen(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    pub(crate) fn note(&self, entry: &Entry<'_>) {
        if self.lines.try_send(Sent::Line(entry.line())).is_err() {
            metrics::access_line_dropped();
        }
    }

    /// Waits until what was noted is written, but not for long.
    pub fn flush(&self) {
        let (written, is_written) = sync_channel(1);
        let is_heard = self.lines.try_send(Sent::Flush(written)).is_ok();
        if !is_heard || is_written.recv_timeout(LAST_LINES).is_err() {
            tracing::warn!("the last lines of the access log may be missing");
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// Writes what comes, a batch at a time: to wake this thread for each line would take longer than most answers.
fn write(mut file: File, path: &Path, sent: &Receiver<Sent>, moved: &AtomicBool) {
    let (mut is_told, mut batch) = (false, String::new());
    while let Ok(first) = sent.recv() {
        let mut waits = Vec::new();
        let mut take = |one| match one {
            Sent::Line(line) => batch.push_str(&line),
            Sent::Flush(waiting) => waits.push(waiting),
        };
        if matches!(first, Sent::Line(_)) {
            std::thread::sleep(TOGETHER);
        }
        take(first);
        sent.try_iter().for_each(take);
        let opened = if moved.swap(false, Ordering::Relaxed) { open(path).map(|anew| file = anew) } else { Ok(()) };
        let done = opened.and_then(|()| file.write_all(batch.as_bytes()));
        batch.clear();
        match done {
            Ok(()) => is_told = false,
            Err(error) => {
                if !is_told {
                    tracing::warn!(%error, "the access log {} cannot be written", path.display());
                }
                is_told = true;
            }
        }
        for waiting in waits {
            if waiting.try_send(()).is_err() {
                tracing::debug!("nobody waits for the access log any more");
            }
        }
    }
}

impl Entry<'_> {
    /// `192.0.2.7 - ci [30/Nov/2026:07:00:00 +0000] "GET /repo/a.rpm HTTP/1.1" 302 0 "-" "libdnf"`.
    fn line(&self) -> String {
        let at = second(self.at);
        let said = |name: HeaderName| {
            let value = self.headers.get(name).map(|value| plain(&String::from_utf8_lossy(value.as_bytes())));
            value.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned())
        };
        // A referer may be an address with a secret in it.
        let referer = said(header::REFERER);
        let referer = referer.split(['?', '#']).next().unwrap_or("-");
        let bytes = self.bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        format!(
            "{} - {} [{at}] \"{} {} HTTP/1.1\" {} {bytes} \"{referer}\" \"{}\"\n",
            self.from,
            self.who.map_or_else(|| "-".to_owned(), plain),
            plain(self.method.as_str()),
            plain(self.path),
            self.status.as_u16(),
            said(header::USER_AGENT),
        )
    }
}

/// What the log tells of a request's head.
pub(super) fn told(headers: &HeaderMap) -> HeaderMap {
    let mut told = HeaderMap::new();
    for name in [header::REFERER, header::USER_AGENT] {
        told.extend(headers.get(&name).cloned().map(|value| (name, value)));
    }
    told
}

/// `30/Nov/2026:07:00:00 +0000`. Many lines are of one second.
fn second(at: Timestamp) -> String {
    thread_local! {
        static LAST: RefCell<(i64, String)> = RefCell::default();
    }
    LAST.with_borrow_mut(|(last, text)| {
        if *last != at.as_second() || text.is_empty() {
            *last = at.as_second();
            *text = at.to_zoned(TimeZone::UTC).strftime("%d/%b/%Y:%H:%M:%S %z").to_string();
        }
        text.clone()
    })
}

/// Text that cannot end a field or a line.
fn plain(text: &str) -> String {
    let is_plain = |byte: u8| byte != b'"' && byte != b'\\' && (byte.is_ascii_graphic() || byte == b' ');
    if text.len() <= MAX_CHARS && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    let mut plain = String::new();
    for c in text.chars().take(MAX_CHARS) {
        if c == '"' || c == '\\' || !(c.is_ascii_graphic() || c == ' ') {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                write!(plain, "\\x{byte:02x}").expect("a String takes any text");
            }
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_line_is_in_the_combined_format_and_what_clients_write_is_inert() {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_bytes(b"dnf \" \\ \xff\t1").unwrap());
        headers.insert(header::REFERER, HeaderValue::from_static("https://example.org/x?token=secret"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer secret"));
        let entry = Entry {
            from: "2001:db8::7".parse().unwrap(),
            who: Some("ci"),
            at: "2026-11-30T07:00:05Z".parse().unwrap(),
            method: &Method::GET,
            path: "/repo/a%0a\"b\u{202e}.rpm",
            headers: &headers,
            status: StatusCode::FOUND,
            bytes: Some(0),
        };
        assert_eq!(
            entry.line(),
            "2001:db8::7 - ci [30/Nov/2026:07:00:05 +0000] \"GET /repo/a%0a\\x22b\\xe2\\x80\\xae.rpm HTTP/1.1\" 302 0 \
             \"https://example.org/x\" \"dnf \\x22 \\x5c \\xef\\xbf\\xbd\\x091\"\n"
        );
    }

    #[test]
    fn a_file_that_was_moved_away_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = AccessLog::open(&path).unwrap();
        let note = || {
            log.note(&Entry {
                from: IpAddr::from([192, 0, 2, 7]),
                who: None,
                at: Timestamp::UNIX_EPOCH,
                method: &Method::GET,
                path: "/repo/a.rpm",
                headers: &HeaderMap::new(),
                status: StatusCode::OK,
                bytes: None,
            });
        };
        let lines = |path: &Path| std::fs::read_to_string(path).map_or(0, |text| text.lines().count());
        let wait = |path: &Path, count| {
            for _ in 0..500 {
                if lines(path) == count {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            panic!("{} has {} lines", path.display(), lines(path));
        };
        note();
        wait(&path, 1);
        let moved = folder.path().join("access.log.1");
        std::fs::rename(&path, &moved).unwrap();
        log.reopen();
        note();
        wait(&path, 1);
        assert_eq!(lines(&moved), 1);
        assert!(AccessLog::open(folder.path()).is_err());
    }
}
