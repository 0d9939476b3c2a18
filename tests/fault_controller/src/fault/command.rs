// SPDX-License-Identifier: MIT

//! Faults of commands: what is done instead of carrying one out.

use nvme_proto::completion::Completion;
use nvme_proto::status::Status;

use super::{Fault, Fired};
use crate::controller::{Answer, Controller, Taken};

impl Controller {
    /// Instead of executing a command.
    pub(crate) fn command_fault(&mut self, fired: Fired, taken: Taken) {
        match fired.kind.fault {
            Fault::Ignored => {}
            Fault::Refused => {
                let status = Status::from_raw((fired.argument & 0xffff) as u16);
                // As it is told: the error log knows nothing of it.
                let entry = self.entry(&taken, Answer { result: 0, status });
                self.post_for(taken.sqid, entry);
            }
            Fault::Claimed => {
                let entry = self.entry(&taken, Answer::with(fired.argument));
                self.post_for(taken.sqid, entry);
            }
            Fault::Swapped => {
                self.lies.parked.insert(taken.sqid, (taken, fired.wait()));
            }
            _ => self.carry_out(taken),
        }
    }

    /// Completes a command in the place of one that was put aside, if there is such a one. Tells
    /// whether it did.
    pub(crate) fn answer_for_another(&mut self, taken: &Taken, entry: Completion) -> bool {
        let Some((other, wait)) = self.lies.parked.remove(&taken.sqid) else {
            return false;
        };
        let sqid = taken.sqid;
        let cid = other.command.cid.get();
        self.post_for(sqid, Completion { cid, ..entry });
        self.later_in_queue(wait, sqid, false, move |this| this.post_for(sqid, entry));
        true
    }
}
