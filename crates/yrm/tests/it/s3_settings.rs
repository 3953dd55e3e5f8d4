//! What is said to S3 with every request, at the wire: encryption, access, classes and tags, checksums, who pays;
//! and other doors: access points, private authorities, other regions. `yrm doctor` tries it all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use aws_sdk_s3::types::{
    DefaultRetention, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockRetentionMode, ObjectLockRule,
};
use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use yrm::config::settings::setting;
use yrm::config::{Config, Low, ObjectClass, S3Config, Typed};
use yrm::error::ErrorKind;
use yrm::store::body::Body;
use yrm::store::s3::{Limits, S3Store};
use yrm::store::{Attributes, Copy, Outcome, PutIf, Reused, Store as _};

use super::cli::yrm;
use super::publish::world::rpm;
use super::s3_server::{S3Server, server};
use super::service::drop_file;

const PART: usize = 5 << 20;
const PART_BYTES: u64 = PART as u64;
/// More requests than any of these tests makes.
const FOR_LONG: u32 = 1_000_000;

type Requests = Vec<(String, BTreeMap<String, String>)>;

/// What these flags mean.
fn config(flags: &[(&str, &str)]) -> S3Config {
    let flags = [("bucket", "s3://bucket")].iter().chain(flags);
    let flags = flags.map(|(name, text)| (setting(name).unwrap(), (*text).to_owned())).collect();
    let typed = Typed { file: Some("/dev/null".into()), environment: Vec::new(), flags };
    Config::of(&Low::gather(&typed)).unwrap().0.s3
}

fn is_part(line: &str) -> bool {
    line.contains("partNumber=")
}

/// Whether the request makes an object, or begins to.
fn makes(line: &str) -> bool {
    let writes = line.starts_with("PUT ") || line.starts_with("COPY ");
    writes && !is_part(line) || line.starts_with("POST ") && !line.contains("uploadId=")
}

