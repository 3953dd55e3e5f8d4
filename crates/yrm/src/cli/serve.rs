//! `yrm serve`: publish every interval and answer HTTP, until SIGTERM or SIGINT.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use clap::Args;
use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;

use super::context::{Context, DONE, Purpose, outside, publisher, signer};
use super::flags::{Flags, ForPublish, ForRepositories, ForServe, ForSigning};
use crate::aws;
use crate::board::{Board, RUNS_KEPT};
use crate::bucket::verdict::Reason;
use crate::bucket::{Bucket, history, quarantine};
use crate::config::{BucketUrl, Config};
use crate::error::{Error, ErrorKind, Result};
use crate::events::Events;
use crate::events::message::Inbox;
use crate::events::sqs::SqsQueue;
use crate::http::gateway::access::AccessLog;
use crate::http::gateway::{Gateway, NoteUse, Reached, Watching};
use crate::http::tls::Certificates;
use crate::http::{self, BucketNow, Faces, RepoFiles};
use crate::metrics;
use crate::publish::abilities::abilities;
use crate::publish::operations::token::note_use;
use crate::publish::settings::own;
use crate::publish::{Publisher, Unwatched};
use crate::sched::{self, Hangups, Signals, Stop, Stopper};
use crate::secrets;
use crate::serve::{self, Current, Farewell, Told};
use crate::store::door;
use crate::telemetry;
use crate::update::{self, Probation, Staged, Watch};

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
    let mut opened = context.open(Purpose::Serving).await?;
    // What comes before the service listens ends nothing either.
    let _before = Hangups::listen()?;
    secrets::fetch_all(&mut opened.config).await?;
    let config = &opened.config;
    let publisher = publisher(&opened).await?.sharing(config.service.share).acting_for(context.who(config, None));
    let current = Current::new(publisher);
    let listener = match update::inherited(config.service.listen)? {
        Some(listener) => listener,
        None => http::bind(config.service.listen)?,
    };
    // Whoever stops for good lets the port go at once; whoever is followed keeps it.
    let socket = config.service.self_update.is_some().then(|| listener.as_fd().try_clone_to_owned());
    let socket = socket.transpose().map_err(|error| {
        Error::new(ErrorKind::Internal, "keeping the listening socket for the next release").because(error)
    })?;
    match (Box::pin(run_service(config, (&current, context), listener, async |_| Ok(()))).await?, socket) {
        (Some(staged), Some(socket)) => Err(staged.take_over(&socket)),
        (None, _) | (Some(_), None) => Ok(DONE),
    }
}

