// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The controller's state machine by itself: each state's answer to each event, and what holds for
//! any events in any order.

use std::collections::HashSet;

use nvme_proto::life::{Answer, Event, Life, Plan, State, Step};
use proptest::prelude::*;

use crate::support::for_all;

const EVENTS: [Event; 12] = [
    Event::Probe,
    Event::BroughtUp,
    Event::BringUpFailed,
    Event::TakenDown,
    Event::Fatal,
    Event::Timeout,
    Event::ResetAsked,
    Event::Gone,
    Event::Shutdown,
    Event::Removal,
    Event::LetGo,
    Event::Ended,
];

const LIVE: &[Event] = &[Event::Probe, Event::BroughtUp];

fn after(events: &[Event]) -> Life {
    let mut life = Life::default();
    for &event in events {
        let _ = life.on(event);
    }
    life
}

fn live_and(events: &[Event]) -> Life {
    after(&[LIVE, events].concat())
}

/// The steps of a plan, or the answer's name.
fn told(life: &mut Life, event: Event) -> String {
    match life.on(event) {
        Answer::Do(plan) => format!("{:?}", plan.steps),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_controller_is_probed_used_and_removed() {
    let mut life = Life::new();
    assert_eq!(told(&mut life, Event::Probe), "[BringUp]");
    assert_eq!(life.state(), State::Connecting);
    assert!(life.is_at_work() && !life.must_stop());
    assert_eq!(told(&mut life, Event::BroughtUp), "Nothing");
    assert_eq!(life.state(), State::Live);
    assert!(!life.is_at_work());
    assert_eq!(told(&mut life, Event::Removal), "[RemoveDisks]");
    assert_eq!(life.state(), State::Deleting);
    assert_eq!(
        told(&mut life, Event::LetGo),
        "[Stop, ShutDown, Disable, Cancel]"
    );
    assert_eq!(told(&mut life, Event::LetGo), "Wait");
    let _ = life.on(Event::Ended);
    assert_eq!(told(&mut life, Event::LetGo), "Nothing");
}

#[test]
fn a_probe_that_fails_lets_go_and_the_controller_stays_dead() {
    let mut life = after(&[Event::Probe]);
    assert_eq!(
        told(&mut life, Event::LetGo),
        "[Stop, ShutDown, Disable, Cancel]"
    );
    assert_eq!(life.state(), State::Dead);
    let _ = life.on(Event::Ended);
    assert_eq!(told(&mut life, Event::Probe), "Nothing");
    assert_eq!(told(&mut life, Event::Removal), "[RemoveDisks]");
    assert_eq!(told(&mut life, Event::LetGo), "Nothing");
}

#[test]
fn a_timeout_during_the_first_bring_up_fails_it() {
    for event in [Event::Timeout, Event::Fatal, Event::Gone] {
        let mut life = after(&[Event::Probe]);
        assert_eq!(told(&mut life, event), "Nothing");
        assert!(life.must_stop());
        // Even if it came up after all.
        let plan = told(&mut life, Event::BroughtUp);
        assert_eq!(plan, "[Stop, ShutDown, Disable, Cancel]");
        assert_eq!(life.state(), State::Dead);
    }
}

#[test]
fn a_reset_takes_down_and_brings_up() {
    for event in [Event::ResetAsked, Event::Timeout, Event::Fatal] {
        let mut life = live_and(&[]);
        let plan = told(&mut life, event);
        assert_eq!(plan, "[Freeze, Quiesce, Stop, Disable, Cancel]");
        for late in [Event::ResetAsked, Event::Timeout, Event::Fatal] {
            assert_eq!(told(&mut life, late), "Nothing", "one winner");
        }
        let plan = told(&mut life, Event::TakenDown);
        assert_eq!(plan, "[BringUp, Unquiesce, Drain, Unfreeze]");
        assert_eq!(told(&mut life, Event::ResetAsked), "Nothing");
        assert!(!life.must_stop());
        assert_eq!(told(&mut life, Event::BroughtUp), "Nothing");
        assert_eq!(life.state(), State::Live);
    }
}

#[test]
fn a_second_bring_up_is_tried_after_a_function_reset_and_no_third() {
    let mut life = live_and(&[Event::ResetAsked, Event::TakenDown]);
    let plan = told(&mut life, Event::BringUpFailed);
    assert_eq!(
        plan,
        "[Freeze, Quiesce, Stop, Disable, Cancel, FunctionReset]"
    );
    let _ = life.on(Event::TakenDown);
    let plan = told(&mut life, Event::BringUpFailed);
    assert_eq!(
        plan,
        "[Stop, Disable, Cancel, MarkDead, Unquiesce, Unfreeze]"
    );
    assert_eq!(life.state(), State::Dead);
}

#[test]
fn a_controller_that_came_back_may_fail_as_often_again() {
    let mut life = live_and(&[Event::ResetAsked, Event::TakenDown, Event::BringUpFailed]);
    for event in [
        Event::TakenDown,
        Event::BroughtUp,
        Event::ResetAsked,
        Event::TakenDown,
    ] {
        let _ = life.on(event);
    }
    let _ = life.on(Event::BringUpFailed);
    assert_eq!(life.state(), State::Resetting);
}

#[test]
fn a_timeout_before_the_bring_up_does_not_fail_it_and_one_in_it_does() {
    let mut life = live_and(&[Event::ResetAsked, Event::Timeout, Event::TakenDown]);
    assert!(!life.must_stop());
    let _ = life.on(Event::Timeout);
    assert!(life.must_stop());
    let _ = life.on(Event::BroughtUp);
    assert_eq!(life.state(), State::Resetting, "the second try");
}

#[test]
fn a_device_that_vanishes_is_given_up_without_a_second_try() {
    let mut life = live_and(&[]);
    assert_eq!(
        told(&mut life, Event::Gone),
        "[Stop, Disable, Cancel, MarkDead]"
    );
    assert_eq!(told(&mut life, Event::Gone), "Nothing");
    for reset in [
        &[Event::ResetAsked][..],
        &[Event::ResetAsked, Event::TakenDown][..],
    ] {
        let mut life = live_and(reset);
        let _ = life.on(Event::Gone);
        assert!(life.must_stop());
        let told_then = if reset.len() == 1 {
            Event::TakenDown
        } else {
            Event::BringUpFailed
        };
        let plan = told(&mut life, told_then);
        assert_eq!(
            plan,
            "[Stop, Disable, Cancel, MarkDead, Unquiesce, Unfreeze]"
        );
        assert_eq!(life.state(), State::Dead);
    }
}

#[test]
fn a_removal_or_a_shutdown_stops_a_reset_and_comes_after_it() {
    let resets = [
        (&[Event::ResetAsked][..], Event::TakenDown),
        (
            &[Event::ResetAsked, Event::TakenDown][..],
            Event::BringUpFailed,
        ),
        (&[Event::ResetAsked, Event::TakenDown][..], Event::BroughtUp),
    ];
    for (reset, end) in resets {
        for (closing, then) in [
            (Event::Removal, "[RemoveDisks]"),
            (Event::Shutdown, "Nothing"),
        ] {
            let mut life = live_and(reset);
            assert_eq!(told(&mut life, closing), "Wait");
            assert!(life.must_stop());
            assert_eq!(told(&mut life, closing), "Wait");
            let plan = told(&mut life, end);
            assert_eq!(
                plan,
                "[Stop, Disable, Cancel, MarkDead, Unquiesce, Unfreeze]"
            );
            let _ = life.on(Event::Ended);
            assert_eq!(told(&mut life, closing), then);
        }
    }
}

#[test]
fn trouble_during_a_removal_ends_the_requests_that_it_waits_for_once() {
    for event in [Event::Timeout, Event::Fatal, Event::Gone] {
        let mut life = live_and(&[Event::Removal]);
        assert_eq!(told(&mut life, event), "[Stop, Disable, Cancel, MarkDead]");
        assert_eq!(told(&mut life, event), "Nothing");
        assert_eq!(told(&mut life, Event::LetGo), "Wait");
        let _ = life.on(Event::Ended);
        assert_eq!(told(&mut life, event), "Nothing");
        assert_eq!(told(&mut life, Event::LetGo), "Nothing");
    }
}

#[test]
fn a_shutdown_of_a_live_controller_is_orderly() {
    let mut life = live_and(&[]);
    let plan = told(&mut life, Event::Shutdown);
    assert_eq!(plan, "[Stop, ShutDown, Disable, Cancel, MarkDead]");
    assert_eq!(life.state(), State::Dead);
    let mut life = live_and(&[Event::Removal]);
    assert_eq!(told(&mut life, Event::Shutdown), "Nothing");
}

#[test]
fn letting_go_is_possible_in_every_state() {
    assert_eq!(told(&mut Life::new(), Event::LetGo), "Nothing");
    let plan = told(&mut live_and(&[]), Event::LetGo);
    assert_eq!(plan, "[Stop, ShutDown, Disable, Cancel]");
    for reset in [
        &[Event::ResetAsked][..],
        &[Event::ResetAsked, Event::TakenDown][..],
    ] {
        let mut life = live_and(reset);
        assert_eq!(told(&mut life, Event::LetGo), "Wait");
        assert!(life.must_stop());
    }
}

#[test]
fn the_end_of_a_plan_that_nobody_began_changes_nothing() {
    let lives: [&[Event]; 3] = [&[], LIVE, &[Event::Probe, Event::LetGo, Event::Ended]];
    for events in lives {
        for event in [Event::BroughtUp, Event::BringUpFailed, Event::TakenDown] {
            let mut life = after(events);
            assert_eq!(life.on(event), Answer::Nothing, "{event:?}");
            assert_eq!(life, after(events), "{event:?}");
        }
    }
}

/// Every plan that events can bring about, in any order and number.
fn plans() -> HashSet<&'static Plan> {
    let mut known = HashSet::from([Life::new()]);
    let mut next = vec![Life::new()];
    let mut plans = HashSet::new();
    while let Some(life) = next.pop() {
        for event in EVENTS {
            let mut life = life.clone();
            if let Answer::Do(plan) = life.on(event) {
                plans.insert(plan);
            }
            if known.insert(life.clone()) {
                next.push(life);
            }
        }
    }
    println!("{} lives, {} plans", known.len(), plans.len());
    plans
}

#[test]
fn every_plan_disables_before_it_cancels_and_stops_before_it_disables() {
    let plans = plans();
    assert_eq!(plans.len(), 9);
    for plan in plans {
        let at = |wanted| plan.steps.iter().position(|step| *step == wanted);
        assert!(at(Step::Disable) <= at(Step::Cancel), "{plan:?}");
        assert!(at(Step::Stop) <= at(Step::Disable), "{plan:?}");
        assert_eq!(
            at(Step::Stop).is_some(),
            at(Step::Cancel).is_some(),
            "{plan:?}"
        );
        assert!(at(Step::Freeze) <= at(Step::Quiesce), "{plan:?}");
        assert!(at(Step::Unquiesce) <= at(Step::Unfreeze), "{plan:?}");
    }
}

#[test]
fn no_order_of_events_brings_back_what_is_dead_or_deleted() {
    let events = prop::collection::vec(prop::sample::select(EVENTS.to_vec()), 0..40);
    for_all(5000, events, |events| {
        let mut life = Life::new();
        let mut ended = false;
        for event in events {
            let before = life.state();
            let answer = life.on(event);
            ended |= matches!(before, State::Deleting | State::Dead);
            let over = matches!(life.state(), State::Deleting | State::Dead);
            assert!(
                over || !ended,
                "{before:?} became {:?} by {event:?}",
                life.state()
            );
            if let Answer::Do(plan) = answer {
                assert!(!ended || !plan.steps.contains(&Step::BringUp), "{event:?}");
                assert!(life.is_at_work() || plan.done == Event::LetGo, "{event:?}");
            }
            assert!(!ended || life.must_stop());
        }
    });
}
