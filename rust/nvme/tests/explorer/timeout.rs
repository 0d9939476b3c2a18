// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is decided about commands that take too long, and about those that were taken back.

use nvme_proto::life::State;
use nvme_proto::status::Outcome;
use nvme_proto::timeout::{
    after_cancel, decide, AbortLimit, Cancelled, Overdue, Verdict, MAX_ABORTS, MAX_RETRIES,
};

const STATES: [State; 6] = [
    State::New,
    State::Connecting,
    State::Live,
    State::Resetting,
    State::Deleting,
    State::Dead,
];

const OVERDUE: Overdue = Overdue {
    ended: false,
    aborted: false,
    admin: false,
    working: true,
};

#[test]
fn a_command_that_the_poll_has_found_is_left_alone_in_every_state() {
    for state in STATES {
        let overdue = Overdue {
            ended: true,
            ..OVERDUE
        };
        let mut aborts = AbortLimit::new(0);
        assert_eq!(decide(state, overdue, &mut aborts), Verdict::Ended);
        assert_eq!(aborts, AbortLimit::new(0), "{state:?} spends no permit");
    }
}

#[test]
fn an_abort_comes_first_and_then_the_reset() {
    let mut aborts = AbortLimit::new(0);
    assert_eq!(decide(State::Live, OVERDUE, &mut aborts), Verdict::Abort);
    let again = Overdue {
        aborted: true,
        ..OVERDUE
    };
    assert_eq!(decide(State::Live, again, &mut aborts), Verdict::Escalate);
}

#[test]
fn what_no_abort_can_help_is_escalated_at_once() {
    let admin = Overdue {
        admin: true,
        ..OVERDUE
    };
    let failed = Overdue {
        working: false,
        ..OVERDUE
    };
    for overdue in [admin, failed] {
        let mut aborts = AbortLimit::new(3);
        let verdict = decide(State::Live, overdue, &mut aborts);
        assert_eq!(verdict, Verdict::Escalate, "{overdue:?}");
        assert_eq!(aborts, AbortLimit::new(3));
    }
}

#[test]
fn only_a_live_controller_is_asked_to_abort() {
    let expected = [
        (State::New, Verdict::Escalate),
        (State::Connecting, Verdict::Escalate),
        (State::Resetting, Verdict::Wait),
        (State::Deleting, Verdict::Escalate),
        (State::Dead, Verdict::Wait),
    ];
    for (state, verdict) in expected {
        let mut aborts = AbortLimit::new(3);
        assert_eq!(decide(state, OVERDUE, &mut aborts), verdict, "{state:?}");
    }
}

#[test]
fn aborts_keep_to_the_controllers_limit_and_to_ours() {
    for acl in 0..=u8::MAX {
        let limit = (u32::from(acl) + 1).min(u32::from(MAX_ABORTS));
        let mut aborts = AbortLimit::new(acl);
        for _ in 0..limit {
            assert_eq!(decide(State::Live, OVERDUE, &mut aborts), Verdict::Abort);
        }
        for _ in 0..3 {
            assert_eq!(decide(State::Live, OVERDUE, &mut aborts), Verdict::Wait);
        }
        aborts.give_back();
        assert_eq!(decide(State::Live, OVERDUE, &mut aborts), Verdict::Abort);
        assert_eq!(decide(State::Live, OVERDUE, &mut aborts), Verdict::Wait);
    }
}

#[test]
fn a_permit_given_back_too_often_makes_no_more_of_them() {
    let mut aborts = AbortLimit::new(0);
    aborts.give_back();
    assert_eq!(decide(State::Live, OVERDUE, &mut aborts), Verdict::Abort);
    assert_eq!(decide(State::Live, OVERDUE, &mut aborts), Verdict::Wait);
}

#[test]
fn a_reset_sends_requests_again_until_their_retries_are_used_up() {
    for retries in 0..=u8::MAX {
        let expected = if retries < MAX_RETRIES {
            Cancelled::Requeue
        } else {
            Cancelled::End(Outcome::Timeout)
        };
        let became = after_cancel(State::Resetting, retries, MAX_RETRIES);
        assert_eq!(became, expected, "{retries}");
    }
}

#[test]
fn nothing_is_requeued_for_a_controller_that_does_not_come_back() {
    for state in STATES.into_iter().filter(|s| *s != State::Resetting) {
        let became = after_cancel(state, 0, MAX_RETRIES);
        assert_eq!(became, Cancelled::End(Outcome::Transport), "{state:?}");
    }
}
