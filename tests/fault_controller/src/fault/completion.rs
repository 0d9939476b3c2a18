// SPDX-License-Identifier: MIT

//! Faults of completion queue entries.
//!
//! An entry of a fault's own goes through the controller's `store` where it can, so that the judge
//! knows that the host may have seen it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nvme_proto::completion::Completion;
use nvme_proto::status::Status;

use super::random::Random;
use super::{Fault, Fired, Hook, Occasion};
use crate::controller::{Controller, Taken};
use crate::later::Ends;
use crate::memory::Memory;

/// The identifier that an invented entry has: no driver uses it.
pub(super) const NOBODY: u16 = 0xffff;

/// How long a thread may write to the host's memory at most.
const LONGEST: Duration = Duration::from_secs(2);

/// An entry that nobody asked for.
pub(super) fn invented(sqid: u16, cid: u16) -> Completion {
    Completion {
        result: 0,
        sq_head: 0,
        sq_id: sqid,
        cid,
        status: Status::SUCCESS,
        phase: false,
    }
}

/// A status that is not success.
fn any_error(dice: u64) -> Status {
    let mut random = Random::new(dice);
    loop {
        let status = Status::from_raw((random.next() & 0x7fff) as u16);
        if !status.is_success() {
            return status;
        }
    }
}

/// A slot of a completion queue: its address, and the phase tag that makes it valid.
type Slot = (u64, bool);

impl Controller {
    /// Instead of posting a completion.
    pub(crate) fn completion_fault(&mut self, fired: Fired, taken: Taken, entry: Completion) {
        let sqid = taken.sqid;
        let front = |this: &mut Self, cid: u16| {
            this.post_for(sqid, invented(sqid, cid));
            this.post_for(sqid, entry);
        };
        match fired.kind.fault {
            Fault::Lost => {}
            Fault::Late => self.hold(taken, entry, Some(fired.wait())),
            Fault::Duplicate => {
                self.post_for(sqid, entry);
                self.post_for(sqid, entry);
            }
            Fault::Unknown => front(self, (fired.argument & 0xffff) as u16),
            Fault::Stale => front(self, entry.cid.wrapping_sub(0x1000)),
            Fault::Flood => {
                for _ in 0..fired.times() {
                    self.post_for(sqid, invented(sqid, NOBODY));
                }
                self.post_for(sqid, entry);
            }
            Fault::AdminInIo => {
                let cid = self.lies.event_cid.unwrap_or(0);
                self.post_for(sqid, invented(0, cid));
                self.post_for(sqid, entry);
            }
            Fault::OtherQueue => self.post_elsewhere(sqid, entry),
            Fault::WrongPhase => self.post_with_wrong_phase(sqid, entry),
            Fault::Overrun => self.overrun(fired, sqid, entry),
            Fault::Torn => self.post_torn(fired, sqid, entry),
            Fault::Rewritten => self.post_rewritten(fired, sqid, entry),
            Fault::Reordered => {
                self.lies.held.entry(sqid).or_default().push(entry);
                self.later_in_queue(fired.wait(), sqid, false, move |this| this.release(sqid));
            }
            Fault::InterruptEarly => self.interrupt_first(fired, sqid, entry),
            other => self.post_for(sqid, changed(other, fired, entry)),
        }
    }

    /// Posts what was kept back until another completion of its queue was posted.
    pub(crate) fn release(&mut self, sqid: u16) {
        for entry in self.lies.held.remove(&sqid).unwrap_or_default() {
            self.post_for(sqid, entry);
        }
    }

    fn cq_of(&self, sqid: u16) -> Option<u16> {
        self.submission.get(&sqid).map(|queue| queue.cqid)
    }

    /// The next slot of a queue, if there is room; it then counts as written.
    fn slot(&mut self, sqid: u16) -> Option<Slot> {
        let cqid = self.cq_of(sqid)?;
        let queue = self.completion.get_mut(&cqid)?;
        if queue.is_full() || !queue.waiting.is_empty() {
            return None;
        }
        queue.untold = true;
        Some(queue.advance())
    }

    /// What a fault could not do, since the queue was full: the completion goes its usual way.
    fn no_room(&mut self, sqid: u16, entry: Completion) {
        self.log
            .line("fault-missed", "the completion queue is full");
        self.post_for(sqid, entry);
    }

    fn post_elsewhere(&mut self, sqid: u16, entry: Completion) {
        let own = self.cq_of(sqid).unwrap_or(0);
        let others = || self.completion.keys().copied().filter(|&id| id != own);
        let other = others().find(|&id| id != 0).or_else(|| others().next());
        if let Some(other) = other {
            self.post(other, entry);
        }
    }

    fn post_with_wrong_phase(&mut self, sqid: u16, entry: Completion) {
        match self.slot(sqid) {
            Some((address, phase)) => self.store_at(
                address,
                Completion {
                    phase: !phase,
                    ..entry
                },
            ),
            None => self.no_room(sqid, entry),
        }
    }

    fn overrun(&mut self, fired: Fired, sqid: u16, entry: Completion) {
        let Some(cqid) = self.cq_of(sqid) else { return };
        let entries = self.completion.get(&cqid).map_or(0, |queue| queue.entries);
        let count = match fired.times() {
            0 => entries.into(),
            count => count,
        };
        for _ in 0..count {
            self.store(cqid, invented(sqid, NOBODY));
        }
        self.store(cqid, entry);
    }

