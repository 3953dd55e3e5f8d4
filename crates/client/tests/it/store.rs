//! The S3 server of the tests: `scripts/s3-server`, with a folder's files in a bucket. It ends with the test: the pipe
//! to its standard input closes.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::machine::{made_for_tests, said, succeed, workspace};

#[derive(Debug)]
pub(crate) struct Store {
    /// `http://127.0.0.1:PORT`
    pub(crate) endpoint: String,
    _child: Child,
}

impl Store {
    /// With the folder's files in a bucket.
    pub(crate) fn of(bucket: &str, folder: &Path) -> Self {
        Self::with(bucket, folder, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn with(bucket: &str, folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(made_for_tests("venv/bin/python"))
            .arg(workspace().join("scripts/s3-server"))
            .args(["--port", "0", "--load"])
            .arg(format!("{bucket}={}", folder.display()))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let endpoint = line.trim().to_owned();
        assert!(endpoint.contains("://127.0.0.1:"), "scripts/s3-server did not start; run scripts/test once");
        Self { endpoint, _child: child }
    }

    /// How the service is told of it.
    pub(crate) fn flags(&self) -> [&str; 3] {
        ["--endpoint", &self.endpoint, "--path-style"]
    }

    /// Makes requests go wrong; see `scripts/s3-server`.
    pub(crate) fn control(&self, fault: &Value) {
        let url = format!("{}/_fault", self.endpoint);
        let header = "content-type: application/json";
        succeed(Command::new("curl").args(["-sSf", "-H", header, "-d", &fault.to_string(), &url]));
    }

    /// What was asked of it: a line each, `METHOD /bucket/key`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let output = succeed(Command::new("curl").args(["-sSf", &format!("{}/_requests", self.endpoint)]));
        let answer: Value = serde_json::from_str(&said(&output)).unwrap();
        answer["log"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    }
}
