use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn inbox(prefix: &str) -> Inbox {
    let bucket = BucketUrl::S3 { name: "amzn-s3-demo-bucket".to_owned(), prefix: prefix.to_owned() };
    Inbox::of(&bucket, &Folders::default()).unwrap()
}

/// The record of AWS's "Event message structure", for `key` as it stands in the message.
fn record(name: &str, bucket: &str, key: &str) -> Value {
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-west-2",
        "eventTime": "1970-01-01T00:00:00.000Z",
        "eventName": name,
        "userIdentity": {"principalId": "AIDAJDPLRKLG7UEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "172.16.0.1"},
        "responseElements": {
            "x-amz-request-id": "C3D13FE58DE4C810",
            "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7S/JRWeUWerMUE5JgHvANOjpD",
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "testConfigRule",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": format!("arn:aws:s3:::{bucket}"),
            },
            "object": {
                "key": key,
                "size": 1024,
                "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                "versionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    })
}

fn notification(records: &[Value]) -> String {
    json!({ "Records": records }).to_string()
}

fn put(key: &str) -> Value {
    record("ObjectCreated:Put", "amzn-s3-demo-bucket", key)
}

/// EventBridge's "Object Created" of AWS's documentation.
fn bridged(detail_type: &str, bucket: &str, key: &str) -> String {
    json!({
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": detail_type,
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2021-11-12T00:00:00Z",
        "region": "ca-central-1",
        "resources": [format!("arn:aws:s3:::{bucket}")],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {
                "key": key,
                "size": 5,
                "etag": "b1946ac92492d2347c6235b4d2611184",
                "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                "sequencer": "617f08299329d189",
            },
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject",
        },
    })
    .to_string()
}

fn enveloped(message: &str) -> String {
    json!({
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic",
        "Subject": "Amazon S3 Notification",
        "Message": message,
        "Timestamp": "2012-05-02T00:54:06.655Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLEw6JRN...",
    })
    .to_string()
}

const TEST: &str = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z",
    "Bucket":"amzn-s3-demo-bucket","RequestId":"5582815E1AEA5ADF","HostId":"8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3e"}"#;

fn arrived(keys: &[&str]) -> Said {
    Said::Arrived(keys.iter().map(|key| (*key).to_owned()).collect())
}

#[test]
fn keys_of_a_notification_are_form_encoded_and_those_of_eventbridge_are_not() {
    let inbox = inbox("");
    let said = |key: &str| inbox.said(&notification(&[put(key)]));
    assert_eq!(said("inbox/el9/a%2Bb+c-1.0%7Erc1.rpm"), arrived(&["inbox/el9/a+b c-1.0~rc1.rpm"]));
    assert_eq!(said("inbox%2Fel9%2F%C3%A9.rpm"), arrived(&["inbox/el9/é.rpm"]));
    assert_eq!(said("inbox/broken%2.rpm"), arrived(&["inbox/broken%2.rpm"]));
    let said = |key: &str| inbox.said(&bridged("Object Created", "amzn-s3-demo-bucket", key));
    assert_eq!(said("inbox/el9/a+b c%2B.rpm"), arrived(&["inbox/el9/a+b c%2B.rpm"]));
}

#[test]
fn several_records_are_all_heard_and_others_among_them_are_not() {
    let records = [
        put("inbox/a.rpm"),
        record("ObjectCreated:CompleteMultipartUpload", "amzn-s3-demo-bucket", "inbox/b.rpm"),
        record("s3:ObjectCreated:Copy", "amzn-s3-demo-bucket", "inbox/c.rpm"),
        record("ObjectRemoved:Delete", "amzn-s3-demo-bucket", "inbox/gone.rpm"),
        record("ObjectCreated:Put", "another-bucket", "inbox/theirs.rpm"),
        put("repo/a.rpm"),
        put("inboxes/a.rpm"),
    ];
    assert_eq!(inbox("").said(&notification(&records)), arrived(&["inbox/a.rpm", "inbox/b.rpm", "inbox/c.rpm"]));
}

#[test]
fn either_shape_is_heard_through_an_envelope_and_no_chain_of_them() {
    let inbox = inbox("");
    let (notified, event) =
        (notification(&[put("inbox/a%2B.rpm")]), bridged("Object Created", "amzn-s3-demo-bucket", "inbox/a+.rpm"));
    assert_eq!(inbox.said(&enveloped(&notified)), arrived(&["inbox/a+.rpm"]));
    assert_eq!(inbox.said(&enveloped(&event)), arrived(&["inbox/a+.rpm"]));
    assert_eq!(inbox.said(&enveloped(TEST)), Said::Test);
    assert_eq!(inbox.said(&enveloped(&enveloped(&notified))), Said::NotOurs(UNKNOWN));
}

