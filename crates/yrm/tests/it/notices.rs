//! Notices through a topic, as a subscriber gets them; and a webhook whose address nobody sees.

use std::fs;
use std::io::Write as _;

use forge::Rpm;

use crate::cli::yrm;

const SECRET: &str = "a-secret-of-both";

#[cfg(feature = "aws")]
mod on_s3 {
    use jiff::Timestamp;
    use serde_json::{Value, json};
    use yrm::notify::sign::{NAME, sign};

    use super::*;
    use crate::s3_server::server;

    /// A topic, and the queue that subscribes to it.
    async fn topic_and_queue(name: &str) -> (String, String) {
        let version = ("Version", "2010-03-31");
        let made = server().tell("sns", &[("Action", "CreateTopic"), version, ("Name", name)]).await;
        let topic = made.split("<TopicArn>").nth(1).unwrap().split("</TopicArn>").next().unwrap().to_owned();
        let queue = server().ask("sqs", "AmazonSQS.CreateQueue", &json!({"QueueName": name})).await;
        let queue = queue["QueueUrl"].as_str().unwrap().to_owned();
        let arn = format!("arn:aws:sqs:us-east-1:123456789012:{name}");
        let to = [("TopicArn", topic.as_str()), ("Protocol", "sqs"), ("Endpoint", arn.as_str())];
        server().tell("sns", &[&[("Action", "Subscribe"), version][..], &to].concat()).await;
        (topic, queue)
    }

    /// What the queue holds: SNS's own envelopes.
    async fn arrived(queue: &str) -> Vec<Value> {
        let input = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10});
        let received = server().ask("sqs", "AmazonSQS.ReceiveMessage", &input).await;
        let messages = received["Messages"].as_array().into_iter().flatten();
        messages.map(|message| serde_json::from_str(message["Body"].as_str().unwrap()).unwrap()).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_topics_subscriber_learns_what_was_published_and_rejected() {
        let bucket = server().make_bucket().await;
        let (topic, queue) = topic_and_queue(&bucket).await;
        let put = async |key: &str, bytes: Vec<u8>| {
            server().client().put_object().bucket(&bucket).key(key).body(bytes.into()).send().await.unwrap();
        };
        put("inbox/el9/tool.rpm", Rpm::new("tool", "1", "1", "noarch").build()).await;
        put("inbox/page.rpm", b"<html>404</html>".to_vec()).await;

        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("secret"), format!("{SECRET}\n")).unwrap();
        let mut command = yrm(directory.path());
        command.envs(server().environment()).args(["run", "--path-style", "--bucket", &format!("s3://{bucket}")]);
        let output = command.args(["--notify-topic", &topic, "--notify-secret-file", "secret"]).output().unwrap();
        let (out, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{log}");
        assert!(!out.contains(SECRET) && !log.contains(SECRET));

        let envelopes = arrived(&queue).await;
        assert_eq!(envelopes.len(), 2, "{envelopes:?}");
        for envelope in envelopes {
            let text = envelope["Message"].as_str().unwrap();
            let body: Value = serde_json::from_str(text).unwrap();
            assert_eq!(body["bucket"], format!("s3://{bucket}"));
            match body["event"].as_str().unwrap() {
                "published" => assert_eq!(body["packages"][0]["nevra"], "tool-1-1.noarch"),
                "rejected" => assert_eq!(body["files"][0]["code"], "E_NOT_RPM"),
                other => panic!("{other}"),
            }
            assert_eq!(envelope["MessageAttributes"]["event"]["Value"], body["event"]);
            let signature = envelope["MessageAttributes"][NAME]["Value"].as_str().unwrap();
            let seconds = signature.strip_prefix("t=").unwrap().split(',').next().unwrap();
            let at = Timestamp::from_second(seconds.parse().unwrap()).unwrap();
            assert_eq!(signature, sign(SECRET, at, text));
        }
    }
}

#[test]
fn a_webhook_that_is_away_fails_no_run_and_is_never_named() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(bytes).unwrap();
        // One that has just arrived may still be being copied in.
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    };
    write("hook", b"http://127.0.0.1:1/T0/t0ken\n");
    write("secret", SECRET.as_bytes());
    write("bucket/inbox/tool.rpm", &Rpm::new("tool", "1", "1", "noarch").build());
    let mut command = yrm(directory.path());
    command.args([
        "run",
        "--bucket",
        "./bucket",
        "--notify-webhook-file",
        "hook",
        "--notify-secret-file",
        "secret",
        "-d",
    ]);
    let output = command.output().unwrap();
    let all = [output.stdout, output.stderr].concat();
    let all = String::from_utf8_lossy(&all);
    assert!(output.status.success() && all.contains("1 published"), "{all}");
    assert!(!all.contains("t0ken") && !all.contains(SECRET), "{all}");

    // A webhook without a secret, an address that is none: told without being repeated.
    let wrong = [vec!["--notify-webhook-file", "hook"], vec!["--notify-webhook", "t0ken"]];
    for arguments in wrong {
        let output = yrm(directory.path()).args(["run", "--bucket", "./bucket"]).args(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("notify-webhook") && !said.contains("t0ken"), "{said}");
    }
}
