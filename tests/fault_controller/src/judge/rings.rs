// SPDX-License-Identifier: MIT

//! Doorbells, rings and command identifiers.
//!
//! What a driver may do follows from the entries that were posted, wrong ones too: they are what it has
//! seen.

use std::collections::{BTreeMap, BTreeSet};

use nvme_proto::completion::Completion;
use nvme_proto::register::Cc;

use super::{rules, Broken, Judge};
use crate::controller::{Controller, Taken};
use crate::queue::CQE_BYTES;

/// A doorbell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doorbell {
    pub(crate) qid: u16,
    /// Whether it is a completion queue's.
    pub(crate) completion: bool,
    /// What is written.
    pub(crate) value: u32,
    /// Whether it is written as an aligned word of 32 bits.
    pub(crate) aligned: bool,
    /// Whether it was found in the shadow doorbells.
    pub(crate) shadow: bool,
}

impl Doorbell {
    fn queue(&self) -> String {
        let kind = if self.completion {
            "completion"
        } else {
            "submission"
        };
        let from = if self.shadow { ", by its shadow" } else { "" };
        format!("{kind} queue {}{from}", self.qid)
    }
}

/// A submission queue, as its driver knows it.
#[derive(Default)]
struct Tail {
    /// The tail that was rung.
    rung: u32,
    /// How far the driver was told that the controller has read.
    told: u32,
    /// Whether it was told wrongly.
    misled: bool,
}

/// What the judge knows of queues and of commands in flight.
#[derive(Default)]
pub(super) struct Rings {
    tails: BTreeMap<u16, Tail>,
    /// The heads of completion queues that were rung.
    heads: BTreeMap<u16, u32>,
    /// Completion queues that hold an entry, or have held one.
    begun: BTreeSet<u16>,
    /// Queues that were deleted: identifier, and whether it was a completion queue.
    deleted: BTreeSet<(u16, bool)>,
    /// The opcodes of commands in flight, by queue and identifier.
    in_flight: BTreeMap<(u16, u16), u8>,
}

/// From `from` forwards to `to` in a ring.
fn distance(from: u32, to: u32, entries: u32) -> u32 {
    (to % entries + entries - from % entries) % entries
}

impl Rings {
    /// A command was taken.
    pub(super) fn taken(&mut self, taken: &Taken) -> Option<Broken> {
        let (sqid, cid, opcode) = (taken.sqid, taken.command.cid.get(), taken.command.opcode);
        let other = self.in_flight.insert((sqid, cid), opcode)?;
        Some((
            rules::CID_IN_USE,
            format!(
                "command id {cid:#06x} of queue {sqid} is in use by a command with opcode {other:#04x}"
            ),
        ))
    }

    /// How many admin commands with this opcode were taken, and are not completed.
    pub(super) fn outstanding(&self, opcode: u8) -> usize {
        let all = self.in_flight.range((0, 0)..=(0, u16::MAX));
        all.filter(|(_, other)| **other == opcode).count()
    }

    /// The checks of a doorbell of a queue with so many entries. Tells whether it can be acted on.
    fn rung(
        &mut self,
        this: &Controller,
        doorbell: Doorbell,
        entries: u32,
    ) -> (Option<Broken>, bool) {
        let Doorbell { qid, value, .. } = doorbell;
        let queue = doorbell.queue();
        if value >= entries {
            let seen = format!("{queue} is told {value}, it has {entries} entries");
            return (Some((rules::DOORBELL_VALUE, seen)), false);
        }
        // What is rung may have been found in the shadow before.
        let seen_already = this.shadow.is_some() && qid != 0;
        if doorbell.completion {
            let head = self.heads.entry(qid).or_default();
            let tail = this.completion.get(&qid).map_or(0, |queue| queue.tail);
            let new = distance(*head, tail, entries);
            let taken = distance(*head, value, entries);
            if taken == 0 {
                if seen_already {
                    return (None, true);
                }
                let seen = format!("{queue} is told {value} again");
                return (Some((rules::DOORBELL_UNCHANGED, seen)), true);
            }
            if taken > new {
                let seen = format!(
                    "{queue} goes from {head} to {value}; {new} new entries end before slot {tail}"
                );
                // Both ways round lead there: the shorter one is what was meant.
                let backwards = entries - taken < taken - new;
                let rule = if backwards {
                    rules::HEAD_BACKWARDS
                } else {
                    rules::HEAD_BEYOND_TAIL
                };
                return (Some((rule, seen)), false);
            }
            *head = value;
            return (None, true);
        }
        let tail = self.tails.entry(qid).or_default();
        let old = std::mem::replace(&mut tail.rung, value);
        let added = distance(old, value, entries);
        let room = entries - 1 - distance(tail.told, old, entries);
        if added == 0 {
            if seen_already {
                return (None, true);
            }
            let seen = format!("{queue} is told {value} again");
            return (Some((rules::DOORBELL_UNCHANGED, seen)), true);
        }
        if added > room && !tail.misled {
            let told = tail.told;
            let seen = format!(
                "{queue} goes from {old} to {value}: {added} commands, where completions say that \
                 {told} is read, and so there is room for {room} of {entries}"
            );
            return (Some((rules::TAIL_OVERRUN, seen)), true);
        }
        (None, true)
    }
}

