//! The S3 server that tests talk to over HTTP: `scripts/s3-server`, one per test process.
//!
//! It needs the virtual environment that `scripts/test` makes; without it a test fails and says
//! so. Every test makes a bucket of its own. The server ends when this process does: the pipe to
//! its standard input closes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region, SharedCredentialsProvider};
use serde_json::{Value, json};
use yrm::authorities::Authorities;
use yrm::aws::http::http_client;
use yrm::store::s3::{Limits, S3Store};

use crate::web::web;
use crate::workspace::{python, workspace};

const ACCESS_KEY: &str = "test";
const REGION: &str = "us-east-1";

/// A running server.
#[derive(Debug)]
pub(crate) struct S3Server {
    endpoint: String,
    _child: Child,
}

/// The server of this test process, started by whoever asks first.
pub(crate) fn server() -> &'static S3Server {
    static SERVER: OnceLock<S3Server> = OnceLock::new();
    SERVER.get_or_init(S3Server::start)
}

impl S3Server {
    /// One more server: for who changes what holds for all of it.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// One with more arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let (workspace, python) = (workspace(), python());
        let mut child = Command::new(&python)
            .arg(workspace.join("scripts/s3-server"))
            .args(["--port", "0"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{}: {error}; run scripts/test once, it installs the S3 server", python.display())
            });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let endpoint = line.trim().to_owned();
        assert!(endpoint.contains("://127.0.0.1:"), "scripts/s3-server did not start; run scripts/test once");
        Self { endpoint, _child: child }
    }

    /// `http://127.0.0.1:port`; buckets are reached path-style.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What a child process needs in its environment to reach the server.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 6] {
        [
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/dev/null"),
        ]
    }

    /// Has `command` work on this bucket.
    pub(crate) fn lead(&self, command: &mut Command, bucket: &str) {
        command.envs(self.environment()).env("YRM_PATH_STYLE", "true").env("YRM_BUCKET", format!("s3://{bucket}"));
    }

    /// A client's configuration for this server.
    pub(crate) fn client_config(&self) -> Builder {
        Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http_client(&Authorities::default()).unwrap())
            .credentials_provider(Credentials::new(ACCESS_KEY, "test", None, None, "tests"))
            .region(Region::from_static(REGION))
            .endpoint_url(&self.endpoint)
            .force_path_style(true)
    }

    /// A plain client: an uploader, or whoever else is not `yrm`.
    pub(crate) fn client(&self) -> Client {
        Client::from_conf(self.client_config().build())
    }

    /// How the program itself is told of the server and its credentials.
    pub(crate) fn sdk_config(&self) -> aws_config::SdkConfig {
        let credentials = Credentials::new(ACCESS_KEY, "test", None, None, "tests");
        aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .region(Region::from_static(REGION))
            .endpoint_url(&self.endpoint)
            .build()
    }

    /// Asks whatever else of AWS's it plays, as somebody who is not `yrm`: an operation with its name space, and
    /// its input. The server looks at no signature but at whose it would be.
    pub(crate) async fn ask(&self, service: &str, operation: &str, input: &Value) -> Value {
        let version = if service == "sqs" { "1.0" } else { "1.1" };
        let request = self.signed_for(service).header("X-Amz-Target", operation);
        let request = request.header("Content-Type", format!("application/x-amz-json-{version}"));
        let answer = request.body(input.to_string()).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{operation}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Tells a service that takes forms; its answer in XML.
    pub(crate) async fn tell(&self, service: &str, fields: &[(&str, &str)]) -> String {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.signed_for(service).header("Content-Type", "application/x-www-form-urlencoded");
        let answer = request.body(body).send().await.unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    }

    fn signed_for(&self, service: &str) -> reqwest::RequestBuilder {
        let scope = format!("{ACCESS_KEY}/20260101/{REGION}/{service}/aws4_request");
        let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        web().post(format!("{}/", self.endpoint)).header("Authorization", signature)
    }

    /// A new, empty bucket with a name of its own; what is below `repo/` can be read by everybody.
    pub(crate) async fn make_bucket(&self) -> String {
        let name = format!("test-{:016x}", rand::random::<u64>());
        self.client().create_bucket().bucket(&name).send().await.unwrap();
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["s3:GetObject", "s3:HeadObject"],
                "Resource": format!("arn:aws:s3:::{name}/repo/*"),
            }],
        });
        self.client().put_bucket_policy().bucket(&name).policy(policy.to_string()).send().await.unwrap();
        self.reset_requests(&name).await;
        name
    }

    /// A store on a new bucket.
    pub(crate) async fn make_store(&self) -> S3Store {
        self.store(&self.make_bucket().await, "", Limits::default())
    }

    /// A store on a bucket.
    pub(crate) fn store(&self, bucket: &str, prefix: &str, limits: Limits) -> S3Store {
        S3Store::with_client(self.client_config(), bucket, prefix, limits)
    }

    /// Breaks the next `times` requests that the regular expression finds in
    /// `METHOD /bucket/key?query` (a copy's method is COPY, a listing's LIST).
    pub(crate) async fn break_next(&self, kind: &str, matching: &str, times: u32) {
        self.control(&json!({ "kind": kind, "match": matching, "times": times })).await;
    }

    /// Breaks one such request, `after` so many that are left alone.
    pub(crate) async fn break_one(&self, kind: &str, matching: &str, after: usize) {
        self.control(&json!({ "kind": kind, "match": matching, "after": after })).await;
    }

    /// Breaks nothing any more that a regular expression with this name (a bucket's, or another) asked for.
    pub(crate) async fn mend(&self, bucket: &str) {
        let url = format!("{}/_fault?bucket={bucket}", self.endpoint);
        web().delete(url).send().await.unwrap().error_for_status().unwrap();
    }

    /// Answers the next such request `seconds` late.
    pub(crate) async fn delay_next(&self, seconds: f64, matching: &str) {
        self.control(&json!({ "kind": "delay", "match": matching, "seconds": seconds })).await;
    }

    /// Does as the fault says, with whatever of its fields; see `scripts/s3-server`.
    pub(crate) async fn control(&self, fault: &Value) {
        let url = format!("{}/_fault", self.endpoint);
        web().post(url).json(fault).send().await.unwrap().error_for_status().unwrap();
    }

    /// What was asked of a bucket: `methods` (each with `count`, `bytes_in` to the server and
    /// `bytes_out`) and `log`, one line per request.
    pub(crate) async fn requests(&self, bucket: &str) -> Value {
        let url = format!("{}/_requests?bucket={bucket}", self.endpoint);
        web().get(url).send().await.unwrap().json().await.unwrap()
    }

    /// What a bucket was asked for: each request's line, and its headers of AWS's own.
    pub(crate) async fn requests_with_headers(&self, bucket: &str) -> Vec<(String, BTreeMap<String, String>)> {
        let requests = self.requests(bucket).await;
        let lines: Vec<String> = serde_json::from_value(requests["log"].clone()).unwrap();
        let headers: Vec<BTreeMap<String, String>> = serde_json::from_value(requests["headers"].clone()).unwrap();
        lines.into_iter().zip(headers).collect()
    }

    /// Counts a bucket's requests anew.
    pub(crate) async fn reset_requests(&self, bucket: &str) {
        let url = format!("{}/_requests?bucket={bucket}", self.endpoint);
        web().delete(url).send().await.unwrap().error_for_status().unwrap();
    }
}

#[tokio::test]
async fn what_is_below_repo_can_be_read_without_credentials_and_nothing_else() {
    let bucket = server().make_bucket().await;
    for key in ["repo/a.rpm", "inbox/a.rpm"] {
        server().client().put_object().bucket(&bucket).key(key).body(b"x".to_vec().into()).send().await.unwrap();
    }
    let status =
        async |key: &str| web().get(format!("{}/{bucket}/{key}", server().endpoint())).send().await.unwrap().status();
    assert_eq!(status("repo/a.rpm").await, 200);
    assert_eq!(status("inbox/a.rpm").await, 403);
    let requests = server().requests(&bucket).await;
    assert_eq!(requests["methods"]["PUT"], json!({ "count": 2, "bytes_in": 2, "bytes_out": 0 }));
    assert_eq!(requests["log"][2], format!("GET /{bucket}/repo/a.rpm"));
    assert_eq!(server().environment()[3].1, server().endpoint());
}