/// The service for `config` on `listener` until a signal, or until a new release waits to take over;
/// `listening` hears the address once HTTP answers.
pub(super) async fn run_service(
    config: &Config,
    (current, context): (&Current, &Context),
    listener: TcpListener,
    listening: impl AsyncFnOnce(std::net::SocketAddr) -> Result<()>,
) -> Result<Option<Staged>> {
    let mut signals = Signals::listen()?;
    let mut hangups = Hangups::listen()?;
    let recorder = metrics::install();
    metrics::rejection_codes(Reason::ALL.map(Reason::code));
    let listen = listener.local_addr().unwrap_or(config.service.listen);
    let board = serve::board(config.service.interval);
    let (stopper, stop) = sched::stop_pair();
    let files = match &config.bucket {
        BucketUrl::Directory(bucket) => {
            Some(RepoFiles { bucket: bucket.clone(), folders: config.policy.folders.clone() })
        }
        BucketUrl::S3 { .. } => None,
    };
    let gateway = gateway(config, files.as_ref()).await?.map(Arc::new);
    let access_log = config.service.access_log.as_deref().map(AccessLog::open).transpose()?;
    let watching = Watching { trusted_proxies: config.service.trusted_proxies.clone(), access_log: access_log.clone() };
    let certificates = config.service.tls.as_ref().map(Certificates::read).transpose()?.map(Arc::new);
    let following = current.follow();
    let bucket = BucketNow::new(move || Some(following.borrow().bucket().clone()));
    let faces = Faces {
        board: Arc::clone(&board),
        recorder,
        files,
        gateway,
        bucket,
        watching: Arc::new(watching),
        api_access: config.service.api_access,
        certificates,
        listen,
        now: Timestamp::now,
    };
    let outside = outside(config, HICCUPS).await?;
    let events = connect_events(config, &current.get()).await?;
    let (mut watch, probation) = update::begin(config).await.unzip();
    let (staged, signalled) = (OnceCell::new(), OnceCell::new());
    let farewell = || match (staged.initialized(), signalled.initialized()) {
        (true, false) => Farewell::Reloading,
        (false, _) | (true, true) => Farewell::Stopping,
    };
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(bucket = %config.bucket, %listen, version, interval_s = config.service.interval.as_secs(), "serving");
    if current.get().bucket().mirror_rules.is_on_anywhere() {
        let urls = config.policy.mirrors.public_urls.join(", ");
        tracing::info!(
            "clients may say mirrorlist=ADDRESS/mirrorlist in the place of baseurl=ADDRESS; addresses begin with {urls}"
        );
    }
    let told = Told { board: &board, outside, events: events.as_ref(), reader: Some(current) };
    let ((), (), (), (), (), outcome, heard) = tokio::join!(
        wait_for_signal(&mut signals, &signalled, &stopper, stop.clone()),
        reopen_logs_at_hangup(&mut hangups, access_log.as_ref(), stop.clone()),
        http::answer(listener, faces, stop.clone()),
        serve::tell_systemd(stop.clone(), farewell),
        wait_for_release(watch.as_mut(), &staged, &stopper, stop.clone()),
        publish_until((current, context), told, probation.as_ref(), &stopper, stop.clone()),
        listening(listen),
    );
    // One that came while the rest wound up wants the end, too.
    let is_signalled = signalled.initialized() || signals.next().now_or_never().is_some();
    if is_signalled && board.schedule().runs_finished == 0 {
        probation.inspect(Probation::unjudged);
    }
    access_log.inspect(AccessLog::flush);
    tracing::info!("stopped");
    heard.and(outcome)?;
    Ok(staged.into_inner().filter(|_| !is_signalled))
}

/// The way in for clients of a private bucket, if there is one.
async fn gateway(config: &Config, files: Option<&RepoFiles>) -> Result<Option<Gateway>> {
    let Some(wanted) = &config.service.gateway else { return Ok(None) };
    let authorities = aws::authorities(&config.s3).await?;
    let audience = config.bucket.to_string();
    let sts = aws::other_sts(&config.s3).await;
    let note = NoteUse::new(|bucket, name, used| {
        tokio::spawn(async move {
            if let Err(error) = note_use(&bucket, &name, &used).await {
                tracing::debug!(token = name, "its use could not be noted: {}", error.chain());
            }
        });
    });
    let reached = Reached { audience: &audience, authorities: &authorities, sts: sts.as_deref(), note };
    let gateway = match (&config.bucket, files) {
        (BucketUrl::S3 { name, prefix }, _) => {
            Gateway::of_s3(wanted, door::s3_links(name, prefix, &config.s3).await?, &reached)?
        }
        (BucketUrl::Directory(_), Some(files)) => Gateway::of_directory(wanted, files.clone(), &reached)?,
        (BucketUrl::Directory(_), None) => return Ok(None),
    };
    if wanted.auth.is_empty() && !config.service.listen.ip().is_loopback() {
        tracing::warn!(listen = %config.service.listen, "the gateway lets everybody in who reaches this address (gateway-auth = none)");
    }
    Ok(Some(gateway))
}

/// The queue that tells of uploads, if there is one. It is not asked anything yet.
async fn connect_events(config: &Config, publisher: &Publisher) -> Result<Option<Events>> {
    let inbox = Inbox::of(&config.bucket, &config.policy.folders);
    let (Some(address), Some(inbox)) = (&config.service.queue, inbox) else { return Ok(None) };
    tracing::info!(queue = %address, "listening for uploads");
    let queue = Arc::new(SqsQueue::connect(address, &config.s3).await?);
    Ok(Some(Events::new(queue, inbox).telling(publisher.bucket().uploaders.clone())))
}