/// Writes in every way that there is, and deletes; what was asked meanwhile.
async fn every_way_to_write(bucket: &str, said: &S3Config) -> Requests {
    let small = Limits {
        single_put_bytes: PART_BYTES,
        single_copy_bytes: PART_BYTES,
        part_bytes: PART_BYTES,
        copy_part_bytes: PART_BYTES,
        single_assemble_bytes: 0,
        ..Limits::default()
    };
    let store = server().store(bucket, "", small).saying(said);
    let attributes = Attributes { class: Some(ObjectClass::Packages), ..Attributes::default() };
    let folder = TempDir::new().unwrap();
    for (name, size) in [("small", 3), ("large", PART + 1)] {
        fs::write(folder.path().join(name), vec![7; size]).unwrap();
        store.put_file(&format!("inbox/{name}"), &folder.path().join(name), &attributes).await.unwrap();
        let source = store.head(&format!("inbox/{name}")).await.unwrap().unwrap();
        let target = format!("repo/{name}");
        let copy = Copy::of(&source, &target, &attributes);
        assert!(matches!(store.copy(copy).await.unwrap(), Outcome::Done(_)));
    }
    let large = store.head("repo/large").await.unwrap().unwrap();
    let body = Body::Memory(Bytes::from([vec![1; PART], vec![7; PART]].concat()));
    let reused = [Reused { at: PART_BYTES..2 * PART_BYTES, object: &large, from: 0 }];
    let joined = store.assemble("repo/joined", &body, &reused, &attributes, PutIf::Absent).await.unwrap();
    assert!(matches!(&joined, Outcome::Done(made) if made.sent_bytes == PART_BYTES), "{joined:?}");
    // Begun and aborted: the source is another by now.
    let lost = store.assemble("repo/joined", &body, &reused, &attributes, PutIf::Absent).await.unwrap();
    assert!(matches!(lost, Outcome::Lost), "{lost:?}");
    assert_eq!(store.list("repo/", None).await.unwrap().objects.len(), 3);
    assert_eq!(store.get("repo/small", None).await.unwrap().unwrap().bytes.len(), 3);
    store.delete("repo/small", &store.head("repo/small").await.unwrap().unwrap().etag).await.unwrap();
    let requests = server().requests_with_headers(bucket).await;
    for kind in ["PUT ", "COPY ", "POST ", "GET ", "HEAD ", "LIST ", "DELETE "] {
        assert!(requests.iter().any(|(line, _)| line.starts_with(kind)), "no {kind} among {requests:#?}");
    }
    requests
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_carries_the_encryption() {
    let key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let flags = [
        ("sse", "aws:kms"),
        ("sse-kms-key", key),
        ("sse-bucket-key", "true"),
        ("acl", "bucket-owner-full-control"),
        ("tags", "packages:team=a b"),
        ("storage-class", "packages:STANDARD_IA"),
        ("requester-pays", "true"),
    ];
    let bucket = server().make_bucket().await;
    let expected = [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", key),
        ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-tagging", "team=a%20b"),
        ("x-amz-storage-class", "STANDARD_IA"),
    ];
    let requests = every_way_to_write(&bucket, &config(&flags)).await;
    for (line, headers) in &requests {
        let said = |name: &str| headers.get(name).map(String::as_str);
        assert_eq!(said("x-amz-request-payer"), Some("requester"), "{line}");
        for (name, value) in expected {
            assert_eq!(said(name), makes(line).then_some(value), "{name} of {line}");
        }
        if line.starts_with("COPY ") && makes(line) {
            assert_eq!(said("x-amz-tagging-directive"), Some("REPLACE"), "{line}");
        }
    }
    // Without the settings nothing of it is said.
    let bucket = server().make_bucket().await;
    for (line, headers) in every_way_to_write(&bucket, &config(&[])).await {
        let said = expected.iter().map(|(name, _)| *name).chain(["x-amz-request-payer"]);
        for name in said {
            assert!(!headers.contains_key(name), "{name} of {line}");
        }
    }
    for (sse, header) in [("AES256", "AES256"), ("aws:kms:dsse", "aws:kms:dsse")] {
        let bucket = server().make_bucket().await;
        let store = server().store(&bucket, "", Limits::default()).saying(&config(&[("sse", sse)]));
        store.put("k", Bytes::from_static(b"x"), &Attributes::default(), PutIf::Absent).await.unwrap();
        let requests = server().requests_with_headers(&bucket).await;
        assert_eq!(requests[0].1["x-amz-server-side-encryption"], header);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_carries_a_checksum() {
    let bucket = server().make_bucket().await;
    let (mut parts, mut completions) = (0, 0);
    for (line, headers) in every_way_to_write(&bucket, &config(&[])).await {
        let has = |name: &str| headers.contains_key(name);
        if line.starts_with("PUT ") {
            assert!(has("x-amz-checksum-sha256") && has("x-amz-sdk-checksum-algorithm"), "{line}: {headers:?}");
            parts += usize::from(is_part(&line));
        } else if makes(&line) {
            assert_eq!(headers["x-amz-checksum-algorithm"], "SHA256", "{line}");
        } else if line.starts_with("POST ") {
            assert_eq!(headers["x-amz-checksum-type"], "COMPOSITE", "{line}");
            completions += 1;
        }
    }
    // Of the file two, of each of the two joined bodies one. The server checks what a completion says of each.
    assert_eq!((parts, completions), (4, 4));
}

/// A bucket with Object Lock takes neither objects nor parts without a checksum.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_object_lock_is_published_into() {
    let (client, bucket) = (server().client(), format!("locked-{:016x}", rand::random::<u64>()));
    client.create_bucket().bucket(&bucket).object_lock_enabled_for_bucket(true).send().await.unwrap();
    let retention = DefaultRetention::builder().mode(ObjectLockRetentionMode::Governance).days(1).build();
    let lock = ObjectLockConfiguration::builder()
        .object_lock_enabled(ObjectLockEnabled::Enabled)
        .rule(ObjectLockRule::builder().default_retention(retention).build());
    let lock = client.put_object_lock_configuration().bucket(&bucket).object_lock_configuration(lock.build());
    lock.send().await.unwrap();
    let folder = TempDir::new().unwrap();
    let output = on_bucket(folder.path(), &format!("s3://{bucket}"), &["doctor"]).output().unwrap();
    let said = text(&output);
    assert!(said.contains("upload in two parts") && !said.contains("| no "), "{said}");
    every_way_to_write(&bucket, &config(&[])).await;
}

fn on_bucket(directory: &Path, bucket: &str, arguments: &[&str]) -> Command {
    let mut command = yrm(directory);
    command.envs(server().environment()).env("YRM_PATH_STYLE", "true").env("YRM_BUCKET", bucket);
    command.args(arguments);
    command
}

fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}{err}", output.status)
}

