// SPDX-License-Identifier: MIT

//! Creation and deletion of I/O queues (Base 5.2).

use nvme_proto::status::Status;

use crate::controller::{Answer, Controller, Taken};
use crate::pci::VECTORS;
use crate::queue::{CompletionQueue, SubmissionQueue};

/// CDW10: the queue's identifier and its entries.
fn identity(taken: &Taken) -> (u16, u32) {
    let cdw10 = taken.command.cdw10.get();
    ((cdw10 & 0xffff) as u16, (cdw10 >> 16) + 1)
}

impl Controller {
    /// Whether a queue of so many entries at such a place can be.
    fn check_queue(
        &self,
        taken: &Taken,
        id: u16,
        entries: u32,
        completion: bool,
    ) -> Option<Status> {
        let contiguous = taken.command.cdw11.get() & 1 != 0;
        let exists = if completion {
            self.completion.contains_key(&id)
        } else {
            self.submission.contains_key(&id)
        };
        // A lie may have granted more than there are.
        let last = self.last_queue(completion).min(self.settings.queues.into());
        if id == 0 || u32::from(id) > last || exists {
            Some(Status::INVALID_QUEUE_ID)
        } else if entries < 2 || entries > u32::from(self.settings.entries) {
            Some(Status::INVALID_QUEUE_SIZE)
        } else if !contiguous {
            Some(Status::INVALID_FIELD)
        } else if taken.command.prp1.get() % u64::from(nvme_proto::PAGE) != 0 {
            Some(Status::PRP_OFFSET_INVALID)
        } else {
            None
        }
    }

    /// Create I/O Completion Queue (Base 5.2.1).
    pub(super) fn create_io_cq(&mut self, taken: &Taken) -> Answer {
        let (id, entries) = identity(taken);
        if let Some(status) = self.check_queue(taken, id, entries, true) {
            return Answer::refused(status);
        }
        let cdw11 = taken.command.cdw11.get();
        let vector = (cdw11 & 2 != 0).then_some((cdw11 >> 16) as u16);
        if vector.is_some_and(|vector| vector >= VECTORS) {
            return Answer::refused(Status::INVALID_INTERRUPT_VECTOR);
        }
        let base = taken.command.prp1.get();
        self.completion
            .insert(id, CompletionQueue::new(id, base, entries, vector));
        self.ask_for(id, true, 0);
        Answer::DONE
    }

    /// Create I/O Submission Queue (Base 5.2.2).
    pub(super) fn create_io_sq(&mut self, taken: &Taken) -> Answer {
        let (id, entries) = identity(taken);
        if let Some(status) = self.check_queue(taken, id, entries, false) {
            return Answer::refused(status);
        }
        let cqid = (taken.command.cdw11.get() >> 16) as u16;
        if cqid == 0 || !self.completion.contains_key(&cqid) {
            return Answer::refused(Status::CQ_INVALID);
        }
        let base = taken.command.prp1.get();
        self.submission
            .insert(id, SubmissionQueue::new(id, base, entries, cqid));
        self.ask_for(id, false, 0);
        Answer::DONE
    }

    /// Delete I/O Submission Queue (Base 5.2.4).
    pub(super) fn delete_io_sq(&mut self, taken: &Taken) -> Answer {
        let (id, _) = identity(taken);
        if id == 0 || !self.submission.contains_key(&id) {
            return Answer::refused(Status::INVALID_QUEUE_ID);
        }
        self.abort_queue(id);
        let removed = self.submission.remove(&id);
        self.judge.queue_deleted(id);
        if let Some(queue) = removed {
            self.submission_deleted(&queue);
        }
        Answer::DONE
    }

    /// Delete I/O Completion Queue (Base 5.2.3).
    pub(super) fn delete_io_cq(&mut self, taken: &Taken) -> Answer {
        let (id, _) = identity(taken);
        if id == 0 || !self.completion.contains_key(&id) {
            Answer::refused(Status::INVALID_QUEUE_ID)
        } else if self.submission.values().any(|queue| queue.cqid == id) {
            Answer::refused(Status::INVALID_QUEUE_DELETION)
        } else {
            if let Some(queue) = self.completion.remove(&id) {
                self.completion_deleted(&queue);
            }
            self.judge.completion_queue_deleted(id);
            Answer::DONE
        }
    }
}