async fn wait_for_signal(signals: &mut Signals, signalled: &OnceCell<&'static str>, stopper: &Stopper, mut stop: Stop) {
    let signal = tokio::select! {
        signal = signals.next() => signal,
        () = stop.requested() => return,
    };
    // Before the stop: whoever winds up asks why.
    drop(signalled.set(signal));
    stopper.stop();
    tracing::info!(signal, "stopping");
}

/// Whoever moves log files away, as logrotate does, says so by SIGHUP.
async fn reopen_logs_at_hangup(hangups: &mut Hangups, access_log: Option<&AccessLog>, mut stop: Stop) {
    loop {
        tokio::select! {
            () = hangups.next() => {
                telemetry::reopen();
                access_log.inspect(|log| log.reopen());
            }
            () = stop.requested() => return,
        }
    }
}

/// Waits for a release that can take over; then no further run starts.
async fn wait_for_release(watch: Option<&mut Watch>, staged: &OnceCell<Staged>, stopper: &Stopper, stop: Stop) {
    let Some(watch) = watch else { return };
    if let Some(next) = watch.next(stop).await {
        drop(staged.set(next));
        stopper.after_this_run();
    }
}

/// Prepares, then runs on schedule. Only a configuration that cannot work ends the service; a
/// store that is away is asked again at every interval.
async fn publish_until(
    (current, context): (&Current, &Context),
    told: Told<'_>,
    probation: Option<&Probation>,
    stopper: &Stopper,
    mut stop: Stop,
) -> Result<()> {
    let prepared = OnceCell::new();
    let board = told.board;
    let prepare_once = async || prepared.get_or_try_init(async || prepare(&current.get(), board).await).await.map(drop);
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
        let mut publisher = current.get();
        let mut outcome = publisher.run(run, &Unwatched).await;
        if outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict) {
            // Somebody has begun to change the layout, and may have died over it.
            if Box::pin(publisher.finish_layout(run)).await? {
                publisher = take_over(current, context).await?;
                outcome = publisher.run(run, &Unwatched).await;
            }
        }
        if publisher.is_at_odds() {
            publisher = take_over(current, context).await?;
            // Nothing was written by a run that found out at its start.
            if outcome.is_err() {
                outcome = publisher.run(run, &Unwatched).await;
            }
        }
        let report = outcome?;
        if report.changed() {
            measure_quarantine(publisher.bucket()).await;
        }
        probation.inspect(|probation| probation.passed());
        Ok(report)
    };
    // It holds a run, and a run is large.
    Box::pin(serve::work(told, stopper, stop, publish)).await;
    Ok(())
}

/// The bucket's settings were changed: the service goes by the new ones from now on. An error of kind `Config` where
/// something that was typed here says otherwise.
async fn take_over(current: &Current, context: &Context) -> Result<Arc<Publisher>> {
    let before = current.get();
    let config = context.anew(before.bucket().store.as_ref()).await?;
    let after = before.going_by(config.policy.clone(), signer(&config).await?)?;
    let changes = own(before.bucket()).changes(&own(after.bucket()));
    if changes.is_empty() {
        // What differs is who signs: no settings help.
        return Ok(before);
    }
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    tracing::info!("the bucket's settings were changed; from now on this service goes by them: {}", changes.join("; "));
    current.set(after);
    Ok(current.get())
}

/// What must have happened once before the first run: the store has shown what it can do, and
/// the runs of earlier processes are on the board.
async fn prepare(publisher: &Publisher, board: &Board) -> Result<()> {
    let bucket = publisher.bucket();
    abilities(bucket).await?;
    bucket.gate.keyring(bucket.store.as_ref()).await?;
    let runs = history::load(bucket, RUNS_KEPT).await?;
    // Oldest first: the newest run that worked in a repository knows it best.
    runs.iter().rev().for_each(serve::see_repositories);
    board.remember(&runs);
    measure_quarantine(bucket).await;
    Ok(())
}

/// For the metrics only, so that a failure is nobody's trouble. An idle run does not ask.
async fn measure_quarantine(bucket: &Bucket) {
    match quarantine::size(bucket).await {
        Ok(size) => metrics::quarantine_measured(size.files, size.bytes),
        Err(error) => tracing::debug!(error = error.chain(), "the quarantine could not be measured"),
    }
}
