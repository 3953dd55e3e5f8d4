//! The first version's three answers, with its exact names, forms and order.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::answers::in_place;
use super::crowd::Guest;
use super::faces::Faces;
use crate::board::{Keys, Past};

/// Entries of `previousRuns`, as in the first version.
const ENTRIES: usize = 60;
/// Bytes of keys in an answer, with their quotes: with all else it stays below 1 MiB. The newest runs have them first.
const MAX_KEYS_BYTES: usize = 1_000_000;
/// Keys that are written at once.
const KEYS_A_PIECE: usize = 32;
/// The longest Host header that is repeated in a link: a DNS name and a port.
const MAX_HOST_BYTES: usize = 261;

/// `GET /`: where the other two are.
pub(super) async fn index(State(faces): State<Faces>, headers: HeaderMap) -> Json<Value> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = sound_host(host, faces.listen);
    Json(json!({"history": format!("http://{host}/history"), "jobs": format!("http://{host}/scheduledJobs")}))
}

/// `GET /history`: the last runs, oldest first; of lists that are too long the first keys, and how many more
/// there are.
pub(super) async fn history(State(faces): State<Faces>, Extension(guest): Extension<Guest>) -> Response {
    in_place((&guest, guest.address()), async { previous_runs_of(&faces) }).await
}

fn previous_runs_of(faces: &Faces) -> Response {
    let now = python_datetime((faces.now)());
    let body =
        Body::from_stream(futures::stream::iter(previous_runs(&now, &faces.board.runs()).map(Ok::<_, Infallible>)));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// `GET /scheduledJobs`: the one job.
pub(super) async fn scheduled_jobs(State(faces): State<Faces>) -> Json<Value> {
    let schedule = faces.board.schedule();
    Json(json!({"scheduledJobs": [{
        "runs": schedule.runs_finished,
        "name": "manageYumRepo",
        "next_run_time": http_date(schedule.next_run),
        "interval": python_timedelta(schedule.interval),
    }]}))
}

/// An entry of `previousRuns`.
struct Entry {
    timestamp: String,
    name: &'static str,
    keys: Keys,
    /// How many of the keys are shown.
    shown: usize,
}

/// A run's entries: what it found and, if it found anything, what it did not publish.
fn entries(run: &Past) -> Vec<Entry> {
    let entry = |at: Timestamp, name, keys: &Keys| {
        let (timestamp, keys) = (python_datetime(at), keys.clone());
        Entry { timestamp, name, shown: keys.first.len(), keys }
    };
    let found = entry(run.started, "inboxKeys", &run.inbox_keys);
    if run.inbox_keys.count() == 0 {
        return vec![found];
    }
    let ended = run.started.checked_add(Duration::from_millis(run.duration_ms)).unwrap_or(run.started);
    vec![found, entry(ended, "skippedKeys", &run.skipped_keys)]
}

/// The answer, made piece by piece as it is read: a reader who is slow keeps a piece in memory, and not all of it.
fn previous_runs(now: &str, runs: &[Past]) -> impl Iterator<Item = String> + use<> {
    let mut entries: Vec<Entry> = runs.iter().flat_map(entries).collect();
    entries.drain(..entries.len().saturating_sub(ENTRIES));
    let mut room = MAX_KEYS_BYTES;
    for entry in entries.iter_mut().rev() {
        let fits = |key: &&String| {
            let rest = room.checked_sub(quoted(key).len() + 1);
            room = rest.unwrap_or(0);
            rest.is_some()
        };
        entry.shown = entry.keys.first.iter().take_while(fits).count();
    }
    let start = format!("{{\"now\":{},\"previousRuns\":[", quoted(now));
    let pieces = entries.into_iter().enumerate().flat_map(|(at, entry)| {
        let comma = if at == 0 { "" } else { "," };
        let head = format!("{comma}{{\"timestamp\":{},\"{}\":[", quoted(&entry.timestamp), entry.name);
        let more = entry.keys.count() - entry.shown;
        let tail = if more == 0 { "]}".to_owned() } else { format!("],\"more\":{more}}}") };
        let keys = (0..entry.shown).step_by(KEYS_A_PIECE).map(move |from| {
            let piece = &entry.keys.first[from..entry.shown.min(from + KEYS_A_PIECE)];
            let piece: Vec<String> = piece.iter().map(|key| quoted(key)).collect();
            format!("{}{}", if from == 0 { "" } else { "," }, piece.join(","))
        });
        std::iter::once(head).chain(keys).chain(std::iter::once(tail))
    });
    std::iter::once(start).chain(pieces).chain(std::iter::once("]}".to_owned()))
}

/// As JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// `2026-11-22 20:00:00.000000`, UTC.
fn python_datetime(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
}

/// `Sun, 22 Nov 2026 20:00:00 GMT`.
fn http_date(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// `0:01:00`, `1 day, 0:00:00`: as Python's `str(timedelta)`.
fn python_timedelta(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes, rest) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let clock = format!("{hours}:{minutes:02}:{rest:02}");
    match days {
        0 => clock,
        1 => format!("1 day, {clock}"),
        days => format!("{days} days, {clock}"),
    }
}

/// The Host a client gave, if it can stand in a URL and nothing else; else our own address. A
/// link must not carry an attacker's markup into somebody's page.
fn sound_host(host: Option<&str>, listen: SocketAddr) -> String {
    let sound = |host: &&str| {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            Some(_) | None => (*host, None),
        };
        let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let name_sound = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !name.is_empty()
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
            }
        };
        let port_sound = port.is_none_or(|port| port.parse::<u16>().is_ok());
        host.len() <= MAX_HOST_BYTES && name_sound && port_sound
    };
    host.filter(sound).map_or_else(|| listen.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timedeltas_are_pythons() {
        let cases = [
            (60, "0:01:00"),
            (3_661, "1:01:01"),
            (86_400, "1 day, 0:00:00"),
            (90_061, "1 day, 1:01:01"),
            (864_000, "10 days, 0:00:00"),
            (1, "0:00:01"),
        ];
        for (seconds, text) in cases {
            assert_eq!(python_timedelta(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn datetimes_always_have_six_digits_of_microseconds() {
        let time = Timestamp::new(1_795_377_600, 42_999).unwrap();
        assert_eq!(python_datetime(time), "2026-11-22 20:00:00.000042");
        assert_eq!(http_date(time), "Sun, 22 Nov 2026 20:00:00 GMT");
    }

    #[test]
    fn a_host_is_repeated_only_when_it_is_one() {
        let listen: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        for host in ["repo.example.com", "localhost:5000", "10.0.0.1:80", "[::1]:5000", "[::1]"] {
            assert_eq!(sound_host(Some(host), listen), host);
        }
        for host in ["", ":80", "a b", "a/b", "x\"><script>", "a:b", "a:99999", "user@host", "[::1", "[x]", "::1"] {
            assert_eq!(sound_host(Some(host), listen), "127.0.0.1:5000", "{host}");
        }
        assert_eq!(sound_host(None, listen), "127.0.0.1:5000");
    }
}