impl Judge {
    /// A doorbell is rung. Tells whether it can be acted on.
    fn doorbell(&mut self, this: &Controller, doorbell: Doorbell) -> bool {
        let Doorbell {
            qid, completion, ..
        } = doorbell;
        let queue = doorbell.queue();
        let entries = if completion {
            this.completion.get(&qid).map(|queue| queue.entries)
        } else {
            this.submission.get(&qid).map(|queue| queue.entries)
        };
        let cc = Cc::from_raw(this.registers.cc);
        let (broken, good) = if !cc.en() || this.registers.csts & 1 == 0 {
            let seen = format!(
                "{queue} is told {} while CC is {:08x} and CSTS {:08x}",
                doorbell.value, this.registers.cc, this.registers.csts
            );
            (Some((rules::DOORBELL_NOT_READY, seen)), false)
        } else if !doorbell.aligned {
            let seen = format!("{queue}: not an aligned word of 32 bits");
            (Some((rules::DOORBELL_WIDTH, seen)), false)
        } else if let Some(entries) = entries {
            let (mut broken, good) = self.rings.rung(this, doorbell, entries);
            if broken.is_none() && !completion && cc.shn() != 0 {
                let seen = format!("{queue} is told {} while CC.SHN is set", doorbell.value);
                broken = Some((rules::DOORBELL_SHUTDOWN, seen));
            }
            if broken.is_none() && !completion && qid == 0 {
                self.submitted(this, doorbell.value);
            }
            (broken, good)
        } else if self.rings.deleted.contains(&(qid, completion)) {
            let seen = format!("{queue} is told {}", doorbell.value);
            (Some((rules::DOORBELL_DELETED, seen)), false)
        } else {
            let seen = format!("{queue} is told {}", doorbell.value);
            (Some((rules::DOORBELL_UNKNOWN, seen)), false)
        };
        if let Some((rule, seen)) = broken {
            self.complain(rule, &seen, Vec::new());
        }
        good
    }

    /// An entry is posted, rightly or as a fault: the driver may use its identifier again, and knows
    /// how far the controller has read.
    fn posted(&mut self, this: &Controller, entry: &Completion) {
        let sqid = entry.sq_id;
        self.rings.in_flight.remove(&(sqid, entry.cid));
        let Some(queue) = this.submission.get(&sqid) else {
            return;
        };
        let tail = self.rings.tails.entry(sqid).or_default();
        let head = u32::from(entry.sq_head);
        let truth = distance(tail.told, queue.head, queue.entries);
        if head < queue.entries && distance(tail.told, head, queue.entries) <= truth {
            tail.told = head;
        } else {
            tail.misled = true;
        }
    }

    /// An entry is about to be posted to a completion queue. Before the first one all phase tags must
    /// be 0. (The specification wants that when the queue is created. Linux clears them a moment
    /// later, when nothing can be posted yet; that harms nobody.)
    fn posting(&mut self, this: &Controller, cqid: u16) {
        if !self.rings.begun.insert(cqid) {
            return;
        }
        let Some(queue) = this.completion.get(&cqid) else {
            return;
        };
        let mut bytes = vec![0; (u64::from(queue.entries) * CQE_BYTES) as usize];
        if this.memory.read(queue.base, &mut bytes).is_err() {
            // That it cannot be reached is found where the entry is written.
            return;
        }
        let set = |entry: &[u8]| entry.get(14).is_some_and(|byte| byte & 1 != 0);
        let stale = bytes.chunks_exact(CQE_BYTES as usize).position(set);
        if let Some(slot) = stale {
            let seen = format!("slot {slot} of completion queue {cqid} has phase 1 before its use");
            self.complain(rules::PHASE_NOT_CLEARED, &seen, Vec::new());
        }
    }

    /// A submission queue was deleted.
    pub fn queue_deleted(&mut self, sqid: u16) {
        let range = (sqid, 0)..=(sqid, u16::MAX);
        let gone: Vec<_> = self
            .rings
            .in_flight
            .range(range)
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            self.rings.in_flight.remove(&key);
        }
        self.rings.tails.remove(&sqid);
        self.rings.deleted.insert((sqid, false));
    }

    /// A completion queue was deleted.
    pub fn completion_queue_deleted(&mut self, cqid: u16) {
        self.rings.heads.remove(&cqid);
        self.rings.begun.remove(&cqid);
        self.rings.deleted.insert((cqid, true));
    }
}

impl Controller {
    /// A doorbell is rung. Tells whether it can be acted on.
    pub(crate) fn judge_doorbell(&mut self, doorbell: Doorbell) -> bool {
        self.judged(|judge, this| judge.doorbell(this, doorbell))
    }

    /// An entry is about to be posted to a completion queue.
    pub(crate) fn judge_posting(&mut self, cqid: u16) {
        self.judged(|judge, this| judge.posting(this, cqid));
    }

    /// An entry is posted.
    pub(crate) fn judge_posted(&mut self, entry: &Completion) {
        self.judged(|judge, this| judge.posted(this, entry));
    }
}