async fn upload(bucket: &str, path: &str, bytes: Vec<u8>) {
    let key = format!("inbox/{path}");
    server().client().put_object().bucket(bucket).key(key).body(bytes.into()).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_classes_follow_the_class_of_object() {
    let (folder, bucket) = (TempDir::new().unwrap(), server().make_bucket().await);
    upload(&bucket, "a.rpm", rpm("a", "1").build()).await;
    upload(&bucket, "page.rpm", b"<html>404</html>".to_vec()).await;
    let mut run = on_bucket(folder.path(), &format!("s3://{bucket}"), &["run"]);
    run.args(["--storage-class", "packages:INTELLIGENT_TIERING,quarantine:GLACIER_IR"]);
    run.args([
        "--tags",
        "all:team=x,packages:kind=package,metadata:kind=metadata,state:kind=state,quarantine:kind=bad",
    ]);
    let output = run.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let mut seen = BTreeMap::<String, usize>::new();
    let objects = server().client().list_objects_v2().bucket(&bucket).send().await.unwrap();
    for key in objects.contents().iter().filter_map(|object| object.key()) {
        let head = server().client().head_object().bucket(&bucket).key(key).send().await.unwrap();
        let stored = head.storage_class().map_or("STANDARD", |class| class.as_str());
        let tags = server().client().get_object_tagging().bucket(&bucket).key(key).send().await.unwrap();
        let tags: BTreeMap<_, _> = tags.tag_set().iter().map(|tag| (tag.key(), tag.value())).collect();
        let (kind, class) = match key {
            "repo/a.rpm" => ("package", "INTELLIGENT_TIERING"),
            _ if key.starts_with("repo/") => ("metadata", "STANDARD"),
            _ if key.starts_with("quarantine/") => ("bad", "GLACIER_IR"),
            _ => ("state", "STANDARD"),
        };
        assert_eq!((tags, stored), (BTreeMap::from([("team", "x"), ("kind", kind)]), class), "{key}");
        *seen.entry(kind.to_owned()).or_default() += 1;
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["bad", "metadata", "package", "state"], "{seen:?}");
    // An uploader needs no right to tag, and an upload is not kept long enough for a class of its own.
    fs::write(folder.path().join("b.rpm"), rpm("b", "1").build()).unwrap();
    let mut publish = on_bucket(folder.path(), &format!("s3://{bucket}"), &["publish", "b.rpm", "--to", ""]);
    publish.args(["--tags", "all:team=x", "--storage-class", "all:STANDARD_IA", "--sse", "AES256"]);
    server().reset_requests(&bucket).await;
    let output = publish.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let requests = server().requests_with_headers(&bucket).await;
    let (_, put) = requests.iter().find(|(line, _)| line.starts_with("PUT ")).unwrap();
    assert!(!put.contains_key("x-amz-tagging") && !put.contains_key("x-amz-storage-class"), "{put:?}");
    assert_eq!(put["x-amz-server-side-encryption"], "AES256");
}

/// The name of the host is made up: a proxy leads there, as in many a company.
#[tokio::test(flavor = "multi_thread")]
async fn an_access_point_is_a_bucket() {
    let (folder, bucket) = (TempDir::new().unwrap(), server().make_bucket().await);
    server()
        .client()
        .put_object()
        .bucket(&bucket)
        .key("team/inbox/libstdc++.rpm")
        .body(rpm("libstdc++", "1").build().into())
        .send()
        .await
        .unwrap();
    server().reset_requests(&bucket).await;
    let arn = format!("s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/{bucket}/team");
    let mut run = yrm(folder.path());
    run.envs(server().environment()).env_remove("AWS_ENDPOINT_URL").env("HTTP_PROXY", server().endpoint());
    run.args(["run", "--bucket", &arn, "--endpoint", "http://s3.test", "--output", "json"]);
    let output = run.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["published"].as_array().unwrap().len(), 1, "{report}");
    let requests = server().requests_with_headers(&bucket).await;
    assert!(requests.iter().any(|(line, _)| line.starts_with("COPY ") && line.contains("/team/repo/libstdc")));
    for (line, headers) in &requests {
        assert!(line.contains(&format!(" /{bucket}")), "{line}");
        assert_eq!(headers["region"], "eu-west-1", "the ARN's region counts, whatever AWS_REGION says: {line}");
    }
}

