// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the search has to show: that nothing goes wrong, and that it would see it.

use nvme_proto::cid::CommandId;
use nvme_proto::life::{Event, State, Step};

use crate::search::explore;
use crate::steps::Move;
use crate::world::{Bounds, Mistake};

/// Enough for any of these searches; more means that the world has grown.
const LIMIT: usize = 1_500_000;

/// A tag that is used again while completions of its earlier use come, resets and all.
const ONE_TAG: Bounds = Bounds {
    requests: 2,
    tags: 1,
    retries: 1,
    resets: 1,
    fatals: 0,
    repeats: 1,
    may_vanish: true,
};

/// Requests that are in flight together.
const TWO_TAGS: Bounds = Bounds {
    requests: 2,
    tags: 2,
    retries: 1,
    resets: 0,
    fatals: 1,
    repeats: 0,
    may_vanish: true,
};

/// One request, and resets one after another until its retries are used up.
const RESETS: Bounds = Bounds {
    requests: 1,
    tags: 1,
    retries: 2,
    resets: 2,
    fatals: 1,
    repeats: 1,
    may_vanish: true,
};

/// Enough for mistakes that show as a world without a way out.
const TINY: Bounds = Bounds {
    requests: 1,
    tags: 1,
    retries: 1,
    resets: 1,
    fatals: 0,
    repeats: 0,
    may_vanish: false,
};

const STUCK: &str = "cannot come to an end";

fn holds(bounds: &Bounds) {
    let found = explore(bounds, None, LIMIT);
    println!(
        "{} worlds, {} moves, depth {}",
        found.worlds, found.moves, found.depth
    );
    if let Some(story) = found.wrong {
        panic!("{story}");
    }
}

fn finds(mistake: Mistake, bounds: &Bounds, words: &str) {
    let found = explore(bounds, Some(mistake), LIMIT);
    let story = found
        .wrong
        .unwrap_or_else(|| panic!("{mistake:?} was not found in {} worlds", found.worlds));
    println!("{mistake:?}, after {} worlds: {story}", found.worlds);
    assert!(
        story.contains(words),
        "{mistake:?} should show as '{words}': {story}"
    );
}

#[test]
fn two_requests_on_one_tag_end_once_whatever_happens() {
    holds(&ONE_TAG);
}

#[test]
fn two_requests_in_flight_end_once_whatever_happens() {
    holds(&TWO_TAGS);
}

#[test]
fn a_request_that_is_sent_again_and_again_ends_once() {
    holds(&RESETS);
}

#[test]
fn the_search_meets_every_state_every_step_and_every_event() {
    use Event::{BringUpFailed, BroughtUp, Ended, LetGo, TakenDown};
    use Step::{
        BringUp, Cancel, Disable, Drain, Freeze, FunctionReset, MarkDead, Quiesce, RemoveDisks,
        ShutDown, Stop, Unfreeze, Unquiesce,
    };
    let seen = explore(&TINY, None, LIMIT).seen;
    let met = |what: Move| assert!(seen.iter().any(|(met, _)| *met == what), "never: {what}");
    let worker = [
        Freeze,
        Quiesce,
        Stop,
        ShutDown,
        Disable,
        Cancel,
        FunctionReset,
        BringUp,
        Unquiesce,
        Drain,
        Unfreeze,
        MarkDead,
    ];
    worker.map(|step| met(Move::Worker(step)));
    let closer = [Stop, ShutDown, Disable, Cancel, MarkDead, RemoveDisks];
    closer.map(|step| met(Move::Closer(step)));
    let told = [BroughtUp, BringUpFailed, TakenDown, Ended];
    told.map(|event| met(Move::WorkerTells(event)));
    met(Move::WorkerFails(BringUp));
    let asked = [Event::Removal, Event::Shutdown, LetGo, Ended];
    asked.map(|event| met(Move::CloserTells(event)));
    let states = [
        State::Connecting,
        State::Live,
        State::Resetting,
        State::Deleting,
        State::Dead,
    ];
    states.map(|state| assert!(seen.iter().any(|met| met.1 == state), "never {state:?}"));
    // A request that was taken back completes in the controller's next life.
    let second_use = CommandId::new(0, 2).raw();
    met(Move::Completes(second_use));
}

#[test]
fn a_reset_that_forgets_to_unfreeze_is_found() {
    finds(Mistake::ForgetsToUnfreeze, &TINY, STUCK);
}

#[test]
fn a_reset_that_forgets_to_unquiesce_is_found() {
    finds(Mistake::ForgetsToUnquiesce, &TINY, STUCK);
}

#[test]
fn queues_that_are_not_stopped_are_found() {
    finds(Mistake::ForgetsToStop, &TINY, STUCK);
}

#[test]
fn cancelling_before_disabling_is_found() {
    finds(Mistake::CancelsBeforeDisabling, &TINY, "while the device");
}

#[test]
fn a_disable_that_is_not_confirmed_is_found() {
    finds(Mistake::DisableNotConfirmed, &TINY, "while the device");
}

#[test]
fn a_request_ended_by_timeout_and_interrupt_is_found() {
    finds(
        Mistake::TimeoutEndsTheRequestToo,
        &TINY,
        "while the device may still write",
    );
}

#[test]
fn a_generation_that_is_ignored_is_found() {
    finds(
        Mistake::GenerationIgnored,
        &ONE_TAG,
        "while the device may still write",
    );
}

#[test]
fn a_removal_that_waits_for_the_reset_is_found() {
    finds(Mistake::RemovalWaitsForTheReset, &TINY, STUCK);
}

#[test]
fn a_reset_that_ignores_the_removal_is_found() {
    finds(Mistake::ResetIgnoresTheRemoval, &TINY, STUCK);
}

#[test]
fn two_resets_at_once_are_found() {
    finds(Mistake::TwoResetsAtOnce, &RESETS, "two plans");
}

#[test]
fn a_timeout_that_waits_for_the_removal_is_found() {
    finds(Mistake::TimeoutWaitsWhileDeleting, &TINY, STUCK);
}

#[test]
fn a_permit_to_abort_that_is_not_given_back_is_found() {
    finds(Mistake::AbortPermitLost, &TINY, STUCK);
}