    fn post_torn(&mut self, fired: Fired, sqid: u16, entry: Completion) {
        let (Some(cqid), Some((address, phase))) = (self.cq_of(sqid), self.slot(sqid)) else {
            return self.no_room(sqid, entry);
        };
        self.store_at(
            address,
            Completion {
                phase,
                ..invented(sqid, NOBODY)
            },
        );
        self.later_in_queue(fired.wait(), cqid, true, move |this| {
            this.store_at(address, Completion { phase, ..entry });
        });
    }

    fn post_rewritten(&mut self, fired: Fired, sqid: u16, entry: Completion) {
        let Some((address, phase)) = self.slot(sqid) else {
            return self.no_room(sqid, entry);
        };
        let right = Completion { phase, ..entry };
        let wrong = Completion {
            cid: NOBODY,
            status: Status::INTERNAL_ERROR,
            ..right
        };
        self.store_at(address, right);
        let (memory, lasts) = (self.memory.clone(), fired.wait().min(LONGEST));
        let stop = self.lies.disarmed.clone();
        self.beside(move || flicker(&memory, address, [wrong, right], lasts, &stop));
    }

    fn interrupt_first(&mut self, fired: Fired, sqid: u16, entry: Completion) {
        let vector = self
            .cq_of(sqid)
            .and_then(|cqid| self.completion.get(&cqid)?.vector);
        if let Some(vector) = vector {
            self.wires.raise(vector);
        }
        self.later_in_queue(fired.wait(), sqid, false, move |this| {
            let Some(cqid) = this.cq_of(sqid) else { return };
            let untold = |this: &Self| this.completion.get(&cqid).is_some_and(|cq| cq.untold);
            let before = untold(this);
            this.post_for(sqid, entry);
            // The interrupt for this one was sent already.
            if let Some(queue) = this.completion.get_mut(&cqid) {
                queue.untold = before;
            }
        });
    }

    /// The controller has learnt that completions were consumed, by a doorbell or a shadow.
    pub(crate) fn told_of_consumption(&mut self, cqid: u16) {
        let occasion = Occasion {
            queue: Some(cqid),
            completion: true,
            ..Occasion::default()
        };
        if let Some(fired) = self.fault(Hook::Consumed, &occasion) {
            self.consumed_fault(fired, cqid);
        }
    }

    /// After completions were consumed.
    fn consumed_fault(&mut self, fired: Fired, cqid: u16) {
        if fired.kind.fault != Fault::Endless {
            return;
        }
        while self
            .completion
            .get(&cqid)
            .is_some_and(|queue| !queue.is_full())
        {
            self.store(cqid, invented(cqid, NOBODY));
        }
    }

    /// Before a reset: what is written to the old completion queues after it.
    pub(crate) fn reset_fault(&mut self, fired: Fired) -> Ghosts {
        let entries = self.completion.values().map(|queue| {
            let address = queue.place();
            let phase = queue.phase;
            (
                address,
                Completion {
                    phase,
                    ..invented(queue.id, NOBODY)
                },
            )
        });
        Ghosts {
            wait: fired.wait(),
            entries: entries.collect(),
        }
    }

    /// After a reset: writes what was remembered of the time before it.
    pub(crate) fn haunt(&mut self, ghosts: Ghosts) {
        self.later_ends(ghosts.wait, Ends::Dropped, move |this| {
            for (address, entry) in ghosts.entries {
                this.store_quietly(address, entry);
            }
        });
    }

    /// Writes an entry where a queue was; that the memory is gone is no mistake of the host's.
    pub(super) fn store_quietly(&mut self, address: u64, entry: Completion) {
        let [first, second] = entry.to_words();
        let _ = self
            .memory
            .store64(address, first)
            .and_then(|()| self.memory.store64(address.wrapping_add(8), second));
    }
}

/// Entries that outlive a reset.
pub(crate) struct Ghosts {
    wait: Duration,
    entries: Vec<(u64, Completion)>,
}

/// An entry with something wrong in it.
fn changed(fault: Fault, fired: Fired, entry: Completion) -> Completion {
    let short = (fired.argument & 0xffff) as u16;
    match fault {
        Fault::SqHead => Completion {
            sq_head: short,
            ..entry
        },
        Fault::SqId => Completion {
            sq_id: short,
            ..entry
        },
        Fault::Garbage => Completion {
            result: fired.argument,
            ..entry
        },
        Fault::Status => Completion {
            status: Status::from_raw(short),
            ..entry
        },
        Fault::StatusRandom => Completion {
            status: any_error(fired.dice),
            ..entry
        },
        Fault::RetryLater => Completion {
            status: Status::from_raw(Status::COMMAND_INTERRUPTED.raw() | ((short & 3) << 11)),
            ..entry
        },
        _ => entry,
    }
}

/// Writes the forms of an entry in turn; the last stays.
fn flicker(
    memory: &Memory,
    address: u64,
    forms: [Completion; 2],
    lasts: Duration,
    stop: &AtomicBool,
) {
    let end = Instant::now() + lasts;
    loop {
        for form in forms {
            let [first, second] = form.to_words();
            let stored = memory
                .store64(address, first)
                .and_then(|()| memory.store64(address.wrapping_add(8), second));
            if stored.is_err() {
                return;
            }
        }
        if Instant::now() >= end || stop.load(Ordering::Acquire) {
            return;
        }
    }
}
