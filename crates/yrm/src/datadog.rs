//! The first version's two gauges, and an event for each operation, by Datadog's HTTP API and by DogStatsD.
//!
//! Nothing here can hold up or fail a run: points wait in a short queue that drops when full, one
//! task sends them, each within a time limit. The key goes into one header and nowhere else.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::authorities::Authorities;
use crate::config;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::{self, Delivery};

/// Points that may wait: at one a minute, a quarter of an hour of Datadog being away.
const QUEUE: usize = 16;
/// For one point, by each way.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Datadog's number for a gauge in API v2.
const GAUGE: u8 = 3;

/// The two numbers of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauges {
    /// When the run started.
    pub at: Timestamp,
    /// Inbox keys that were work; 0 on an idle run, which is the heartbeat.
    pub inbox_keys: usize,
    /// Inbox keys that were not published.
    pub skipped_keys: usize,
}

/// An operation that changed the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it started.
    pub at: Timestamp,
    /// What it was, in a few words.
    pub title: String,
    /// Who, why, and how many packages.
    pub text: String,
}

/// What is sent.
#[derive(Debug, Clone)]
enum Point {
    Gauges(Gauges),
    Event(Event),
}

/// Bytes of an event's text: Datadog takes 4,000 characters, and a datagram 8 KiB.
const MAX_TEXT_BYTES: usize = 3_000;

/// Where runs leave their numbers.
#[derive(Debug)]
pub struct Datadog {
    queue: mpsc::Sender<Point>,
    task: JoinHandle<()>,
}

impl Datadog {
    /// Starts the sender for the bucket of this name; must be called inside the runtime.
    pub fn start(config: &config::Datadog, bucket: &str, believed: &Authorities) -> Result<Self> {
        let client = believed
            .web()?
            .timeout(TIMEOUT)
            .connect_timeout(TIMEOUT)
            // A redirect could carry the key to another host.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::new(ErrorKind::Internal, "preparing the HTTP client for Datadog").because(error))?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let destination = Destination {
            client,
            url: api_url(&config.site),
            bucket: bucket.to_owned(),
            api_key: config.api_key.as_ref().map(config::Secret::known).transpose()?.map(str::to_owned),
            statsd: config.statsd.clone(),
            prefix: metric_prefix(bucket),
        };
        Ok(Self { queue, task: tokio::spawn(destination.send_all(waiting)) })
    }

    /// Leaves the numbers of a run; returns at once, whatever Datadog does.
    pub fn offer(&self, gauges: Gauges) {
        self.leave(Point::Gauges(gauges));
    }

    /// Leaves an operation to be told; returns at once.
    pub fn tell(&self, event: Event) {
        self.leave(Point::Event(event));
    }

    fn leave(&self, point: Point) {
        if self.queue.try_send(point).is_err() {
            metrics::datadog_delivery(Delivery::Dropped);
            tracing::warn!("the queue for datadog is full: this is left out");
        }
    }

    /// Sends what still waits, for at most `limit`, and ends the task.
    pub async fn finish(self, limit: Duration) {
        drop(self.queue);
        let mut task = self.task;
        if tokio::time::timeout(limit, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// `cloudops.yumrepomanager.<bucket>.`: `-` becomes `_` as in the first version, and so does
/// everything else that Datadog does not take in a name.
fn metric_prefix(bucket: &str) -> String {
    let sound = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '_' };
    format!("cloudops.yumrepomanager.{}", bucket.chars().map(sound).collect::<String>())
}

/// Datadog's address: of a site by its own rule, or a whole URL.
fn api_url(site: &str) -> String {
    if site.contains("://") { site.trim_end_matches('/').to_owned() } else { format!("https://api.{site}") }
}

struct Destination {
    client: reqwest::Client,
    url: String,
    api_key: Option<String>,
    statsd: Option<String>,
    prefix: String,
    bucket: String,
}

impl Destination {
    async fn send_all(self, mut waiting: mpsc::Receiver<Point>) {
        while let Some(point) = waiting.recv().await {
            let (udp, http) = tokio::join!(self.by_statsd(&point), self.by_http(&point));
            for (way, outcome) in [("dogstatsd", udp), ("http", http)] {
                match outcome {
                    None => {}
                    Some(Ok(())) => metrics::datadog_delivery(Delivery::Sent),
                    Some(Err(reason)) => {
                        metrics::datadog_delivery(Delivery::Failed);
                        tracing::warn!(way, %reason, "sending to datadog failed; nothing else is affected");
                    }
                }
            }
        }
    }

    /// `None` when this way is not configured.
    async fn by_http(&self, point: &Point) -> Option<Result<(), String>> {
        let key = self.api_key.as_deref()?;
        let (path, body) = match point {
            Point::Gauges(gauges) => ("/api/v2/series", self.series(*gauges)),
            Point::Event(event) => ("/api/v1/events", self.event(event)),
        };
        let url = format!("{}{path}", self.url);
        let request = self.client.post(&url).header("DD-API-KEY", key).json(&body).send();
        Some(match request.await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("datadog answered {}", answer.status())),
            Err(error) => Err(Error::new(ErrorKind::Unavailable, "posting").because(error.without_url()).chain()),
        })
    }

    fn series(&self, gauges: Gauges) -> serde_json::Value {
        let one = |(name, value): (&str, usize)| {
            json!({
                "metric": format!("{}.{name}", self.prefix),
                "type": GAUGE,
                "points": [{"timestamp": gauges.at.as_second(), "value": value}],
            })
        };
        json!({"series": named(gauges).map(one)})
    }

    fn event(&self, event: &Event) -> serde_json::Value {
        json!({
            "title": event.title,
            "text": cut(&event.text),
            "date_happened": event.at.as_second(),
            "tags": [format!("bucket:{}", self.bucket)],
        })
    }

    /// `None` when this way is not configured.
    async fn by_statsd(&self, point: &Point) -> Option<Result<(), String>> {
        let agent = self.statsd.as_deref()?;
        let text = match point {
            Point::Gauges(gauges) => {
                named(*gauges).map(|(name, value)| format!("{}.{name}:{value}|g", self.prefix)).join("\n")
            }
            Point::Event(event) => datagram(event, &self.bucket),
        };
        let datagram = send_datagram(agent, text);
        Some(match tokio::time::timeout(TIMEOUT, datagram).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err("it took too long".to_owned()),
        })
    }
}

