//! The commit protocol (ARCHITECTURE.md, "A walk through one run") as a model of which every
//! state is looked at, by the model checker `stateright`.
//!
//! Two writers publish into one repository while uploaders drop, replace and repeat files, an
//! operator removes a package, sweeps delete what is old, processes are killed and the answer to
//! a switch gets lost: in every order. After every step:
//!
//! * **no upload is lost**: it is in the inbox, or it was to be seen by clients after it was made,
//!   or it was set aside, or its uploader replaced it, or it repeats what an operator removed;
//! * **what is named is there**: whatever repomd.xml names exists, with the bytes it had when it
//!   was judged;
//! * **one chain**: every switch follows the one before and undoes nothing of it;
//! * **nothing comes back by itself**: a package enters a generation only for an upload that no
//!   generation has answered yet;
//! * **it heals**: let everybody die here; two runs and, where a path was taken, a sweep between
//!   them leave an empty inbox and an answer to everything.
//!
//! What stands for what: `bucket.rs` has the calls of the store with their conditions, `writer.rs`
//! a run, step by step with the names of `publish/`, `others.rs` removals and the sweep. That the
//! checks can fail is shown by [`Break`]: each rule of the protocol is broken once, and each time
//! the checker must find a story that ends badly.
//!
//! Left out: what is in a file, so that bytes are a number; several packages at a time, so that
//! each path takes one call after the other; adopting, retention, receipts, history, copies of
//! generations; readers of older generations, so that the sweep is more eager than the real one.
//!
//! Taken for granted, and each with a break that shows why: no attempt, no request and no sweep
//! that has begun to delete outlives the grace period; a look and the delete that follows it at once are one step, both in the inbox
//! (where an upload is known by its time) and in the sweep.

mod bucket;
mod others;
mod tests;
mod writer;

use stateright::{Model, Property};

use self::bucket::{Bucket, Bytes, PATHS, Upload};
use self::others::{Removal, Sweep};
use self::writer::Writer;

/// Who is there.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    writers: usize,
    sweepers: usize,
    /// The files that uploaders have: paths, and the bytes there are for each.
    files: &'static [(usize, Bytes)],
    budget: Budget,
}

/// How often things happen, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Budget {
    uploads: u8,
    kills: u8,
    /// Answers to a switch that get lost.
    silences: u8,
    removals: u8,
    /// Times that so much time passes that what lies about is old.
    graces: u8,
    sweeps: u8,
}

/// A rule of the protocol that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Break {
    SwitchUnconditionally,
    TakeLostForWon,
    TakeSilenceForWon,
    SwitchBeforeUpload,
    DeleteUnconditionally,
    /// The inbox object that is deleted is known by its ETag alone.
    KnowUploadsByBytes,
    /// What is in place is published whether or not its upload is still in the inbox.
    BelieveTheListing,
    /// A removal leaves an upload of what it removes in the inbox.
    LeaveTheTwin,
    /// What an earlier run read is believed without a look at the ETag.
    BelieveMemory,
    CopyWhateverIsThere,
    CopyOver,
    ReuseWhatIsOld,
    /// The same generation, made again later, has the same names.
    RevisionStandsStill,
    /// An attempt, a request or a sweep may take longer than the grace period.
    OutliveTheGrace,
    /// repomd.xml is read before the listing.
    SweepByAnOlderRead,
    SweepWhatWasListed,
}

/// The protocol within bounds, and what is broken of it.
#[derive(Debug, Clone)]
struct Protocol {
    bounds: Bounds,
    broken: Vec<Break>,
}

impl Protocol {
    fn breaks(&self, rule: Break) -> bool {
        self.broken.contains(&rule)
    }
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    bucket: Bucket,
    writers: Vec<Writer>,
    sweeps: Vec<Sweep>,
    removal: Option<Removal>,
    /// What may still happen.
    left: Budget,
}

