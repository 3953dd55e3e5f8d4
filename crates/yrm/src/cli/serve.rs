//! `yrm serve`: publish every interval and answer HTTP, until SIGTERM or SIGINT.

use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;

use super::flags::{Flags, ForPublish, ForRepositories, ForServe, ForSigning};
use super::{Context, DONE, outside, publisher};
use crate::board::{Board, RUNS_KEPT};
use crate::config::{BucketUrl, Config};
use crate::error::{ErrorKind, Result};
use crate::events::Events;
use crate::events::message::Inbox;
use crate::events::sqs::SqsQueue;
use crate::http::{self, Faces, RepoFiles};
use crate::metrics;
use crate::publish::{Publisher, Unwatched, history};
use crate::sched::{self, Stop, Stopper};
use crate::secrets;
use crate::serve::{self, Outside};

/// Runs in a row that may fail before it is told: the next one often heals it.
const HICCUPS: u32 = 1;

/// What `serve` takes.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    pub(super) repositories: Flags<ForRepositories>,
    #[command(flatten)]
    pub(super) publish: Flags<ForPublish>,
    #[command(flatten)]
    pub(super) signing: Flags<ForSigning>,
    #[command(flatten)]
    pub(super) service: Flags<ForServe>,
}

/// Builds the world and runs it. The one place where all parts meet.
pub(super) async fn serve(_args: &ServeArgs, context: &Context) -> Result<u8> {
    let mut config = context.config()?;
    secrets::fetch_all(&mut config).await?;
    let publisher = publisher(&config).await?.sharing(config.service.share);
    let listener = http::bind(config.service.listen).await?;
    run_service(&config, &publisher, listener, async |_| Ok(())).await?;
    Ok(DONE)
}

/// The service for `config` on `listener` until a signal; `listening` hears the address once HTTP answers.
pub(super) async fn run_service(
    config: &Config,
    publisher: &Publisher,
    listener: TcpListener,
    listening: impl AsyncFnOnce(std::net::SocketAddr) -> Result<()>,
) -> Result<()> {
    let recorder = metrics::install();
    let listen = listener.local_addr().unwrap_or(config.service.listen);
    let board = serve::board(config.service.interval);
    let (stopper, stop) = sched::stop_pair();
    let files = match &config.bucket {
        BucketUrl::Directory(bucket) => {
            Some(RepoFiles { bucket: bucket.clone(), repo: config.policy.folders.repo.clone() })
        }
        BucketUrl::S3 { .. } => None,
    };
    let faces = Faces { board: Arc::clone(&board), recorder, files, listen, now: Timestamp::now };
    let outside = outside(config, HICCUPS).await?;
    let events = connect_events(config, publisher).await;
    tracing::info!(bucket = %config.bucket, %listen, interval_s = config.service.interval.as_secs(), "serving");
    if publisher.bucket().mirror_rules.is_on_anywhere() {
        let urls = config.policy.mirrors.public_urls.join(", ");
        tracing::info!(
            "clients may say mirrorlist=ADDRESS/mirrorlist in the place of baseurl=ADDRESS; addresses begin with {urls}"
        );
    }
    let (signals, answers, systemd, outcome, told) = tokio::join!(
        wait_for_signal(&stopper, stop.clone()),
        http::answer(listener, faces, stop.clone()),
        serve::tell_systemd(stop.clone()),
        publish_until(publisher, Told { board: &board, outside, events: events.as_ref() }, &stopper, stop.clone()),
        listening(listen),
    );
    let ((), ()) = (answers, systemd);
    tracing::info!("stopped");
    signals.and(told).and(outcome)
}

/// The queue that tells of uploads, if there is one. It is not asked anything yet.
async fn connect_events(config: &Config, publisher: &Publisher) -> Option<Events> {
    let (address, inbox) = (config.service.queue.as_ref()?, Inbox::of(&config.bucket, &config.policy.folders)?);
    tracing::info!(queue = %address, "listening for uploads");
    let queue = Arc::new(SqsQueue::connect(address, &config.s3).await);
    Some(Events::new(queue, inbox).telling(publisher.bucket().uploaders.clone()))
}

/// Who is told of runs, or tells of work for them.
struct Told<'a> {
    board: &'a Board,
    outside: Outside,
    events: Option<&'a Events>,
}

async fn wait_for_signal(stopper: &Stopper, mut stop: Stop) -> Result<()> {
    let signal = tokio::select! {
        signal = sched::signalled() => signal,
        () = stop.requested() => return Ok(()),
    };
    stopper.stop();
    tracing::info!(signal = signal.as_ref().copied().unwrap_or("none"), "stopping");
    signal.map(drop)
}

/// Prepares, then runs on schedule. Only a configuration that cannot work ends the service; a
/// store that is away is asked again at every interval.
async fn publish_until(
    publisher: &Publisher,
    Told { board, outside, events }: Told<'_>,
    stopper: &Stopper,
    mut stop: Stop,
) -> Result<()> {
    let prepared = OnceCell::new();
    let prepare_once = async || prepared.get_or_try_init(async || prepare(publisher, board).await).await.map(drop);
    let first = tokio::select! {
        first = prepare_once() => first,
        () = stop.requested() => return Ok(()),
    };
    match first {
        Err(error) if error.kind() == ErrorKind::Config => {
            stopper.stop();
            return Err(error);
        }
        // The first run comes upon it again, and tells.
        Ok(()) | Err(_) => {}
    }
    let publish = async |run| {
        prepare_once().await?;
        publisher.run(run, &Unwatched).await
    };
    serve::work(board, outside, events, stop, publish).await;
    Ok(())
}

/// What must have happened once before the first run: the store has shown what it can do, and
/// the runs of earlier processes are on the board.
async fn prepare(publisher: &Publisher, board: &Board) -> Result<()> {
    let bucket = publisher.bucket();
    bucket.abilities().await?;
    bucket.gate.keyring(bucket.store.as_ref()).await?;
    board.remember(history::load(bucket, RUNS_KEPT).await?);
    Ok(())
}