/// An event as DogStatsD takes it: lengths in bytes, line breaks spelt out.
fn datagram(event: &Event, bucket: &str) -> String {
    let spelt = |text: &str| text.replace('\n', "\\n");
    let (title, text) = (spelt(&event.title), spelt(&cut(&event.text)));
    let bucket: String =
        bucket.chars().map(|c| if c.is_control() || matches!(c, '|' | ',') { '_' } else { c }).collect();
    format!("_e{{{},{}}}:{title}|{text}|d:{}|#bucket:{bucket}", title.len(), text.len(), event.at.as_second())
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT_BYTES)].to_owned()
}

fn named(gauges: Gauges) -> [(&'static str, usize); 2] {
    [("inboxKeys", gauges.inbox_keys), ("skippedKeys", gauges.skipped_keys)]
}

async fn send_datagram(agent: &str, text: String) -> std::io::Result<()> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the agent's name has no address");
    for address in tokio::net::lookup_host(agent).await? {
        let local = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(local).await?;
        match socket.send_to(text.as_bytes(), address).await {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::State;
    use axum::http::{HeaderMap, StatusCode};
    use tokio::sync::mpsc::UnboundedSender;

    use super::*;

    /// Answers every post with `status` and hands over what arrived.
    async fn server(status: StatusCode) -> (String, mpsc::UnboundedReceiver<(String, String)>, JoinHandle<()>) {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let record =
            async move |State(arrived): State<UnboundedSender<(String, String)>>, headers: HeaderMap, body: String| {
                let key = headers.get("DD-API-KEY").map_or("", |key| key.to_str().unwrap());
                arrived.send((key.to_owned(), body)).unwrap();
                status
            };
        let router = Router::new().route("/api/v2/series", axum::routing::post(record)).with_state(arrived);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (url, arrivals, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
    }

    fn config(site: &str, statsd: Option<String>) -> config::Datadog {
        config::Datadog {
            api_key: Some(config::Secret::Known("k3y".to_owned())),
            app_key: None,
            site: site.to_owned(),
            statsd,
        }
    }

    fn gauges(inbox_keys: usize) -> Gauges {
        Gauges { at: Timestamp::from_second(1_795_377_600).unwrap(), inbox_keys, skipped_keys: 1 }
    }

    #[tokio::test]
    async fn both_gauges_arrive_by_http_and_by_udp() {
        let (url, mut arrivals, server) = server(StatusCode::ACCEPTED).await;
        let agent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let statsd = agent.local_addr().unwrap().to_string();
        let datadog = Datadog::start(&config(&url, Some(statsd)), "my-rpm-bucket", &Authorities::default()).unwrap();
        datadog.offer(gauges(4));
        let (key, body) = arrivals.recv().await.unwrap();
        assert_eq!(key, "k3y");
        insta::assert_snapshot!(body, @r#"{"series":[{"metric":"cloudops.yumrepomanager.my_rpm_bucket.inboxKeys","type":3,"points":[{"timestamp":1795377600,"value":4}]},{"metric":"cloudops.yumrepomanager.my_rpm_bucket.skippedKeys","type":3,"points":[{"timestamp":1795377600,"value":1}]}]}"#);
        let mut datagram = [0; 512];
        let length = agent.recv(&mut datagram).await.unwrap();
        assert_eq!(
            std::str::from_utf8(&datagram[..length]).unwrap(),
            "cloudops.yumrepomanager.my_rpm_bucket.inboxKeys:4|g\ncloudops.yumrepomanager.my_rpm_bucket.skippedKeys:1|g"
        );
        datadog.finish(Duration::from_secs(5)).await;
        server.abort();
    }

    #[test]
    fn an_event_is_one_datagram_whatever_it_says() {
        let event =
            Event { at: gauges(0).at, title: "yrm: remove".to_owned(), text: "By: ada\nReason: ä|b".to_owned() };
        assert_eq!(datagram(&event, "./b|c"), "_e{11,21}:yrm: remove|By: ada\\nReason: ä|b|d:1795377600|#bucket:./b_c");
        let long = Event { text: "ä".repeat(10_000), ..event };
        assert!(datagram(&long, "b").len() < 8 << 10);
    }

    #[tokio::test]
    async fn an_answer_of_500_stops_nothing_and_the_next_point_is_sent() {
        let (url, mut arrivals, server) = server(StatusCode::INTERNAL_SERVER_ERROR).await;
        let datadog = Datadog::start(&config(&url, None), "b", &Authorities::default()).unwrap();
        datadog.offer(gauges(1));
        datadog.offer(gauges(2));
        assert!(arrivals.recv().await.unwrap().1.contains("\"value\":1"));
        assert!(arrivals.recv().await.unwrap().1.contains("\"value\":2"));
        datadog.finish(Duration::from_secs(5)).await;
        server.abort();
    }

    #[tokio::test]
    async fn datadog_outage_stops_publishing() {
        // The first version's defect, by its name. A server that takes connections and never answers.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let datadog = Datadog::start(&config(&url, None), "b", &Authorities::default()).unwrap();
        let started = std::time::Instant::now();
        for count in 0..10 * QUEUE {
            datadog.offer(gauges(count));
        }
        datadog.finish(Duration::from_millis(50)).await;
        assert!(started.elapsed() < TIMEOUT, "{:?}", started.elapsed());
    }

    #[test]
    fn a_site_gives_datadogs_address_and_a_url_its_own() {
        assert_eq!(api_url("datadoghq.eu"), "https://api.datadoghq.eu");
        assert_eq!(api_url("http://127.0.0.1:9/"), "http://127.0.0.1:9");
        assert_eq!(metric_prefix("a-b c:d"), "cloudops.yumrepomanager.a_b_c_d");
    }
}
