//! Through what stands before a bucket or a gateway on AWS. `scripts/front-server` plays it, by the templates.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::{Method, Response};

use super::hostile::{PATHS, get_at};
use super::{Place, basic, dnf, repo_file, said};
use crate::web::web_without_redirects;
use crate::workspace::{python, workspace};

/// It ends when the pipe to its standard input closes.
pub(super) struct Front {
    address: String,
    _child: Child,
}

impl Front {
    pub(super) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(python());
        command.arg(workspace().join("scripts/front-server")).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").expect("scripts/front-server did not start").to_owned();
        Self { address, _child: child }
    }

    /// Host and port.
    #[cfg(feature = "aws")]
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/repo", self.address)
    }

    pub(super) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = web_without_redirects().request(method, format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dnf_installs_through_the_balancer_and_nothing_else_of_the_service_passes() {
    let place = Place::new();
    place.publish_samples("");
    let token = place.path().join("token");
    let text = place.token("machine", &["read"]);
    fs::write(&token, &text).unwrap();
    let log = place.path().join("access.log");
    let service = place.serve(&["--trusted-proxies", "127.0.0.1/32", "--access-log", log.to_str().unwrap()]);
    let balancer = Front::start(&["balancer", "--target", service.address(), "--client", "203.0.113.9"]);
    let repo = repo_file(&place, &balancer.url(), &["--token-file", token.to_str().unwrap()]);
    let folder = place.path().join("client");
    let output = dnf(&folder, &repo, &["greeter", "libgreet++"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(folder.join("root/usr/share/libgreet++/version").exists());

    let authorization = basic("token", &text);
    let status = async |method, path| {
        let headers = [("authorization", authorization.as_str()), ("x-forwarded-for", "198.51.100.7")];
        balancer.ask(method, path, &headers).await.status().as_u16()
    };
    assert_eq!(status(Method::GET, "/repo/repodata/repomd.xml").await, 200);
    for path in ["/", "/metrics", "/history", "/scheduledJobs", "/livez", "/readyz", "/repo", "/repository", "//repo/a"]
    {
        assert_eq!(status(Method::GET, path).await, 404, "{path}");
    }
    for method in [Method::PUT, Method::POST, Method::DELETE, Method::OPTIONS] {
        assert_eq!(status(method.clone(), "/repo/a.rpm").await, 404, "{method}");
    }
    // What passes and climbs, the gateway refuses.
    for path in PATHS.into_iter().chain(["/repo/../metrics", "/repo/%2e%2e/metrics", "/repo/..%2fmetrics"]) {
        let answer = get_at(&balancer.address, path, &format!("Authorization: {authorization}\r\n"));
        let status = answer.split(' ').nth(1).unwrap_or("closed");
        assert!(matches!(status, "400" | "404" | "closed"), "{path}: {answer}");
        assert!(!answer.contains("yrm_gateway_requests_total"), "{path}: {answer}");
    }
    // A client cannot say of which address it is.
    let lines = super::logged(&log);
    assert!(lines.lines().count() > 5 && lines.lines().all(|line| line.starts_with("203.0.113.9 ")), "{lines}");
}
