use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::news::{FAILING, MARKED, PROMOTED, PRUNED, PUBLISHED, RECOVERED, REJECTED, REMOVED, ROLLED_BACK, SETTINGS};
use super::*;
use crate::authorities::Authorities;
use crate::board::tests::report;
use crate::bucket::report::{Operation, Published, Rejected, TakenOut};
use crate::config::{Notify, NotifyOn, NotifyShape, Secret};
use crate::error::ErrorKind;

const ALL: NotifyOn = NotifyOn::everything();

fn published(number: usize) -> Published {
    Published {
        inbox_key: format!("inbox/el9/d{number}.rpm"),
        etag: "e".to_owned(),
        repository: "el9".to_owned(),
        href: format!("d{number}.rpm"),
        nevra: format!("d{number}-1-1.noarch"),
        pkgid: "0".repeat(64),
        size_bytes: 7,
        already_there: false,
        way: None,
        signed_by: None,
        signed_with: None,
        uploaded_sha256: None,
        remarks: Vec::new(),
    }
}

fn rejected(message: &str) -> Rejected {
    Rejected {
        inbox_key: "inbox/bad.rpm".to_owned(),
        etag: "e".to_owned(),
        code: "E_TRUNCATED".to_owned(),
        message: message.to_owned(),
        hint: "upload it again".to_owned(),
        size_bytes: 5,
        sha256: None,
        quarantine_key: "quarantine/bad.rpm.1".to_owned(),
        first_seen: Timestamp::UNIX_EPOCH,
    }
}

fn facts() -> Facts<'static> {
    Facts {
        bucket: "s3://b",
        run: Ulid::nil(),
        at: Timestamp::from_second(1_795_377_600).unwrap(),
        by: None,
        reason: None,
    }
}

fn events(notices: &[Notice]) -> Vec<&'static str> {
    notices.iter().map(|notice| notice.event).collect()
}

#[test]
fn an_idle_run_and_what_was_there_already_are_no_news() {
    let mut health = Health::new(0);
    assert_eq!(news::of(facts(), Ok(&report(0, &[], &[])), &mut health), []);
    let again = Report { published: vec![Published { already_there: true, ..published(1) }], ..report(0, &[], &[]) };
    assert_eq!(news::of(facts(), Ok(&again), &mut health), []);
}

#[test]
fn published_and_rejected_files_are_told_with_their_uploader() {
    let mut run = report(0, &[], &[]);
    run.published.push(published(1));
    run.rejected.push(rejected("a\u{1b}[2Jb"));
    run.uploaders.insert("inbox/el9/d1.rpm".to_owned(), "AWS:AROA:ci".to_owned());
    let notices = news::of(facts(), Ok(&run), &mut Health::new(0));
    assert_eq!(events(&notices), [PUBLISHED, REJECTED]);
    assert!(!notices[1].body.contains('\u{1b}'));
    let body: Value = serde_json::from_str(&notices[0].body).unwrap();
    assert_eq!(body["packages"][0]["nevra"], "d1-1-1.noarch");
    assert_eq!(body["packages"][0]["uploader"], "AWS:AROA:ci");
    assert_eq!((&body["event"], &body["more"]), (&"published".into(), &0.into()));
    let body: Value = serde_json::from_str(&notices[1].body).unwrap();
    assert_eq!(
        (&body["files"][0]["code"], &body["files"][0]["message"]),
        (&"E_TRUNCATED".into(), &"a\u{1b}[2Jb".into())
    );
}

#[test]
fn a_long_list_is_cut_and_says_so() {
    let run = Report { published: (0..1_000).map(published).collect(), ..report(0, &[], &[]) };
    let notices = news::of(facts(), Ok(&run), &mut Health::new(0));
    let body: Value = serde_json::from_str(&notices[0].body).unwrap();
    assert_eq!((body["packages"].as_array().unwrap().len(), &body["more"]), (50, &950.into()));
    assert_eq!(notices[0].subject, "yrm: 1000 published");

    let long = "x".repeat(100 << 10);
    let run = Report { rejected: (0..20).map(|_| rejected(&long)).collect(), ..report(0, &[], &[]) };
    let notices = news::of(facts(), Ok(&run), &mut Health::new(0));
    assert!(notices[0].body.len() < 256 << 10, "{}", notices[0].body.len());
    let body: Value = serde_json::from_str(&notices[0].body).unwrap();
    assert_eq!(body["more"], 19);
}

#[test]
fn failing_is_told_once_and_so_is_its_end() {
    let (good, error) =
        (report(0, &[], &[]), Error::new(ErrorKind::Unavailable, "listing inbox/").because("a timeout"));
    let partly = Report { errors: vec!["sweeping el9: no".to_owned()], ..report(0, &[], &[]) };
    let mut health = Health::new(1);
    let mut told = Vec::new();
    for outcome in [Err(&error), Ok(&good), Err(&error), Ok(&partly), Err(&error), Ok(&good), Ok(&good), Ok(&partly)] {
        told.push(events(&news::of(facts(), outcome, &mut health)));
    }
    assert_eq!(told, [vec![], vec![], vec![], vec![FAILING], vec![], vec![RECOVERED], vec![], vec![]]);

    let notices = news::of(facts(), Err(&error), &mut Health::new(0));
    let body: Value = serde_json::from_str(&notices[0].body).unwrap();
    assert_eq!(body["errors"][0], "listing inbox/: a timeout");
}

