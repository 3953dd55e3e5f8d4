//! The first version's three answers, with its exact names, forms and order.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::Faces;
use crate::publish::report::Report;

/// Entries of `previousRuns`, as in the first version.
const ENTRIES: usize = 60;
/// The longest Host header that is repeated in a link: a DNS name and a port.
const MAX_HOST_BYTES: usize = 261;

/// `GET /`: where the other two are.
pub(super) async fn index(State(faces): State<Faces>, headers: HeaderMap) -> Json<Value> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = sound_host(host, faces.listen);
    Json(json!({"history": format!("http://{host}/history"), "jobs": format!("http://{host}/scheduledJobs")}))
}

/// `GET /history`: the last runs, oldest first.
pub(super) async fn history(State(faces): State<Faces>) -> Json<Value> {
    let mut entries: Vec<Value> = faces.board.runs().iter().flat_map(entries).collect();
    entries.drain(..entries.len().saturating_sub(ENTRIES));
    Json(json!({"now": python_datetime((faces.now)()), "previousRuns": entries}))
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

/// A run's entries: what it found and, if it found anything, what it did not publish.
fn entries(run: &Report) -> Vec<Value> {
    let found = json!({"timestamp": python_datetime(run.started), "inboxKeys": run.inbox_keys});
    if run.inbox_keys.is_empty() {
        return vec![found];
    }
    let ended = run.started.checked_add(Duration::from_millis(run.duration_ms)).unwrap_or(run.started);
    vec![found, json!({"timestamp": python_datetime(ended), "skippedKeys": run.skipped_keys})]
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
