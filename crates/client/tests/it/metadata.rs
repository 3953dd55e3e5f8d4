//! A metadata service as an EC2 instance has it, version 2 only: without a token it answers 401.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What it says, and what it was asked.
#[derive(Debug, Default)]
struct State {
    credentials: String,
    asked: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Metadata {
    /// `http://127.0.0.1:PORT`
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
}

const TOKEN: &str = "metadata-token-of-version-2";

impl Metadata {
    /// It runs until the test process ends.
    pub(crate) fn start(access_key: &str, expires_in_seconds: u64) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", socket.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let metadata = Self { endpoint, state: Arc::clone(&state) };
        metadata.gives(access_key, expires_in_seconds);
        std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                std::thread::spawn(move || answer(stream, &state));
            }
        });
        metadata
    }

    /// From now on these credentials.
    pub(crate) fn gives(&self, access_key: &str, expires_in_seconds: u64) {
        let expires = std::time::SystemTime::now() + std::time::Duration::from_secs(expires_in_seconds);
        self.state.lock().unwrap().credentials = serde_json::json!({
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": access_key,
            "SecretAccessKey": crate::machine::SECRET,
            "Token": crate::machine::TOKEN,
            "Expiration": rfc3339(expires),
        })
        .to_string();
    }

    /// From now on none: as when a role was taken away.
    pub(crate) fn gives_none(&self) {
        self.state.lock().unwrap().credentials.clear();
    }

    /// What it was asked, with `(no token)` where that was missing.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }
}

/// `2026-11-30T08:00:00Z`, by the program that knows calendars.
pub(crate) fn rfc3339(time: std::time::SystemTime) -> String {
    let seconds = time.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let output = crate::machine::succeed(std::process::Command::new("date").args([
        "-u",
        "-d",
        &format!("@{seconds}"),
        "+%Y-%m-%dT%H:%M:%SZ",
    ]));
    crate::machine::said(&output).trim().to_owned()
}

/// The same credentials, as the portal spells them.
fn of_the_portal(credentials: &str) -> String {
    let given: serde_json::Value = serde_json::from_str(credentials).unwrap();
    let in_an_hour = std::time::SystemTime::now() + std::time::Duration::from_hours(1);
    let millis = in_an_hour.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let credentials = serde_json::json!({
        "accessKeyId": given["AccessKeyId"],
        "secretAccessKey": given["SecretAccessKey"],
        "sessionToken": given["Token"],
        "expiration": u64::try_from(millis).unwrap(),
    });
    serde_json::json!({ "roleCredentials": credentials }).to_string()
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
    let has = |header: &str| headers.iter().any(|line| line.starts_with(header));
    let has_token = has(&format!("x-aws-ec2-metadata-token: {TOKEN}"));
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let is_token = request.starts_with("PUT /latest/api/token ") && has("x-aws-ec2-metadata-token-ttl-seconds:");
    let (status, body) = {
        let mut state = state.lock().unwrap();
        state.asked.push(format!("{path}{}", if has_token || is_token { "" } else { " (no token)" }));
        match path.as_str() {
            _ if is_token => ("200 OK", TOKEN.to_owned()),
            // What ECS and EKS have: another token, and no second question.
            "/container" if has("authorization: token-of-the-pod") => ("200 OK", state.credentials.clone()),
            // The portal of IAM Identity Center, for a session that somebody began with `aws sso login`.
            path if path.starts_with("/federation/credentials?") && has("x-amz-sso_bearer_token: sso-session") => {
                ("200 OK", of_the_portal(&state.credentials))
            }
            _ if !has_token => ("401 Unauthorized", String::new()),
            "/latest/meta-data/placement/region" => ("200 OK", "eu-central-1".to_owned()),
            path if state.credentials.is_empty() || !path.contains("/iam/security-credentials") => {
                ("404 Not Found", String::new())
            }
            path if path.ends_with("/security-credentials/") => ("200 OK", "the-role".to_owned()),
            _ => ("200 OK", state.credentials.clone()),
        }
    };
    let length = body.len();
    let ttl = "x-aws-ec2-metadata-token-ttl-seconds: 21600";
    drop(write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{ttl}\r\nConnection: close\r\n\r\n{body}"));
}