#[test]
fn the_buckets_own_prefix_comes_off_and_other_prefixes_are_not_ours() {
    let inbox = inbox("team/x");
    assert_eq!(inbox.said(&notification(&[put("team/x/inbox/a.rpm")])), arrived(&["inbox/a.rpm"]));
    for key in ["inbox/a.rpm", "team/xinbox/a.rpm", "team/x/repo/a.rpm", "team/x/inbox"] {
        assert!(matches!(inbox.said(&notification(&[put(key)])), Said::NotOurs(_)), "{key}");
    }
}

#[test]
fn a_test_event_is_told_from_what_is_not_ours() {
    let inbox = inbox("");
    assert_eq!(inbox.said(TEST), Said::Test);
    let none_of_ours = [
        bridged("Object Deleted", "amzn-s3-demo-bucket", "inbox/a.rpm"),
        bridged("Object Created", "another", "inbox/a.rpm"),
        bridged("Object Created", "amzn-s3-demo-bucket", "repo/a.rpm"),
        notification(&[]),
        notification(&[json!({})]),
        notification(&[json!({"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "amzn-s3-demo-bucket"}}})]),
    ];
    for body in none_of_ours {
        assert_eq!(inbox.said(&body), Said::NotOurs("it tells of no upload into this inbox"), "{body}");
    }
    for body in ["", "{}", "null", "hello", "[", r#"{"Records": 7}"#, r#"{"Message": "hello"}"#, "\u{0}"] {
        assert_eq!(inbox.said(body), Said::NotOurs(UNKNOWN), "{body}");
    }
}

#[test]
fn deep_and_long_bodies_are_turned_down() {
    let inbox = inbox("");
    let deep = "[".repeat(MAX_BODY_BYTES);
    assert_eq!(inbox.said(&deep), Said::NotOurs(UNKNOWN));
    let deep_inside = format!(r#"{{"Records":[],"x":{}}}"#, "[".repeat(500_000));
    assert_eq!(inbox.said(&deep_inside), Said::NotOurs(UNKNOWN));
    let long = format!(r#"{{"Records":[],"x":"{}"}}"#, "a".repeat(MAX_BODY_BYTES));
    assert_eq!(inbox.said(&long), Said::NotOurs("it is longer than a message of SQS can be"));
}

/// JSON with our field names and anything in them.
fn nearly_an_event() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(Value::from("amzn-s3-demo-bucket")),
        "inbox/[a-z%+]{0,6}".prop_map(Value::from),
        Just(Value::from("ObjectCreated:Put")),
    ];
    let names =
        ["Records", "Event", "detail-type", "detail", "Message", "eventName", "s3", "bucket", "object", "name", "key"];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(names.to_vec()), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_heard_is_a_key_of_the_inbox(value in nearly_an_event(), cut in 0_usize..400) {
        let text = value.to_string();
        let cut = text.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(text.len());
        for body in [&text, &text[..cut], &enveloped(&text)] {
            if let Said::Arrived(keys) = inbox("").said(body) {
                prop_assert!(!keys.is_empty() && keys.iter().all(|key| key.starts_with("inbox/")));
            }
        }
    }

    #[test]
    fn every_key_survives_the_way_through_a_message(name in "\\PC{1,40}") {
        let key = format!("inbox/{name}");
        let encoded: String = key.bytes().map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        }).collect();
        prop_assert_eq!(inbox("").said(&notification(&[put(&encoded)])), arrived(&[&key]));
        prop_assert_eq!(inbox("").said(&bridged("Object Created", "amzn-s3-demo-bucket", &key)), arrived(&[&key]));
    }
}

#[test]
fn who_uploaded_is_told_in_both_shapes_and_what_is_no_name_costs_nothing() {
    let inbox = inbox("");
    let by = |key: &str, by: &str| Upload {
        key: key.to_owned(),
        etag: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        by: by.to_owned(),
    };
    let body =
        notification(&[put("inbox/a%2Bb.rpm"), record("ObjectRemoved:Delete", "amzn-s3-demo-bucket", "inbox/x")]);
    assert_eq!(inbox.uploads(&body), [by("inbox/a+b.rpm", "AIDAJDPLRKLG7UEXAMPLE")]);
    assert_eq!(inbox.uploads(&json!({"Message": body}).to_string()), [by("inbox/a+b.rpm", "AIDAJDPLRKLG7UEXAMPLE")]);
    let bridged = inbox.uploads(&bridged("Object Created", "amzn-s3-demo-bucket", "inbox/a+b.rpm"));
    let [upload] = bridged.as_slice() else { panic!("{bridged:?}") };
    assert_eq!((upload.key.as_str(), upload.by.as_str()), ("inbox/a+b.rpm", "123456789012"));

    for odd in [json!(7), json!({"principalId": [1]}), json!("somebody"), Value::Null] {
        let mut record = put("inbox/a.rpm");
        record["userIdentity"] = odd;
        let body = notification(&[record]);
        assert_eq!(inbox.said(&body), arrived(&["inbox/a.rpm"]));
        assert_eq!(inbox.uploads(&body), []);
    }
    assert_eq!(inbox.uploads("no JSON"), []);
}