/// The files of an authority and of a server that it vouches for: the authority's, the server's, its key's.
fn private_authority(folder: &Path) -> [String; 3] {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").current_dir(folder).args(arguments.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", text(&output));
    };
    let ca = "-subj /CN=tests -addext basicConstraints=critical,CA:TRUE -days 2 -nodes -keyout ca.key -out ca.pem";
    openssl(&format!("req -x509 -newkey rsa:2048 {ca}"));
    openssl("req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=127.0.0.1");
    fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem");
    ["ca.pem", "server.pem", "server.key"].map(|name| folder.join(name).to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_trusted_by_aws_ca_bundle() {
    const STRANGE: &str = "UnknownIssuer";
    let folder = TempDir::new().unwrap();
    let [ca, certificate, key] = private_authority(folder.path());
    let bucket = folder.path().join("bucket");
    drop_file(&bucket, "a.rpm", &rpm("a", "1").build());
    let load = format!("bucket={}", bucket.join("b").display());
    let server = S3Server::start_with(&["--certificate", &certificate, "--key", &key, "--load", &load]);
    let command = |arguments: &[&str]| {
        let mut command = yrm(folder.path());
        command.envs(server.environment()).args(arguments);
        command
    };
    let at = ["--bucket", "s3://bucket", "--path-style"];
    let refused = command(&[&["status"][..], &at].concat()).output().unwrap();
    assert!(!refused.status.success() && text(&refused).contains(STRANGE), "{}", text(&refused));

    fs::write(folder.path().join("profile"), format!("[profile company]\nca_bundle = {ca}\n")).unwrap();
    let profile = folder.path().join("profile").to_str().unwrap().to_owned();
    for (environment, flags) in [
        (vec![("AWS_CA_BUNDLE", ca.as_str())], vec![]),
        (vec![], vec!["--ca-bundle", &ca]),
        (vec![("AWS_CONFIG_FILE", profile.as_str()), ("AWS_PROFILE", "company")], vec![]),
        (vec![("AWS_CONFIG_FILE", profile.as_str())], vec!["--profile", "company"]),
        // What we are told counts before what others are.
        (vec![("AWS_CA_BUNDLE", "/nowhere")], vec!["--ca-bundle", &ca]),
    ] {
        let mut trusting = command(&[&["status"][..], &at, &flags].concat());
        let output = trusting.envs(environment.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{environment:?} {flags:?}: {}", text(&output));
    }
    let output = command(&[&["run"][..], &at].concat()).env("AWS_CA_BUNDLE", &ca).output().unwrap();
    assert!(output.status.success() && text(&output).contains("1 published"), "{}", text(&output));
    let nowhere = command(&[&["status"][..], &at].concat()).env("AWS_CA_BUNDLE", "/nowhere").output().unwrap();
    assert!(nowhere.status.code() == Some(2) && text(&nowhere).contains("/nowhere"), "{}", text(&nowhere));

    // The same goes for who is told of runs; this server takes whatever is posted there.
    for (bundle, is_strange) in [(None, true), (Some(&ca), false)] {
        let local = TempDir::new().unwrap();
        drop_file(local.path(), "a.rpm", &rpm("a", "1").build());
        let mut run = command(&["run", "--bucket", local.path().join("b").to_str().unwrap()]);
        run.args(["--notify-webhook", &format!("{}/_requests", server.endpoint()), "--notify-secret", "secret"]);
        run.args(["--datadog-site", server.endpoint(), "--datadog-api-key", "key"]);
        run.envs(bundle.map(|ca| ("AWS_CA_BUNDLE", ca)));
        let output = run.output().unwrap();
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        let strange = said.matches(STRANGE).count();
        assert!(if is_strange { strange >= 2 } else { strange == 0 }, "{bundle:?}: {said}");
        assert!(is_strange || !said.contains("notice"), "{said}");
    }
}

#[tokio::test]
async fn the_right_region_is_named() {
    let bucket = server().make_bucket().await;
    let store = server().store(&bucket, "", Limits::default());
    let region = json!({"x-amz-bucket-region": "eu-central-1"});
    let words = "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'";
    for (status, code, message, headers) in [
        (301, "PermanentRedirect", "The bucket must be addressed using the specified endpoint.", &region),
        (307, "TemporaryRedirect", "Please re-send this request.", &region),
        (400, "AuthorizationHeaderMalformed", words, &json!({})),
        (400, "IllegalLocationConstraintException", "Incompatible", &region),
    ] {
        let fault = json!({"kind": "answer", "match": format!(" /{bucket}"), "times": 2, "status": status, "code": code,
            "message": message, "headers": headers});
        server().control(&fault).await;
        let listing = store.list("", None).await.unwrap_err();
        let put = store.put("k", Bytes::new(), &Attributes::default(), PutIf::Absent).await.unwrap_err();
        for error in [listing, put] {
            assert_eq!(error.kind(), ErrorKind::Config, "{}", error.chain());
            let hint = error.hint_text().unwrap();
            assert!(hint.contains("give --region eu-central-1"), "{code}: {hint}");
        }
    }
    // An answer to HEAD has headers only, and what is no region is not repeated.
    for (status, named, expected) in [
        (301, "eu-central-1", "the region eu-central-1"),
        (400, "eu-central-1", "the region eu-central-1"),
        (301, "no region at all", "in another region"),
    ] {
        let fault = json!({"kind": "answer", "match": format!("^HEAD /{bucket}"), "times": 1, "status": status, "code": "x",
            "message": "x", "headers": {"x-amz-bucket-region": named}});
        server().control(&fault).await;
        let error = store.head("k").await.unwrap_err();
        assert!(error.hint_text().unwrap().contains(expected), "{status}: {:?}", error.hint_text());
    }
}

/// What is refused: which requests, with which header, with which words; and the right that then is missing.
type Refusal = (&'static str, Option<&'static str>, &'static str, &'static str);

const NAMED: &str = "User: arn:aws:sts::123456789012:assumed-role/yrm/i-0 is not authorized to perform: kms:GenerateDataKey \
                     on resource: arn:aws:kms:us-east-1:123456789012:key/1 because no identity-based policy allows it";

const REFUSALS: [Refusal; 12] = [
    ("^LIST", None, "Access Denied", "s3:ListBucket"),
    ("^(PUT|COPY|POST)", Some("x-amz-tagging"), "Access Denied", "s3:PutObjectTagging"),
    ("^(PUT|COPY|POST)", Some("x-amz-acl"), "Access Denied", "s3:PutObjectAcl"),
    ("^(PUT|COPY|POST)", Some("x-amz-server-side-encryption"), "Access Denied", "kms:GenerateDataKey"),
    ("^(PUT|COPY|POST)", None, NAMED, "kms:GenerateDataKey"),
    (
        "^(PUT|POST)",
        None,
        "Access Denied",
        "s3:PutObject or s3:PutObjectTagging or s3:PutObjectAcl or kms:GenerateDataKey",
    ),
    ("^GET", None, "Access Denied", "kms:Decrypt"),
    ("^(GET|HEAD)", None, "Access Denied", "s3:GetObject"),
    ("^PUT .*partNumber=", None, "Access Denied", "kms:Decrypt"),
    ("^POST .*uploads", None, "Access Denied", "s3:PutObject"),
    ("^DELETE .*uploadId=", None, "Access Denied", "s3:AbortMultipartUpload"),
    ("^DELETE [^?]*(\\?x-id=DeleteObject)?$", None, "Access Denied", "s3:DeleteObject"),
];

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_the_missing_right() {
    let folder = TempDir::new().unwrap();
    let doctor = |bucket: &str| {
        let mut doctor = on_bucket(folder.path(), &format!("s3://{bucket}"), &["doctor"]);
        doctor.args([
            "--sse",
            "aws:kms",
            "--acl",
            "bucket-owner-full-control",
            "--tags",
            "all:team=x,packages:kind=rpm",
        ]);
        doctor.output().unwrap()
    };
    let left = async |bucket: &str| {
        let objects = server().client().list_objects_v2().bucket(bucket).send().await.unwrap();
        let uploads = server().client().list_multipart_uploads().bucket(bucket).send().await.unwrap();
        (objects.contents().len(), uploads.uploads().len())
    };
    let bucket = server().make_bucket().await;
    let output = doctor(&bucket);
    let said = text(&output);
    assert!(output.status.success() && said.contains("allowed, with aws:kms, an ACL, tags"), "{said}");
    assert!(said.contains("upload in two parts") && said.contains("4 requests, 5243904 bytes sent"), "{said}");
    assert!(said.contains("nothing is left") && !said.contains("missing"), "{said}");
    assert_eq!(left(&bucket).await, (0, 0));
    for (requests, header, message, right) in REFUSALS {
        let bucket = server().make_bucket().await;
        let (method, rest) = requests.split_at(requests.find(' ').unwrap_or(requests.len()));
        let fault = json!({"kind": "answer", "match": format!("{method} /{bucket}{}", rest.trim_start()), "times": FOR_LONG,
            "header": header, "status": 403, "code": "AccessDenied", "message": message});
        server().control(&fault).await;
        let output = doctor(&bucket);
        server().mend(&bucket).await;
        let said = text(&output);
        assert_eq!(output.status.code(), Some(5), "{requests} {header:?}: {said}");
        assert!(said.contains(&format!("{right} is missing")), "{requests} {header:?}: {right}: {said}");
        let (objects, uploads) = left(&bucket).await;
        assert_eq!(uploads, 0, "{requests} {header:?}");
        assert!(objects == 0 || right == "s3:DeleteObject", "{requests}: {objects} objects stay");
    }
}

#[tokio::test]
async fn credentials_that_nobody_knows_are_no_missing_rights() {
    let folder = TempDir::new().unwrap();
    let bucket = server().make_bucket().await;
    let fault = json!({"kind": "answer", "match": format!(" /{bucket}"), "times": FOR_LONG, "status": 403,
        "code": "InvalidAccessKeyId", "message": "The AWS Access Key Id you provided does not exist in our records."});
    server().control(&fault).await;
    let store: S3Store = server().store(&bucket, "", Limits::default());
    assert!(store.rights().await.unwrap_err().chain().contains("InvalidAccessKeyId"));
    let output = on_bucket(folder.path(), &format!("s3://{bucket}"), &["doctor"]).output().unwrap();
    server().mend(&bucket).await;
    let said = text(&output);
    assert!(
        output.status.code() == Some(5) && said.contains("InvalidAccessKeyId") && !said.contains("missing"),
        "{said}"
    );
}