fn taken_out(nevra: &str) -> TakenOut {
    TakenOut { repository: "el9".to_owned(), href: format!("{nevra}.rpm"), nevra: nevra.to_owned(), why: None }
}

/// An operation in which all that can happen has happened.
fn operation(operation: Operation) -> Report {
    Report {
        operation,
        by: Some("ada".to_owned()),
        reason: Some("CVE-2026-1 <b>".to_owned()),
        published: vec![published(1)],
        removed: vec![taken_out("gone")],
        restored: vec![taken_out("back")],
        pruned: vec![taken_out("old")],
        ..report(0, &[], &[])
    }
}

#[test]
fn an_operation_is_told_by_its_own_event_with_who_and_why() {
    let told = |of: Operation| news::of(facts(), Ok(&operation(of)), &mut Health::new(0));
    for (of, expected) in [
        (Operation::Remove, &[REMOVED, PRUNED][..]),
        (Operation::Promote, &[PROMOTED, REMOVED, PRUNED]),
        (Operation::Rollback, &[ROLLED_BACK, PRUNED]),
        (Operation::Settings, &[SETTINGS, PRUNED]),
        (Operation::Run, &[PUBLISHED, PRUNED]),
    ] {
        let notices = told(of);
        assert_eq!(events(&notices), expected);
        let body: Value = serde_json::from_str(&notices[0].body).unwrap();
        assert_eq!((&body["by"], &body["reason"]), (&"ada".into(), &"CVE-2026-1 <b>".into()), "{body}");
    }
    let body: Value = serde_json::from_str(&told(Operation::Rollback)[0].body).unwrap();
    let changes: Vec<&str> =
        body["packages"].as_array().unwrap().iter().map(|one| one["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["restored", "removed"]);
    // It says nothing of whether runs succeed.
    let partly = Report { errors: vec!["no".to_owned()], ..operation(Operation::Remove) };
    assert_eq!(events(&news::of(facts(), Ok(&partly), &mut Health::new(0))), [REMOVED, PRUNED]);
}

#[test]
fn only_what_is_wanted_is_told() {
    let on = NotifyOn::nothing().and("failing").unwrap();
    assert!(news::is_wanted(on, FAILING) && news::is_wanted(on, RECOVERED));
    for event in [PUBLISHED, REJECTED, REMOVED, PRUNED, ROLLED_BACK, PROMOTED, SETTINGS, MARKED] {
        assert!(!news::is_wanted(on, event) && news::is_wanted(ALL, event), "{event}");
        assert!(NotifyOn::WORDS.contains(&event));
    }
}

/// A removal whose texts are as bad as an uploader can make them.
fn hostile() -> Notice {
    let mut run = operation(Operation::Remove);
    run.removed = vec![taken_out("<!channel> [x](https://evil.example) *b* & `c`\u{202e}")];
    run.pruned.clear();
    news::of(facts(), Ok(&run), &mut Health::new(0)).remove(0)
}

#[test]
fn slack_gets_text_in_which_nothing_is_a_link_or_a_mention() {
    let body: Value = serde_json::from_str(&shape::body(&hostile(), NotifyShape::Slack)).unwrap();
    let text = body["text"].as_str().unwrap();
    assert!(!text.contains(['<', '>', '\u{202e}']), "{text}");
    assert!(text.contains("&lt;!channel&gt; [x](https://evil.example) *b* &amp; `c`"), "{text}");
    assert!(text.starts_with("yrm: 1 removed\nBucket: s3://b\nBy: ada\nReason: CVE-2026-1 &lt;b&gt;\n"), "{text}");
    assert_eq!((&body["mrkdwn"], &body["unfurl_links"]), (&false.into(), &false.into()));
}

#[test]
fn teams_gets_a_card_whose_texts_are_never_markdown() {
    let body: Value = serde_json::from_str(&shape::body(&hostile(), NotifyShape::Teams)).unwrap();
    let attachment = &body["attachments"][0];
    assert_eq!(body["type"], "message");
    assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
    let card = &attachment["content"];
    assert_eq!((&card["type"], &card["version"]), (&"AdaptiveCard".into(), &"1.4".into()));
    let blocks = card["body"].as_array().unwrap();
    assert!(blocks.iter().all(|block| block["type"] == "RichTextBlock" && block["inlines"][0]["type"] == "TextRun"));
    let texts: Vec<&str> = blocks.iter().map(|block| block["inlines"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(texts[..4], ["yrm: 1 removed", "Bucket: s3://b", "By: ada", "Reason: CVE-2026-1 <b>"]);
    assert!(texts[4].starts_with("<!channel> [x](https://evil.example) *b* & `c`"), "{texts:?}");
}

#[test]
fn a_chat_gets_the_first_lines_and_few_bytes() {
    let mut run = operation(Operation::Remove);
    run.removed = (0..1_000).map(|at| taken_out(&format!("{at}{}", "x".repeat(3_000)))).collect();
    let notice = news::of(facts(), Ok(&run), &mut Health::new(0)).remove(0);
    for shape in [NotifyShape::Slack, NotifyShape::Teams] {
        let body = shape::body(&notice, shape);
        assert!(body.len() < 28 << 10, "{}", body.len());
        assert!(body.contains("and 980 more"), "{body}");
    }
}

/// Answers the posts in turn with these and hands over what arrived.
async fn server(answers: &'static [u16]) -> (String, UnboundedReceiver<(HeaderMap, String)>) {
    type Seen = (UnboundedSender<(HeaderMap, String)>, &'static [u16], std::sync::Arc<std::sync::atomic::AtomicUsize>);
    let (arrived, arrivals) = unbounded_channel();
    let record = async move |State((arrived, answers, count)): State<Seen>, headers: HeaderMap, body: String| {
        arrived.send((headers, body)).unwrap();
        let at = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        StatusCode::from_u16(answers[at.min(answers.len() - 1)]).unwrap()
    };
    let router = Router::new().route("/hook/s3cret-path", axum::routing::post(record));
    let router = router.with_state((arrived, answers, std::sync::Arc::default()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/s3cret-path", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, arrivals)
}

fn known(text: &str) -> Secret {
    Secret::Known(text.to_owned())
}

async fn notifier(url: &str) -> Notifier {
    let notify = Notify {
        webhook: Some(known(url)),
        topic: None,
        secret: Some(known("s3cret")),
        on: ALL,
        shape: NotifyShape::Yrm,
    };
    Notifier::start(&notify, "s3://b".to_owned(), &S3Config::default(), 0).await.unwrap()
}

fn news() -> Report {
    Report { published: vec![published(1)], ..report(0, &[], &[]) }
}

#[tokio::test]
async fn a_webhook_gets_a_signed_body() {
    let (url, mut arrivals) = server(&[200]).await;
    let notifier = notifier(&url).await;
    notifier.tell(Ulid::nil(), Timestamp::UNIX_EPOCH, Ok(&news()));
    notifier.finish(Duration::from_secs(5)).await;
    let (headers, body) = arrivals.recv().await.unwrap();
    let signature = headers["Yrm-Signature"].to_str().unwrap();
    let seconds: i64 = signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    let at = Timestamp::from_second(seconds).unwrap();
    assert_eq!(signature, sign::sign("s3cret", at, &body));
    assert!(Timestamp::now().duration_since(at).as_secs() < 60);
    assert_ne!(signature, sign::sign("s3cret", at, &body.replace("d1", "d2")));
}

#[tokio::test]
async fn a_receiver_that_stumbles_is_asked_again_and_one_that_refuses_is_not() {
    let (url, mut arrivals) = server(&[500, 200]).await;
    let stumbling = notifier(&url).await;
    stumbling.tell(Ulid::nil(), Timestamp::UNIX_EPOCH, Ok(&news()));
    let (first, second) = (arrivals.recv().await.unwrap().1, arrivals.recv().await.unwrap().1);
    assert_eq!(first, second);
    stumbling.finish(Duration::from_secs(5)).await;
    assert!(arrivals.try_recv().is_err());

    let (url, mut arrivals) = server(&[403]).await;
    let refusing = notifier(&url).await;
    refusing.tell(Ulid::nil(), Timestamp::UNIX_EPOCH, Ok(&news()));
    refusing.finish(Duration::from_secs(5)).await;
    assert!(arrivals.recv().await.is_some() && arrivals.try_recv().is_err());
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_up_nobody() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let notifier = notifier(&format!("http://{}/", listener.local_addr().unwrap())).await;
    let started = std::time::Instant::now();
    for _ in 0..10 * QUEUE {
        notifier.tell(Ulid::nil(), Timestamp::UNIX_EPOCH, Ok(&news()));
    }
    notifier.finish(Duration::from_millis(50)).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn a_webhooks_address_is_shown_by_its_host_alone() {
    let webhook =
        Webhook::new("https://hooks.example.com/T0/s3cret?k=v", None, NotifyShape::Yrm, &Authorities::default())
            .unwrap();
    assert_eq!(Receiver::Webhook(webhook).to_string(), "the webhook at hooks.example.com");
    let notify = Notify {
        webhook: Some(known("https://h/s3cret")),
        topic: None,
        secret: Some(known("k3y")),
        on: ALL,
        shape: NotifyShape::Yrm,
    };
    let shown = format!("{notify:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("k3y"), "{shown}");
}
