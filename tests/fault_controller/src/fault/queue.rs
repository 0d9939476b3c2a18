// SPDX-License-Identifier: MIT

//! Faults of queues: how many are granted, and entries of those that were deleted.

use super::completion::{invented, NOBODY};
use super::random::Random;
use super::{Fault, Fired, Hook, Occasion};
use crate::controller::{Answer, Controller};
use crate::later::Ends;
use crate::queue::{CompletionQueue, SubmissionQueue};

impl Controller {
    /// Instead of granting queues.
    pub(crate) fn grant_fault(&mut self, fired: Fired, granted: u32) -> Answer {
        match fired.kind.fault {
            Fault::Granted => Answer::with(fired.argument & 0xffff_ffff),
            Fault::GrantShrinks => {
                let fewer = |queues: u32| queues.checked_shr((fired.count - 1) as u32).unwrap_or(0);
                Answer::with((fewer(granted & 0xffff) | (fewer(granted >> 16) << 16)).into())
            }
            _ => Answer::with(granted.into()),
        }
    }

    /// A submission queue was deleted.
    pub(crate) fn submission_deleted(&mut self, queue: &SubmissionQueue) {
        self.lies.queue_deleted(queue.id, false);
        let occasion = Occasion {
            queue: Some(queue.id),
            ..Occasion::default()
        };
        if let Some(fired) = self.fault(Hook::QueueDeleted, &occasion) {
            let (cqid, id) = (queue.cqid, queue.id);
            self.later_ends(fired.wait(), Ends::Dropped, move |this| {
                this.post(cqid, invented(id, NOBODY))
            });
        }
    }

    /// A completion queue was deleted.
    pub(crate) fn completion_deleted(&mut self, queue: &CompletionQueue) {
        self.lies.queue_deleted(queue.id, true);
        let occasion = Occasion {
            queue: Some(queue.id),
            completion: true,
            ..Occasion::default()
        };
        if let Some(fired) = self.fault(Hook::QueueDeleted, &occasion) {
            let address = queue.place();
            let mut entry = invented(queue.id, NOBODY);
            entry.phase = queue.phase;
            self.later_ends(fired.wait(), Ends::Dropped, move |this| {
                this.store_quietly(address, entry);
            });
        }
    }

    /// An event index on its way to the host's memory, as a fault may change it.
    pub(crate) fn event_index(&mut self, queue: u16, completion: bool, value: u32) -> u32 {
        let occasion = Occasion {
            queue: Some(queue),
            completion,
            ..Occasion::default()
        };
        match self.fault(Hook::EventIndex, &occasion) {
            Some(fired) if fired.kind.fault == Fault::EventIndex => {
                (Random::new(fired.dice).next() & 0xffff_ffff) as u32
            }
            _ => value,
        }
    }
}