/// One step of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// An uploader puts these bytes at this path of the inbox.
    Upload(usize, Bytes),
    /// A writer's next call.
    Write(usize),
    /// A writer's switch is sent and its answer lost; whether it applies is seen later.
    LoseReply(usize),
    /// A switch whose answer was lost reaches the store.
    Arrive(usize),
    Kill(usize),
    BeginRemoval(usize),
    SwitchRemoval,
    /// The grace period passes for whatever nobody is at work with.
    PassGrace,
    Sweep(usize),
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let writers = vec![Writer::default(); self.bounds.writers];
        let sweeps = vec![Sweep::default(); self.bounds.sweepers];
        vec![World { bucket: Bucket::default(), writers, sweeps, removal: None, left: self.bounds.budget }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let World { bucket, writers, sweeps, removal, left } = world;
        if left.uploads > 0 {
            actions.extend(self.bounds.files.iter().map(|&(path, bytes)| Action::Upload(path, bytes)));
        }
        for (at, writer) in writers.iter().enumerate() {
            actions.push(Action::Write(at));
            if writer.step == writer::Step::Switch && left.silences > 0 {
                actions.push(Action::LoseReply(at));
            }
            if writer.is_at_work() && left.kills > 0 {
                actions.push(Action::Kill(at));
            }
        }
        actions.extend((0..bucket.in_flight.len()).map(Action::Arrive));
        match removal {
            Some(_) => actions.push(Action::SwitchRemoval),
            None if left.removals > 0 => actions.extend((0..PATHS).map(Action::BeginRemoval)),
            None => {}
        }
        if left.graces > 0 {
            actions.push(Action::PassGrace);
        }
        let may_begin = left.sweeps > 0;
        let sweeping = (0..sweeps.len()).filter(|&at| may_begin || sweeps[at].is_at_work());
        actions.extend(sweeping.map(Action::Sweep));
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        let World { bucket, writers, sweeps, removal, left } = &mut world;
        match action {
            Action::Upload(path, bytes) => {
                left.uploads -= 1;
                bucket.drop_off(path, Upload { bytes, number: left.uploads });
            }
            Action::Write(at) => {
                if !writers[at].act(bucket, self) {
                    return None;
                }
            }
            Action::LoseReply(at) => {
                left.silences -= 1;
                let put = writers[at].lose_reply(self);
                bucket::insert(&mut bucket.in_flight, put);
            }
            Action::Arrive(at) => {
                let put = bucket.in_flight.remove(at);
                bucket.switch(put, self);
            }
            Action::Kill(at) => {
                left.kills -= 1;
                writers[at].crash();
            }
            Action::BeginRemoval(path) => *removal = Some(Removal::begin(path, bucket, self)?),
            Action::SwitchRemoval => {
                let won = removal.take().is_some_and(|removal| removal.switch(bucket, self));
                left.removals -= u8::from(won);
            }
            Action::PassGrace => {
                left.graces -= 1;
                pass_grace(bucket, writers, sweeps, self);
            }
            Action::Sweep(at) => {
                left.sweeps -= u8::from(!sweeps[at].is_at_work());
                sweeps[at].act(bucket, self);
            }
        }
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOT_LOST, |_, world: &World| world.bucket.loses_no_upload()),
            Property::always(CLOSED, |_, world: &World| world.bucket.is_closed()),
            Property::always(ONE_CHAIN, |_, world: &World| world.bucket.is_one_chain()),
            Property::always(NO_RETURN, |_, world: &World| !world.bucket.due.resurrected),
            Property::always(HEALS, |protocol: &Self, world: &World| heals(protocol, world)),
        ]
    }
}

const NOT_LOST: &str = "no upload is lost";
const CLOSED: &str = "what is named is there";
const ONE_CHAIN: &str = "one chain";
const NO_RETURN: &str = "nothing comes back by itself";
const HEALS: &str = "it heals";

/// All that no attempt relies on gets old; requests on their way are lost by then, and sweeps over.
fn pass_grace(bucket: &mut Bucket, writers: &[Writer], sweeps: &mut [Sweep], protocol: &Protocol) {
    let everything = protocol.breaks(Break::OutliveTheGrace);
    if !everything {
        bucket.in_flight.clear();
        sweeps.iter_mut().for_each(Sweep::end_if_deleting);
    }
    for (path, package) in bucket.repo.iter_mut().enumerate() {
        if let Some(package) = package {
            package.old |= everything || !writers.iter().any(|writer| writer.relies_on(path));
        }
    }
    for file in &mut bucket.metadata {
        file.old |= everything || !writers.iter().any(|writer| writer.made(file.what));
    }
}

/// Everybody dies, and one writer runs alone.
fn heals(protocol: &Protocol, world: &World) -> bool {
    let mut bucket = world.bucket.clone();
    bucket.in_flight.clear();
    let run = |bucket: &mut Bucket| {
        let mut writer = Writer::default();
        while writer.act(bucket, protocol) && writer.is_at_work() {}
    };
    run(&mut bucket);
    run(&mut bucket);
    if bucket.inbox != [None; PATHS] {
        // A path holds what nothing names, with other bytes or too old to be taken: the sweep frees it.
        pass_grace(&mut bucket, &[], &mut [], protocol);
        let mut sweep = Sweep::default();
        sweep.act(&mut bucket, protocol);
        while sweep.is_at_work() {
            sweep.act(&mut bucket, protocol);
        }
        run(&mut bucket);
    }
    bucket.inbox == [None; PATHS] && bucket.due.unseen.is_empty() && bucket.is_closed() && bucket.is_one_chain()
}

/// The same world with its writers and sweeps in order: who is who makes no difference.
fn nameless(world: &World) -> World {
    let mut world = world.clone();
    world.writers.sort();
    world.sweeps.sort();
    world
}
