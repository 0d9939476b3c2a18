// SPDX-License-Identifier: MIT

//! Faults of commands, completions and interrupts.

use std::time::Duration;

use nvme_proto::completion::Completion;

use super::{Fault, Fired};
use crate::controller::{Controller, Taken};

impl Controller {
    /// Instead of executing a command.
    pub(crate) fn command_fault(&mut self, fired: Fired, taken: Taken) {
        let _ = fired;
        self.carry_out(taken);
    }

    /// Instead of posting a completion.
    pub(crate) fn completion_fault(&mut self, fired: Fired, taken: Taken, entry: Completion) {
        match fired.kind.fault {
            Fault::CompletionLost => {}
            Fault::CompletionLate => {
                let wait = Duration::from_millis(fired.argument);
                self.hold(taken, entry, Some(wait));
            }
            Fault::CompletionDuplicate => {
                self.post_for(taken.sqid, entry);
                self.post_for(taken.sqid, entry);
            }
            _ => self.post_for(taken.sqid, entry),
        }
    }

    /// Instead of an interrupt.
    pub(crate) fn interrupt_fault(&mut self, fired: Fired, vector: u16) {
        if fired.kind.fault != Fault::InterruptMissing {
            self.wires.raise(vector);
        }
    }

    /// After completions were consumed.
    pub(crate) fn consumed_fault(&mut self, fired: Fired, cqid: u16) {
        let _ = (fired, cqid);
    }
}
