// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What to do about a command that takes too long, and about one that was taken back.
//!
//! The caller has polled the completion queue before it asks, as a completion may only have lost
//! its interrupt. What is told to the state machine ([`crate::life`]) is decided there, under its
//! lock: a reset, a failed bring-up, or, while the disks are being removed, the end of it all.
//!
//! Not driven by the driver yet; `tests/explorer` runs it with the rest. Base 5.1.1 (Abort), 9.1
//! (errors of commands and queues).

use crate::life::State;
use crate::status::Outcome;

/// The most Abort commands at a time, whatever the controller allows.
pub const MAX_ABORTS: u8 = 4;

/// The most times that a request is sent again.
pub const MAX_RETRIES: u8 = 5;

/// How many Abort commands may be outstanding (ACL; Base 5.1.13).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AbortLimit {
    limit: u8,
    outstanding: u8,
}

impl AbortLimit {
    /// From Identify Controller's ACL, where 0 stands for 1.
    pub const fn new(acl: u8) -> Self {
        let limit = acl.saturating_add(1);
        Self {
            limit: if limit > MAX_ABORTS {
                MAX_ABORTS
            } else {
                limit
            },
            outstanding: 0,
        }
    }

    fn take(&mut self) -> bool {
        let free = self.outstanding < self.limit;
        if free {
            self.outstanding = self.outstanding.saturating_add(1);
        }
        free
    }

    /// An Abort command is no longer outstanding. Once for each [`Verdict::Abort`].
    pub fn give_back(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
    }
}

/// What is known of a command that takes too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// It is in flight no more: the poll has found its completion, or somebody else has.
    pub ended: bool,
    /// An Abort command has been sent for it, or it is one.
    pub aborted: bool,
    /// It is a command of the admin queue, which none can abort if that queue is stuck.
    pub admin: bool,
    /// The controller is ready, not gone and not failed.
    pub working: bool,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it has ended.
    Ended,
    /// Give it as much time again.
    Wait,
    /// Send an Abort command, then give it as much time again.
    Abort,
    /// Tell the state machine ([`crate::life::Event::Timeout`]), then give it as much time again:
    /// whoever takes the controller down takes the command back.
    Escalate,
}

/// Decides about a command that takes too long while the controller is in `state`.
pub fn decide(state: State, overdue: Overdue, aborts: &mut AbortLimit) -> Verdict {
    if overdue.ended {
        return Verdict::Ended;
    }
    match state {
        State::Live if overdue.working && !overdue.admin && !overdue.aborted => {
            // Without a permit: those that hold one end, or bring about a reset.
            if aborts.take() {
                Verdict::Abort
            } else {
                Verdict::Wait
            }
        }
        State::New | State::Connecting | State::Live | State::Deleting => Verdict::Escalate,
        // It is about to be taken back.
        State::Resetting | State::Dead => Verdict::Wait,
    }
}

/// What becomes of a request that was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It is sent again when the controller is back.
    Requeue,
    /// It ends so.
    End(Outcome),
}

/// Decides about a request that was taken back in `state`, after it was sent again `retries`
/// times. Only after [`crate::life::Step::Disable`].
pub const fn after_cancel(state: State, retries: u8, limit: u8) -> Cancelled {
    match state {
        State::Resetting if retries < limit => Cancelled::Requeue,
        State::Resetting => Cancelled::End(Outcome::Timeout),
        _ => Cancelled::End(Outcome::Transport),
    }
}
