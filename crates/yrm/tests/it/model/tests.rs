//! The checks: within bounds the protocol keeps its promises, and without any one of its rules
//! it does not.

use std::collections::BTreeSet;
use std::time::Instant;

use stateright::{Checker as _, HasDiscoveries, Model as _};

use super::{Action, Bounds, Break, Budget, CLOSED, NO_RETURN, NOT_LOST, ONE_CHAIN, Protocol, nameless};

const ONE_FILE: &[(usize, u8)] = &[(0, 1)];
const TWO_VERSIONS: &[(usize, u8)] = &[(0, 1), (0, 2)];
const TWO_VERSIONS_AND_ANOTHER: &[(usize, u8)] = &[(0, 1), (0, 2), (1, 1)];

/// What is about writers and uploaders alone.
const WRITERS: Bounds = Bounds {
    writers: 2,
    sweepers: 0,
    files: TWO_VERSIONS_AND_ANOTHER,
    budget: Budget { uploads: 3, kills: 1, silences: 1, removals: 0, graces: 0, sweeps: 0 },
};
/// The same with an operator.
const REMOVALS: Bounds = Bounds {
    writers: 2,
    sweepers: 0,
    files: TWO_VERSIONS,
    budget: Budget { uploads: 3, kills: 1, silences: 1, removals: 1, graces: 0, sweeps: 0 },
};
/// The same with time and two sweeps.
const SWEEPS: Bounds = Bounds {
    writers: 2,
    sweepers: 2,
    files: ONE_FILE,
    budget: Budget { uploads: 2, kills: 1, silences: 0, removals: 1, graces: 1, sweeps: 2 },
};

/// Whether there is time for more (`just model`).
fn at_length() -> bool {
    std::env::var_os("YRM_MODEL").is_some_and(|value| value == "large")
}

fn protocol(bounds: Bounds, broken: &[Break]) -> Protocol {
    Protocol { bounds, broken: broken.to_vec() }
}

/// Looks at every state; none may break a promise.
#[expect(clippy::print_stdout, reason = "how much was looked at belongs into the test's record")]
fn every_promise_holds(name: &str, bounds: Bounds, broken: &[Break]) {
    let began = Instant::now();
    let checker = protocol(bounds, broken).checker().threads(2).symmetry_fn(nameless).spawn_dfs().join();
    let (steps, states, depth) = (checker.state_count(), checker.unique_state_count(), checker.max_depth());
    println!("{name}: {states} states by {steps} steps, at most {depth} in a row, {:.1?}", began.elapsed());
    checker.assert_properties();
}

/// The shortest story in which this promise is broken.
fn story(bounds: Bounds, broken: &[Break], promise: &'static str) -> Option<Vec<Action>> {
    let found = HasDiscoveries::AnyOf(BTreeSet::from([promise]));
    let checker = protocol(bounds, broken).checker().finish_when(found).spawn_bfs().join();
    Some(checker.discovery(promise)?.into_actions())
}

#[test]
fn two_writers_keep_every_promise_through_kills_and_lost_replies() {
    every_promise_holds("writers", WRITERS, &[]);
    if at_length() {
        let budget = Budget { uploads: 3, kills: 1, silences: 1, ..WRITERS.budget };
        every_promise_holds("three writers", Bounds { writers: 3, budget, ..WRITERS }, &[]);
        let budget = Budget { uploads: 4, kills: 2, silences: 2, ..WRITERS.budget };
        every_promise_holds("writers, at length", Bounds { budget, ..WRITERS }, &[]);
    }
}

#[test]
fn two_writers_and_an_operator_keep_every_promise() {
    every_promise_holds("removals", REMOVALS, &[]);
    if at_length() {
        let bounds = Bounds { files: TWO_VERSIONS_AND_ANOTHER, ..REMOVALS };
        every_promise_holds("removals among three files", bounds, &[]);
        every_promise_holds("removals, three writers", Bounds { writers: 3, ..REMOVALS }, &[]);
    }
}

#[test]
fn writers_and_sweeps_keep_every_promise() {
    every_promise_holds("sweeps", SWEEPS, &[]);
    if at_length() {
        let budget = Budget { silences: 1, ..SWEEPS.budget };
        every_promise_holds("sweeps and lost replies", Bounds { budget, ..SWEEPS }, &[]);
        let budget = Budget { graces: 2, ..SWEEPS.budget };
        every_promise_holds("sweeps of two versions", Bounds { files: TWO_VERSIONS, budget, ..SWEEPS }, &[]);
    }
}

#[test]
fn no_rule_can_be_left_out() {
    let broken = [
        (Break::SwitchUnconditionally, WRITERS, ONE_CHAIN),
        (Break::TakeLostForWon, WRITERS, NOT_LOST),
        (Break::TakeSilenceForWon, WRITERS, NOT_LOST),
        (Break::SwitchBeforeUpload, WRITERS, CLOSED),
        (Break::DeleteUnconditionally, WRITERS, NOT_LOST),
        (Break::CopyWhateverIsThere, WRITERS, CLOSED),
        (Break::CopyOver, WRITERS, CLOSED),
        (Break::KnowUploadsByBytes, REMOVALS, NOT_LOST),
        (Break::BelieveTheListing, REMOVALS, NO_RETURN),
        (Break::LeaveTheTwin, REMOVALS, NO_RETURN),
        (Break::BelieveMemory, REMOVALS, NOT_LOST),
        (Break::ReuseWhatIsOld, SWEEPS, CLOSED),
        (Break::RevisionStandsStill, SWEEPS, CLOSED),
        (Break::OutliveTheGrace, SWEEPS, CLOSED),
        (Break::SweepByAnOlderRead, SWEEPS, CLOSED),
        (Break::SweepWhatWasListed, SWEEPS, CLOSED),
    ];
    for (rule, bounds, promise) in broken {
        let story = story(bounds, &[rule], promise);
        assert!(story.is_some(), "{rule:?} makes no difference to {promise:?}");
    }
}

#[test]
fn where_nothing_is_ever_removed_two_rules_are_not_needed() {
    let broken = [Break::BelieveTheListing, Break::KnowUploadsByBytes];
    every_promise_holds("without removals", WRITERS, &broken);
}
