//! The whole, as on AWS: the stack is made, a release is uploaded, the machine's own user data is
//! run, a package is published and installed. Everybody has their role's rights and no others.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use forge::Rpm;
use serde_json::Value;
use tempfile::TempDir;

use super::boot::{ARCH, systemctl};
use super::cloud::{Caller, Cloud, is_allowed};
use super::{read, said, succeed};
use crate::workspace::workspace;

const BUCKET: &str = "my-rpms";
const STACK: &str = "yum-repo-manager";
const DATADOG_KEY: &str = "/yrm/datadog-api-key";
const PATIENCE: Duration = Duration::from_mins(2);

/// A machine that the stack launched: a folder is its root.
struct Machine {
    root: PathBuf,
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(self.root.join("yrm.pid")) {
            let end =
                "kill -TERM $0; for i in $(seq 100); do kill -0 $0 || exit; sleep 0.1; done 2>/dev/null; kill -KILL $0";
            drop(Command::new("sh").args(["-c", end, pid.trim()]).status());
        }
    }
}

impl Machine {
    /// Runs the launch template's user data as the service's role.
    fn boot(cloud: &Cloud, service: &Caller, user_data: &Path, root: PathBuf, datadog: &str) -> Self {
        let mut boot = cloud.command(service, user_data);
        boot.env("YRM_ROOT", &root).env("YRM_SYSTEMCTL", systemctl()).env("DD_SITE", datadog);
        // The log's agent is a package of Amazon Linux.
        boot.env("YRM_BOOT_TRIES", "1").process_group(0);
        let output = succeed(&mut boot);
        assert!(said(&output).contains(&format!("runs on s3://{BUCKET}")), "{}", said(&output));
        Self { root }
    }

    fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.root.join("var/log/yrm/yrm.log")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for the log line with this message.
    fn logged(&self, message: &str) -> Value {
        let began = Instant::now();
        loop {
            if let Some(entry) = self.log().into_iter().find(|entry| entry["message"] == message) {
                return entry;
            }
            let stderr = std::fs::read_to_string(self.root.join("yrm.stderr")).unwrap_or_default();
            assert!(began.elapsed() < PATIENCE, "the service does not say {message:?}: {stderr}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where its service listens.
    fn address(&self) -> String {
        self.logged("serving")["listen"].as_str().unwrap().to_owned()
    }
}

/// The program under test, small enough to be uploaded.
fn stripped(directory: &Path) -> PathBuf {
    let stripped = directory.join("yrm");
    succeed(Command::new("strip").arg("-o").arg(&stripped).arg(env!("CARGO_BIN_EXE_yrm")));
    stripped
}

fn release(cloud: &Cloud, deployer: &Caller, binary: &Path) {
    let mut release = cloud.command(deployer, &workspace().join("scripts/release"));
    succeed(release.args(["--bucket", BUCKET, "--arch", ARCH, "--binary"]).arg(binary));
}

/// The user data of the stack's launch template, as a program. What needs Amazon Linux is left out.
fn user_data(cloud: &Cloud, directory: &Path) -> PathBuf {
    let root = Cloud::root();
    let templates = cloud.json(&root, &["ec2", "describe-launch-templates"]);
    let id = templates["LaunchTemplates"][0]["LaunchTemplateId"].as_str().unwrap();
    let arguments = ["ec2", "describe-launch-template-versions", "--launch-template-id", id, "--versions", "$Latest"];
    let versions = cloud.json(&root, &arguments);
    let data = &versions["LaunchTemplateVersions"][0]["LaunchTemplateData"];
    assert_eq!(data["MetadataOptions"]["HttpTokens"], "required");
    let encoded = data["UserData"].as_str().unwrap();
    let path = directory.join("user-data");
    std::fs::write(directory.join("user-data.base64"), encoded).unwrap();
    let decode = "base64 --decode user-data.base64 | sed '/^export YRM_LOG_GROUP=/d' >user-data; chmod +x user-data";
    succeed(Command::new("sh").args(["-euc", decode]).current_dir(directory));
    assert!(read(&path).contains(&format!("export YRM_BUCKET='{BUCKET}'")));
    path
}

/// `yrm publish --wait`, as CI does it.
fn publish(cloud: &Cloud, publisher: &Caller, file: &Path) {
    let mut publish = cloud.command(publisher, Path::new(env!("CARGO_BIN_EXE_yrm")));
    let bucket = format!("s3://{BUCKET}");
    publish.args(["publish", "--to", "tools", "--wait", "--timeout", "2m", "--path-style", "--bucket", &bucket]);
    succeed(publish.arg(file));
}

fn write_package(directory: &Path, name: &str) -> PathBuf {
    let package = Rpm::new(name, "1", "1", "noarch");
    let path = directory.join(package.file_name());
    std::fs::write(&path, package.build()).unwrap();
    path
}

/// Every caller tries to put, read, delete and list where they should not, and where they should.
async fn assert_roles_end_where_they_should(cloud: &Cloud, callers: [(&str, &Caller); 4]) {
    let keys = ["inbox/a+b~1^2.rpm", "repo/a.rpm", "repo/repodata/repomd.xml", "quarantine/a", ".yrm/a", "yrm-x", "a"];
    let mut writes = Vec::new();
    for (name, caller) in callers {
        for key in keys {
            let put = cloud.s3(caller).put_object().bucket(BUCKET).key(key).body(b"no package".to_vec().into());
            if is_allowed(put.send().await) {
                writes.push(format!("{name} {key}"));
            }
        }
    }
    // Nor does the service put repomd.xml without a condition.
    let service_writes = ["service repo/a.rpm", "service quarantine/a", "service .yrm/a"];
    assert_eq!(writes[..3], service_writes);
    assert_eq!(writes[3..], ["publisher inbox/a+b~1^2.rpm", "deployer yrm-x"]);

    let [(_, service), (_, publisher), (_, client), (_, deployer)] =
        callers.map(|(name, caller)| (name, cloud.s3(caller)));
    let reads = async |key| is_allowed(client.head_object().bucket(BUCKET).key(key).send().await);
    assert!(reads("repo/tools/first-1-1.noarch.rpm").await);
    for key in ["inbox/a", "quarantine/a", ".yrm/a", "yrm-x"] {
        assert!(!reads(key).await, "a client reads {key}");
    }
    let deletes = async |who: &Client, key| is_allowed(who.delete_object().bucket(BUCKET).key(key).send().await);
    for (who, key) in
        [(&service, "quarantine/a"), (&publisher, "inbox/b"), (&client, "repo/a.rpm"), (&deployer, "yrm-x")]
    {
        assert!(!deletes(who, key).await, "somebody deletes {key}");
    }
    let version = service.delete_object().bucket(BUCKET).key("repo/a.rpm").version_id("v1");
    assert!(!is_allowed(version.send().await), "the service deletes versions");
    assert!(deletes(&service, "repo/a.rpm").await);
    let lists = async |prefix| is_allowed(client.list_objects_v2().bucket(BUCKET).prefix(prefix).send().await);
    assert_eq!((lists("repo/").await, lists("inbox/").await, lists("").await), (true, false, false));
    let again = service.put_object().bucket(BUCKET).key("repo/repodata/repomd.xml").if_none_match("*");
    let error = again.body(Vec::new().into()).send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 412, "with a condition it is the store that answers");
}

/// Beats, and looks at what arrived.
fn assert_heartbeat(cloud: &Cloud, service: &Caller, machine: &Machine) {
    // The answer to the upload is there before the run is over, and only a run that is over counts.
    machine.logged("run done");
    let mut beat = cloud.command(service, &machine.root.join("usr/bin/yrm-heartbeat"));
    let environment = read(&machine.root.join("etc/yrm/heartbeat.env"));
    beat.envs(environment.lines().map(|line| line.split_once('=').unwrap()));
    beat.env("YRM_URL", format!("http://{}", machine.address())).env("STATE_DIRECTORY", &machine.root);
    succeed(&mut beat);
    let other =
        ["cloudwatch", "put-metric-data", "--namespace", "Other", "--metric-data", "MetricName=Heartbeat,Value=1"];
    assert!(cloud.is_refused(service, &other), "the service may write to any namespace");
}

fn heard(cloud: &Cloud) -> Vec<String> {
    let metrics = cloud.json(&Cloud::root(), &["cloudwatch", "list-metrics", "--namespace", "YumRepoManager"]);
    let mut heard: Vec<String> = metrics["Metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| {
            assert_eq!(metric["Dimensions"], serde_json::json!([{"Name": "Stack", "Value": STACK}]));
            metric["MetricName"].as_str().unwrap().to_owned()
        })
        .collect();
    heard.sort();
    heard
}

fn dnf_downloads(cloud: &Cloud, directory: &Path, name: &str) {
    let output = Command::new("dnf")
        .args(["-y", "--quiet", "--releasever=1", "--disableplugin=*", "--repo=s3", "--setopt=reposdir=/dev/null"])
        .arg(format!("--repofrompath=s3,{}/{BUCKET}/repo/", cloud.endpoint()))
        .args(["--setopt=s3.gpgcheck=0", "--setopt=s3.repo_gpgcheck=1", "--setopt=retries=1"])
        .arg(format!("--setopt=s3.gpgkey={}/{BUCKET}/repo/RPM-GPG-KEY-{BUCKET}", cloud.endpoint()))
        .arg(format!("--setopt=cachedir={}", directory.join("cache").display()))
        .arg(format!("--installroot={}", directory.join("client").display()))
        .args(["install", name])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// A queue that gets what the topic is told.
fn subscribed(cloud: &Cloud, topic: &str) -> String {
    let root = Cloud::root();
    let made = queues(cloud, &["create-queue", "--queue-name", "reader"]);
    let url = made["QueueUrl"].as_str().unwrap().to_owned();
    let attributes = queues(cloud, &["get-queue-attributes", "--attribute-names", "QueueArn", "--queue-url", &url]);
    let arn = attributes["Attributes"]["QueueArn"].as_str().unwrap();
    let subscribe = ["sns", "subscribe", "--protocol", "sqs", "--topic-arn", topic, "--notification-endpoint", arn];
    cloud.json(&root, &subscribe);
    url
}

/// `aws sqs`, which does not heed the variable that names the endpoint.
fn queues(cloud: &Cloud, arguments: &[&str]) -> Value {
    let endpoint = cloud.endpoint();
    cloud.json(&Cloud::root(), &[&["sqs", "--endpoint-url", endpoint], arguments].concat())
}

/// Receives until a message is about this.
fn await_message(cloud: &Cloud, queue: &str, about: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let received = queues(cloud, &["receive-message", "--wait-time-seconds", "5", "--queue-url", queue]);
        if received["Messages"][0]["Body"].as_str().is_some_and(|body| body.contains(about)) {
            return;
        }
        assert!(Instant::now() < until, "no notice about {about}");
    }
}

/// The service reads its Datadog key and signs with its own key; no other parameter and no other key.
fn assert_secrets_end_where_they_should(cloud: &Cloud, service: &Caller, signing_key: &str, other_key: &str) {
    for name in ["/other", DATADOG_KEY] {
        let reads = !cloud.is_refused(service, &["ssm", "get-parameter", "--with-decryption", "--name", name]);
        assert_eq!(reads, name == DATADOG_KEY, "{name}");
    }
    assert!(cloud.is_refused(service, &["ssm", "get-parameters", "--names", DATADOG_KEY]));
    for key in [signing_key, other_key] {
        for call in ["describe-key", "get-public-key"] {
            let may = !cloud.is_refused(service, &["kms", call, "--key-id", key]);
            assert_eq!(may, key == signing_key, "{call} {key}");
        }
        // By what yrm signs with, and by nothing else.
        let digest = "A".repeat(64);
        for (algorithm, kind) in [("SHA_512", "DIGEST"), ("SHA_512", "RAW"), ("SHA_256", "DIGEST")] {
            let algorithm = format!("RSASSA_PKCS1_V1_5_{algorithm}");
            let sign = ["kms", "sign", "--signing-algorithm", &algorithm, "--message", &digest, "--message-type", kind];
            let may = !cloud.is_refused(service, &[&sign[..], &["--key-id", key]].concat());
            assert_eq!(may, key == signing_key && algorithm.ends_with("512") && kind == "DIGEST", "{algorithm} {kind}");
        }
        let end = ["kms", "schedule-key-deletion", "--key-id", key];
        assert!(cloud.is_refused(service, &end) && cloud.is_refused(service, &["kms", "disable-key", "--key-id", key]));
    }
}

/// What stands for Datadog: the first request that it gets.
fn datadog() -> (String, std::sync::mpsc::Receiver<String>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let (mut connection, mut request) = (connection.unwrap(), [0; 4096]);
            let length = connection.read(&mut request).unwrap_or(0);
            let answer = b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            drop(connection.write_all(answer));
            if sender.send(String::from_utf8_lossy(&request[..length]).to_lowercase()).is_err() {
                break;
            }
        }
    });
    (address, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_publishes_with_exactly_the_rights_of_its_roles() {
    let (cloud, directory) = (Cloud::start(), TempDir::new().unwrap());
    let root = Cloud::root();
    let [topic, other_topic] = ["news", "other"].map(|name| {
        let made = cloud.json(&root, &["sns", "create-topic", "--name", name]);
        made["TopicArn"].as_str().unwrap().to_owned()
    });
    let reader = subscribed(&cloud, &topic);
    // A message that a service was given when it ended comes again after two minutes; the interval is shorter.
    let parameters = [
        ("bucketName", BUCKET),
        ("website", "yes"),
        ("email", "ops@example.com"),
        ("timeInterval", "5"),
        ("selfUpdate", "yes"),
        ("signingKey", "yes"),
        ("datadogKeyParameter", DATADOG_KEY),
        ("noticesTopic", &topic),
    ];
    let stack = cloud.create_stack(STACK, &parameters);
    let put = ["ssm", "put-parameter", "--type", "SecureString"];
    for (name, value) in [(DATADOG_KEY, "d47ad06"), ("/other", "0ther")] {
        cloud.json(&root, &[&put[..], &["--name", name, "--value", value]].concat());
    }
    let spec = ["kms", "create-key", "--key-usage", "SIGN_VERIFY", "--key-spec", "RSA_2048"];
    let other_key = cloud.json(&root, &spec)["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    let (site, told) = datadog();
    // moto makes no notifications in a stack; the command is the one for buckets that were there before.
    succeed(cloud.command(&root, Path::new("sh")).args(["-euc", &stack["NotifyCommand"]]));
    let [service, publisher, client, deployer] =
        ["ServiceRoleArn", "PublisherRoleArn", "ClientRoleArn", "DeployerRoleArn"]
            .map(|role| cloud.assume(&stack[role]));
    let user_data = user_data(&cloud, directory.path());
    let instances = |cloud: &Cloud| cloud.json(&root, &["autoscaling", "describe-auto-scaling-instances"]);
    let first = instances(&cloud)["AutoScalingInstances"][0]["InstanceId"].as_str().unwrap().to_owned();
    cloud.hold_to_policies(true).await;

    let binary = stripped(directory.path());
    release(&cloud, &deployer, &binary);
    let machine = Machine::boot(&cloud, &service, &user_data, directory.path().join("machine-1"), &site);
    machine.address();
    assert!(told.recv_timeout(PATIENCE).unwrap().contains("dd-api-key: d47ad06"));
    publish(&cloud, &publisher, &write_package(directory.path(), "first"));
    let tell = ["sns", "publish", "--message", "x", "--topic-arn"];
    for one in [&topic, &other_topic] {
        assert_eq!(!cloud.is_refused(&service, &[&tell[..], &[one]].concat()), *one == topic, "{one}");
    }
    assert_heartbeat(&cloud, &service, &machine);
    assert_roles_end_where_they_should(
        &cloud,
        [("service", &service), ("publisher", &publisher), ("client", &client), ("deployer", &deployer)],
    )
    .await;

    assert_secrets_end_where_they_should(&cloud, &service, &stack["SigningKeyArn"], &other_key);

    // The next release: uploaded, and the machine goes over to it by itself.
    let next = directory.path().join("yrm-next");
    std::fs::write(&next, [&std::fs::read(&binary).unwrap()[..], b"the next"].concat()).unwrap();
    std::fs::set_permissions(&next, std::fs::Permissions::from_mode(0o755)).unwrap();
    release(&cloud, &deployer, &next);
    machine.logged("this release works");
    publish(&cloud, &publisher, &write_package(directory.path(), "by-the-next"));
    // The machine terminated. Its successor runs before it is gone.
    let second = Machine::boot(&cloud, &service, &user_data, directory.path().join("machine-2"), &site);
    second.address();
    drop(machine);
    publish(&cloud, &publisher, &write_package(directory.path(), "second"));

    // The publisher's "no package" was set aside meanwhile; nothing was refused to the service.
    let logs =
        ["machine-1", "machine-2"].map(|machine| read(&directory.path().join(machine).join("var/log/yrm/yrm.log")));
    assert!(logs[0].contains("a test event: S3 reaches the queue"), "{}", logs[0]);
    for log in logs {
        assert!(!log.contains("denied") && !log.contains("Denied"), "{log}");
        assert!(!log.contains("d47ad06"), "the Datadog key is in the log");
    }
    cloud.hold_to_policies(false).await;
    assert_eq!(heard(&cloud), ["Heartbeat", "InboxKeys", "Quarantined"]);
    await_message(&cloud, &reader, "first-1-1.noarch");
    let file = &stack["RepoFile"];
    assert!(file.contains("repo_gpgcheck=1\ngpgkey=https://") && file.contains("/repo/RPM-GPG-KEY-my-rpms"), "{file}");
    for name in ["first", "second"] {
        dnf_downloads(&cloud, directory.path(), name);
    }
    let terminate =
        ["autoscaling", "terminate-instance-in-auto-scaling-group", "--no-should-decrement-desired-capacity"];
    cloud.json(&root, &[&terminate[..], &["--instance-id", &first]].concat());
    let next = instances(&cloud)["AutoScalingInstances"].as_array().unwrap().clone();
    assert!(next.len() == 1 && next[0]["InstanceId"] != first.as_str(), "{next:?}");
}
