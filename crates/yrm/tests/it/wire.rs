//! One story over HTTP, again and again: each of its requests fails once, in each way that S3
//! fails. Whatever it was, two more runs later everything is published and the bucket is clean.
//!
//! All of it takes minutes (`just wire`). Otherwise a sample of it is played, of another seed each
//! time; what fails says how to play it again.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt as _;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use yrm::check::{Depth, check};
use yrm::publish::{Publisher, Unwatched};
use yrm::serve::new_run;
use yrm::store::s3::Limits;
use yrm::store::{Store, s3::S3Store};

use super::publish::world::{policy, rpm};
use super::s3_server::server;

/// `all`, or a case as a failure names it: `STORY:KIND:REQUEST`.
const WHICH: &str = "YRM_WIRE";
/// The sample's seed.
const SEED: &str = "YRM_WIRE_SEED";
/// Cases in a sample.
const SAMPLE: usize = 32;
/// Cases at once: most of their time they wait before they try again.
const AT_ONCE: usize = 8;
/// S3's least size of a part.
const PART_BYTES: u64 = 5 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    /// A repository with one package gets two more, and one file that is none.
    Three,
    /// The same with a package so large that it is copied in parts.
    Parts,
}

const KINDS: [&str; 5] = ["500", "slowdown", "drop", "lost-reply", "200-error"];

#[derive(Debug, Clone, Copy)]
struct Case {
    story: Story,
    kind: &'static str,
    /// Requests that go well before.
    after: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}:{}", self.story, self.kind, self.after)
    }
}

impl Story {
    fn limits(self) -> Limits {
        match self {
            Self::Three => Limits::default(),
            Self::Parts => Limits { single_copy_bytes: PART_BYTES, copy_part_bytes: PART_BYTES, ..Limits::default() },
        }
    }

    fn arriving(self) -> [(&'static str, Vec<u8>); 3] {
        let second = match self {
            Self::Three => rpm("c", "1"),
            Self::Parts => rpm("c", "1").payload(vec![7; 6_000_000]),
        };
        let bad = b"not an rpm at all, but long enough to be looked at".to_vec();
        [("el9/b+b.rpm", rpm("b+b", "1").build()), ("el9/c.rpm", second.build()), ("junk.rpm", bad)]
    }
}

/// The requests that this kind of failure is about.
fn matching(kind: &str, bucket: &str) -> String {
    match kind {
        // Only these answer 200 before they know how it ends.
        "200-error" => format!("^COPY /{bucket}/|^POST /{bucket}/.*uploadId"),
        _ => format!("^[A-Z]+ /{bucket}"),
    }
}

async fn upload(bucket: &str, path: &str, bytes: Vec<u8>) {
    let key = format!("inbox/{path}");
    server().client().put_object().bucket(bucket).key(key).body(bytes.into()).send().await.unwrap();
}

fn process(store: &Arc<S3Store>) -> Publisher {
    Publisher::new(Arc::clone(store) as Arc<dyn Store>, policy()).unwrap()
}

async fn keys(store: &S3Store, prefix: &str) -> Vec<String> {
    store.list(prefix, None).await.unwrap().objects.into_iter().map(|object| object.key).collect()
}

/// What the story asked of the store, and whether its first run had an error to tell of.
struct Played {
    log: Vec<String>,
    erred: bool,
}

/// Plays the story with one failure, or none. The error says what is not as it should be.
async fn play(story: Story, failure: Option<Case>) -> Result<Played, String> {
    let bucket = server().make_bucket().await;
    let s3 = Arc::new(server().store(&bucket, "", story.limits()));
    upload(&bucket, "a.rpm", rpm("a", "1").build()).await;
    let report = process(&s3).run(new_run(), &Unwatched).await.map_err(|error| error.chain())?;
    assert_eq!(report.published.len(), 1);
    for (path, bytes) in story.arriving() {
        upload(&bucket, path, bytes).await;
    }
    server().reset_requests(&bucket).await;
    if let Some(Case { kind, after, .. }) = failure {
        server().break_one(kind, &matching(kind, &bucket), after).await;
    }
    let publisher = process(&s3);
    let first = publisher.run(new_run(), &Unwatched).await;
    let requests = server().requests(&bucket).await;
    server().mend(&bucket).await;
    let log = requests["log"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect();
    let erred = first.is_err();
    for publisher in [publisher, process(&s3)] {
        let report = publisher.run(new_run(), &Unwatched).await.map_err(|error| error.chain())?;
        if !report.errors.is_empty() {
            return Err(format!("a run after the failure: {:?}", report.errors));
        }
    }
    let findings = check(process(&s3).bucket(), Depth::Deep).await.map_err(|error| error.chain())?;
    let packages = findings.repositories.iter().map(|repository| repository.packages).sum::<usize>();
    let (inbox, quarantine) = (keys(&s3, "inbox/").await, keys(&s3, "quarantine/").await);
    let as_it_should_be = findings.clean() && packages == 3 && inbox.is_empty() && quarantine.len() == 2;
    let uploads = server().client().list_multipart_uploads().bucket(&bucket).send().await.unwrap();
    for key in keys(&s3, "").await.iter().filter(|_| story == Story::Parts) {
        server().client().delete_object().bucket(&bucket).key(key).send().await.unwrap();
    }
    if as_it_should_be {
        Ok(Played { log, erred })
    } else {
        Err(format!("{packages} packages, {findings:?}, inbox {inbox:?}, quarantine {quarantine:?}, {uploads:?}"))
    }
}

/// Every case there is, after a look at how the stories go when nothing fails.
async fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for story in [Story::Three, Story::Parts] {
        let played = play(story, None).await.unwrap();
        assert!(!played.erred);
        for kind in KINDS {
            let answers_early =
                |line: &&String| line.starts_with("COPY") || line.starts_with("POST") && line.contains("uploadId");
            let requests = match kind {
                "200-error" => played.log.iter().filter(answers_early).count(),
                _ => played.log.len(),
            };
            cases.extend((0..requests).map(|after| Case { story, kind, after }));
        }
    }
    cases
}

#[expect(clippy::print_stdout, reason = "how much was played belongs into the test's record")]
#[tokio::test(flavor = "multi_thread")]
async fn whichever_request_fails_once_everything_is_published() {
    let began = Instant::now();
    let mut cases = all_cases().await;
    let all = cases.len();
    let which = std::env::var(WHICH).unwrap_or_default();
    let seed = std::env::var(SEED).ok().map_or_else(rand::random, |seed| seed.parse::<u64>().unwrap());
    match which.as_str() {
        "all" => {}
        "" => {
            cases.shuffle(&mut rand::rngs::StdRng::seed_from_u64(seed));
            cases.truncate(SAMPLE);
        }
        one => cases.retain(|case| case.to_string() == one),
    }
    assert!(!cases.is_empty(), "{WHICH}={which} is none of the {all} cases");
    let played = cases.len();
    let outcomes = futures::stream::iter(cases)
        .map(|case| async move { (case, play(case.story, Some(case)).await) })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let erred = outcomes.iter().filter(|(_, outcome)| outcome.as_ref().is_ok_and(|played| played.erred)).count();
    println!("{played} of {all} cases (seed {seed}) in {:.1?}; {erred} first runs failed as a whole", began.elapsed());
    let failures: Vec<String> = outcomes
        .into_iter()
        .filter_map(|(case, outcome)| Some(format!("{WHICH}={case} (seed {seed}): {}", outcome.err()?)))
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
}
