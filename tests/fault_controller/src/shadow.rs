// SPDX-License-Identifier: MIT

//! Shadow doorbells (Base 5.2.5, Annex B.5): the host leaves tails and heads in memory, and rings the
//! doorbell in the BAR only where the EventIdx entry asks for it.
//!
//! Nothing polls here: a submission queue's EventIdx is always the tail that was seen last, so that the
//! next command is told of, while what comes during the work is found in the shadow. A completion queue's
//! head is looked for when there is no room, and its EventIdx follows the head then. The admin queue's
//! entries are never read, since some hosts leave them alone; its EventIdx is kept so that those which do
//! not ring as well.

use std::sync::atomic::{fence, Ordering};
use std::time::Duration;

use nvme_proto::register::Cap;
use nvme_proto::shadow::entry_offset;
use nvme_proto::status::Status;

use crate::controller::{Answer, Controller, Taken};
use crate::judge::Doorbell;

/// How often a shadow that goes on changing is looked at in one go. Whoever rang waits meanwhile.
const ROUNDS: usize = 64;

/// When to go on after that.
const PAUSE: Duration = Duration::from_millis(1);

/// The two buffers.
#[derive(Clone, Copy, Debug)]
pub struct Shadow {
    /// The host's tails and heads.
    pub doorbells: u64,
    /// What the controller wants to be told of.
    pub events: u64,
}

impl Controller {
    /// Doorbell Buffer Config.
    pub(crate) fn doorbell_buffer_config(&mut self, taken: &Taken) -> Answer {
        let (doorbells, events) = (taken.command.prp1.get(), taken.command.prp2.get());
        let page = u64::from(nvme_proto::PAGE);
        if doorbells % page != 0 || events % page != 0 {
            return Answer::refused(Status::INVALID_FIELD);
        }
        let mapped = |at| self.memory.holds(at, page, true);
        if doorbells == events || !mapped(doorbells) || !mapped(events) {
            return Answer::refused(Status::INVALID_FIELD);
        }
        self.shadow = Some(Shadow { doorbells, events });
        for queue in self.submission.values_mut() {
            queue.shadowed = false;
        }
        for queue in self.completion.values_mut() {
            queue.shadowed = false;
        }
        let queues: Vec<(u16, u32)> = self
            .submission
            .values()
            .map(|sq| (sq.id, sq.tail))
            .collect();
        for (sqid, tail) in queues {
            self.ask_for(sqid, false, tail);
        }
        let queues: Vec<(u16, u32)> = self
            .completion
            .values()
            .map(|cq| (cq.id, cq.head))
            .collect();
        for (cqid, head) in queues {
            self.ask_for(cqid, true, head);
        }
        Answer::DONE
    }

    fn entry_at(&self, base: u64, qid: u16, completion: bool) -> u64 {
        let stride = Cap::from_raw(self.registers.cap).doorbell_stride();
        base.saturating_add(entry_offset(qid, stride, completion) as u64)
    }

    /// What the host left in the shadow of a doorbell.
    pub fn shadow_value(&self, qid: u16, completion: bool) -> Option<u32> {
        let shadow = self.shadow?;
        let at = self.entry_at(shadow.doorbells, qid, completion);
        self.memory.load32(at).ok()
    }

    /// What a doorbell that is told `value` means: where there are shadows, it only says that there is
    /// something new. It may come after a shadow that was stored later was found: then it is old.
    pub(crate) fn newest(&self, qid: u16, completion: bool, value: u32) -> u32 {
        let entries = if completion {
            self.completion.get(&qid).map(|queue| queue.entries)
        } else {
            self.submission.get(&qid).map(|queue| queue.entries)
        };
        let possible = |value: &u32| entries.is_some_and(|entries| *value < entries);
        if qid == 0 || !possible(&value) {
            return value;
        }
        let shadow = self.shadow_value(qid, completion).filter(possible);
        shadow.unwrap_or(value)
    }

    /// Asks to be told when a doorbell passes `index`.
    pub(crate) fn ask_for(&mut self, qid: u16, completion: bool, index: u32) {
        let Some(shadow) = self.shadow else {
            return;
        };
        let index = self.event_index(qid, completion, index);
        let at = self.entry_at(shadow.events, qid, completion);
        if let Err(fault) = self.memory.store32(at, index) {
            self.judge.dma(&fault, "the EventIdx buffer", &mut self.log);
        }
        // The host stores the shadow and then reads this; here it is the other way round.
        fence(Ordering::SeqCst);
    }

    /// Takes what the shadow doorbell of a queue has beyond the doorbell that was rung.
    pub(crate) fn drain_shadow(&mut self, sqid: u16) {
        for _ in 0..ROUNDS {
            let Some(queue) = self.submission.get_mut(&sqid) else {
                return;
            };
            // From the first ring on: a shadow of before is not this queue's.
            queue.shadowed = true;
            let tail = queue.tail;
            self.ask_for(sqid, false, tail);
            let Some(value) = self.shadow_value(sqid, false).filter(|_| sqid != 0) else {
                return;
            };
            if value == tail || !self.believes(sqid, false, value) {
                return;
            }
            if let Some(queue) = self.submission.get_mut(&sqid) {
                queue.tail = value;
            }
            self.drain(sqid);
        }
        self.later(PAUSE, move |this| this.drain_shadow(sqid));
    }

    /// A completion queue whose entries wait for room: looks for its head, and asks to be told of the
    /// next one.
    pub(crate) fn watch_completions(&mut self, cqid: u16) {
        for _ in 0..ROUNDS {
            let Some(queue) = self.completion.get(&cqid) else {
                return;
            };
            let head = queue.head;
            if self.shadow.is_none() || (queue.waiting.is_empty() && cqid != 0) {
                return;
            }
            let shadowed = queue.shadowed;
            self.ask_for(cqid, true, head);
            let Some(value) = self
                .shadow_value(cqid, true)
                .filter(|_| cqid != 0 && shadowed)
            else {
                return;
            };
            if value == head || !self.believes(cqid, true, value) {
                return;
            }
            if let Some(queue) = self.completion.get_mut(&cqid) {
                queue.head = value;
            }
            self.post_waiting(cqid);
            self.told_of_consumption(cqid);
        }
        self.later(PAUSE, move |this| this.watch_completions(cqid));
    }

    /// Faults of heads need to be told of each: asks for the next one, which no controller is kept
    /// from doing.
    pub(crate) fn ask_for_heads(&mut self, cqid: u16) {
        if cqid == 0 || self.shadow.is_none() || !self.faults.watch_heads(cqid) {
            return;
        }
        let Some(queue) = self.completion.get(&cqid) else {
            return;
        };
        let (seen, entries, shadowed) = (queue.head, queue.entries, queue.shadowed);
        let there = self.shadow_value(cqid, true);
        let head = there.filter(|head| shadowed && *head < entries);
        self.ask_for(cqid, true, head.unwrap_or(seen));
    }

    /// Whether a shadow's value is one that its doorbell could be told.
    fn believes(&mut self, qid: u16, completion: bool, value: u32) -> bool {
        self.judge_doorbell(Doorbell {
            qid,
            completion,
            value,
            aligned: true,
            shadow: true,
        })
    }
}
