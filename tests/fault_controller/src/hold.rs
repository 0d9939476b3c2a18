// SPDX-License-Identifier: MIT

//! Commands whose completions are held back, as a slow controller's: found by queue and identifier, so
//! that an Abort (Base 5.1.1), the deletion of their queue (Base 5.2.4) or a reset ends them.
//!
//! Relies on [`Later`](crate::later::Later) for the time.

use std::collections::BTreeMap;
use std::time::Duration;

use nvme_proto::command::AdminOpcode;
use nvme_proto::completion::Completion;
use nvme_proto::status::Status;

use crate::controller::{Answer, Controller, Taken};
use crate::later::Ends;

/// Aborts that may be outstanding (ACL + 1).
pub const ABORTS: usize = 4;

/// What is held back, in its order.
#[derive(Default)]
pub struct Holding {
    held: BTreeMap<u64, (Taken, Completion)>,
    count: u64,
}

impl Holding {
    /// Forgets all: a reset.
    pub fn clear(&mut self) {
        self.held.clear();
    }

    /// How many commands of a submission queue are held back.
    pub fn of_queue(&self, sqid: u16) -> usize {
        self.held
            .values()
            .filter(|(taken, _)| taken.sqid == sqid)
            .count()
    }

    fn find(&self, sqid: u16, cid: u16) -> Option<u64> {
        self.held
            .iter()
            .find(|(_, (taken, _))| taken.sqid == sqid && taken.command.cid.get() == cid)
            .map(|(number, _)| *number)
    }
}

impl Controller {
    /// Holds the completion of a command back for `wait`, or until somebody aborts the command. This
    /// is the way for all that is late: a deed of [`Controller::later`] could not be called back.
    pub fn hold(&mut self, taken: Taken, entry: Completion, wait: Option<Duration>) {
        self.holding.count += 1;
        let number = self.holding.count;
        self.holding.held.insert(number, (taken, entry));
        if let Some(wait) = wait {
            let due = self.now() + wait;
            self.later
                .push(due, Ends::Done, Box::new(move |this| this.let_go(number)));
        }
    }

    /// Posts what was held back, unless it has been aborted meanwhile.
    fn let_go(&mut self, number: u64) {
        if let Some((taken, entry)) = self.holding.held.remove(&number) {
            self.post_with_head(&taken, entry);
        }
    }

    /// Posts an entry of earlier with the queue's head of now.
    fn post_with_head(&mut self, taken: &Taken, entry: Completion) {
        let now = self.entry(taken, Answer::DONE);
        self.post_for(
            taken.sqid,
            Completion {
                sq_head: now.sq_head,
                ..entry
            },
        );
    }

    /// Ends a command that is held back with `status`.
    fn end_held(&mut self, number: u64, status: Status) {
        if let Some((taken, _)) = self.holding.held.remove(&number) {
            let answer = Answer { result: 0, status };
            let entry = self.entry(&taken, answer);
            self.post_for(taken.sqid, entry);
        }
    }

    /// Abort (Base 5.1.1): ends what is held back or waits for an event. Bit 0 of the result tells
    /// that there was nothing to abort.
    pub(crate) fn abort(&mut self, taken: &Taken) -> Answer {
        let aborts =
            self.holding.held.values().filter(|(held, _)| {
                held.sqid == 0 && held.command.opcode == AdminOpcode::Abort as u8
            });
        if aborts.count() >= ABORTS {
            return Answer::refused(Status::ABORT_LIMIT_EXCEEDED);
        }
        let cdw10 = taken.command.cdw10.get();
        let (sqid, cid) = ((cdw10 & 0xffff) as u16, (cdw10 >> 16) as u16);
        if let Some(number) = self.holding.find(sqid, cid) {
            self.end_held(number, Status::ABORT_REQUESTED);
            return Answer::with(0);
        }
        if sqid == 0 {
            if let Some(request) = self.admin.events.withdraw(cid) {
                let answer = Answer {
                    result: 0,
                    status: Status::ABORT_REQUESTED,
                };
                let entry = self.entry(&request, answer);
                self.post_for(0, entry);
                return Answer::with(0);
            }
        }
        Answer::with(1)
    }

    /// A submission queue is about to be deleted: what is held back of it is aborted.
    pub(crate) fn abort_queue(&mut self, sqid: u16) {
        let of_queue = |(number, (taken, _)): (&u64, &(Taken, Completion))| {
            (taken.sqid == sqid).then_some(*number)
        };
        let numbers: Vec<u64> = self.holding.held.iter().filter_map(of_queue).collect();
        for number in numbers {
            self.end_held(number, Status::ABORTED_SQ_DELETION);
        }
    }
}
