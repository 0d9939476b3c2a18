// SPDX-License-Identifier: GPL-2.0

//! The table of requests in flight in every interleaving that loom can make of it.
//!
//! The slots are the module's own source, on loom's atomics; around them submitters, the
//! interrupt and a canceller play stories. Loom runs each story in every order of its atomic
//! accesses, old values of weakly ordered loads included. Then each story is run with a mistake
//! planted, which it must find. Documentation/interleavings.md says what this proves.

mod mistakes;
mod table;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use loom::thread;

use mistakes::{plant, planted, Mistake};
use table::Table;

/// One CPU submits while the device completes what it should not know yet.
fn a_claim_races_the_submission() {
    let (table, mut claimer) = Table::new(1, &[0]);
    let submitter = {
        let table = table.clone();
        thread::spawn(move || table.submit(0))
    };
    let interrupt = thread::spawn(move || {
        claimer.complete(0, 1);
        claimer
    });
    submitter.join().expect("the submitter panicked");
    let mut claimer = interrupt.join().expect("the interrupt panicked");
    claimer.cancel_all();
    table.check(&[0]);
}

/// Two CPUs use one tag after another; the device completes the first use twice.
fn a_completion_is_repeated() {
    let (table, mut claimer) = Table::new(1, &[0, 0]);
    let submit = |index| {
        let table = table.clone();
        thread::spawn(move || table.submit(index))
    };
    let submitters = [submit(0), submit(1)];
    let interrupt = thread::spawn(move || {
        claimer.complete(0, 1);
        claimer.complete(0, 1);
        claimer
    });
    let sent: Vec<usize> = submitters
        .into_iter()
        .enumerate()
        .filter_map(|(index, thread)| {
            let sent = thread.join().expect("a submitter panicked");
            sent.then_some(index)
        })
        .collect();
    let mut claimer = interrupt.join().expect("the interrupt panicked");
    claimer.cancel_all();
    table.check(&sent);
}

/// The queue is stopped, the interrupt detached, and what is left cancelled, while a CPU submits.
fn a_cancel_takes_over_from_the_interrupt() {
    let (table, mut claimer) = Table::new(2, &[0, 1]);
    let submitter = {
        let table = table.clone();
        thread::spawn(move || table.submit(0) && table.submit(1))
    };
    let mut second = claimer.second();
    let interrupt = thread::spawn(move || {
        claimer.complete(0, 1);
        claimer.complete(1, 1);
        claimer
    });
    table.stop();
    if planted(Mistake::CancelledBesideInterrupt) {
        second.cancel_all();
        interrupt.join().expect("the interrupt panicked");
    } else {
        let mut claimer = interrupt.join().expect("the interrupt panicked");
        claimer.cancel_all();
    }
    submitter.join().expect("the submitter panicked");
    table.check(&[0, 1]);
}

/// The device completes tags and generations that are not in flight.
fn foreign_completions_come() {
    let (table, mut claimer) = Table::new(2, &[0]);
    let submitter = {
        let table = table.clone();
        thread::spawn(move || table.submit(0))
    };
    for (tag, generation) in [(0, 0), (0, 2), (0, 15), (1, 0), (1, 1), (2, 1), (4095, 15)] {
        assert!(!claimer.complete(tag, generation), "({tag}, {generation})");
    }
    submitter.join().expect("the submitter panicked");
    claimer.cancel_all();
    table.check(&[0]);
}

/// One tag is used again and again, and a completion of its first use comes late.
fn a_ticket_gets_old() {
    const USES: usize = 17;
    let (table, mut claimer) = Table::new(1, &[0; USES]);
    assert!(table.submit(0) && claimer.complete(0, 1));
    for index in 1..USES {
        assert!(table.submit(index));
        let taken = claimer.complete(0, 1);
        assert_eq!(taken, index == 16, "a completion {index} uses late");
        claimer.cancel_all();
    }
    table.check(&Vec::from_iter(0..USES));
}

/// Plays a story in every interleaving: how many there were, and what went wrong in the last.
fn play(story: fn(), mistake: Option<Mistake>) -> (usize, Option<String>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    plant(mistake);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        loom::model(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            story();
        });
    }));
    plant(None);
    let wrong = outcome.err().map(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => (*other.downcast::<&str>().unwrap_or(Box::new("no text"))).into(),
    });
    (count.load(Ordering::Relaxed), wrong)
}

fn holds(story: fn()) {
    let (count, wrong) = play(story, None);
    println!("{count} interleavings");
    assert_eq!(wrong, None, "in interleaving {count}");
}

fn finds(mistake: Mistake, story: fn(), words: &str) {
    let (count, wrong) = play(story, Some(mistake));
    let wrong =
        wrong.unwrap_or_else(|| panic!("{mistake:?} was not found in {count} interleavings"));
    println!("found in interleaving {count}: {wrong}");
    assert!(
        wrong.contains(words),
        "{mistake:?} should show as '{words}': {wrong}"
    );
}

#[test]
fn a_claim_that_races_the_submission_finds_the_whole_request_or_nothing() {
    holds(a_claim_races_the_submission);
}

#[test]
fn a_repeated_completion_does_not_end_the_tags_next_user() {
    holds(a_completion_is_repeated);
}

#[test]
fn a_cancel_after_stop_and_detach_leaves_nothing_and_ends_nothing_twice() {
    holds(a_cancel_takes_over_from_the_interrupt);
}

#[test]
fn foreign_completions_end_nothing() {
    holds(foreign_completions_come);
}

#[test]
fn an_old_ticket_is_kept_out_until_its_generation_comes_round() {
    holds(a_ticket_gets_old);
}

#[test]
fn a_fill_that_publishes_nothing_is_found() {
    finds(
        Mistake::RelaxedFill,
        a_claim_races_the_submission,
        "Causality violation",
    );
}

#[test]
fn a_claim_that_sees_nothing_published_is_found() {
    finds(
        Mistake::RelaxedClaim,
        a_claim_races_the_submission,
        "Causality violation",
    );
}

#[test]
fn a_tag_handed_back_without_order_is_found() {
    finds(
        Mistake::RelaxedTag,
        a_completion_is_repeated,
        "is not empty",
    );
}

#[test]
fn a_request_left_in_its_slot_is_found() {
    finds(
        Mistake::NotEmptied,
        a_claim_races_the_submission,
        "must end once",
    );
}

#[test]
fn a_generation_that_is_not_counted_is_found() {
    finds(
        Mistake::GenerationNotCounted,
        a_ticket_gets_old,
        "1 uses late",
    );
}

#[test]
fn a_generation_that_is_ignored_is_found() {
    finds(
        Mistake::GenerationIgnored,
        a_completion_is_repeated,
        "by its own ticket",
    );
}

#[test]
fn a_cancel_without_a_stop_is_found() {
    finds(
        Mistake::CancelledWithoutStop,
        a_cancel_takes_over_from_the_interrupt,
        "must end once: []",
    );
}

#[test]
fn a_cancel_beside_the_interrupt_is_found() {
    finds(
        Mistake::CancelledBesideInterrupt,
        a_cancel_takes_over_from_the_interrupt,
        "Causality violation",
    );
}
