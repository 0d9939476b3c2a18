// SPDX-License-Identifier: MIT

//! A pair of queues as the driver of the tests keeps it, and how commands go through it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nvme_proto::cid::{CommandId, Generation};
use nvme_proto::command::Command;
use nvme_proto::completion::Completion;
use nvme_proto::register::Cap;
use nvme_proto::ring::{CompletionHead, SubmissionTail};
use nvme_proto::shadow;
use zerocopy::IntoBytes as _;

use super::heap::{Heap, PAGE_BYTES};
use super::Driver;

/// Bytes of the two kinds of entries.
pub(crate) const SQE_BYTES: u64 = 64;
pub(crate) const CQE_BYTES: u64 = 16;

/// How long a command may take, in the time of the test's clock.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A submission queue and its completion queue.
pub(crate) struct Queue {
    pub(crate) id: u16,
    pub(crate) entries: u16,
    /// Where they are.
    pub(crate) sq: u64,
    pub(crate) cq: u64,
    pub(crate) tail: SubmissionTail,
    /// The tail that the controller was told of last.
    told: u16,
    pub(crate) head: CompletionHead,
    /// How far the controller says to have read.
    pub(crate) sq_head: u16,
    /// Tags that are free, the one that has been so for longest first.
    tags: VecDeque<u16>,
    generations: BTreeMap<u16, Generation>,
    /// Commands in flight by their identifiers.
    pub(crate) in_flight: BTreeMap<u16, Command>,
    /// Completions that nobody has asked for yet.
    pub(crate) done: BTreeMap<u16, Completion>,
}

fn pages(entries: u16, bytes: u64) -> u64 {
    (u64::from(entries) * bytes).div_ceil(PAGE_BYTES)
}

impl Queue {
    /// An empty pair in zeroed memory.
    pub(crate) fn new(id: u16, entries: u16, heap: &mut Heap) -> Self {
        Self {
            id,
            entries,
            sq: heap.take(pages(entries, SQE_BYTES)),
            cq: heap.take(pages(entries, CQE_BYTES)),
            tail: SubmissionTail::new(entries),
            told: 0,
            head: CompletionHead::new(entries),
            sq_head: 0,
            tags: (0..entries - 1).collect(),
            generations: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            done: BTreeMap::new(),
        }
    }

    /// Gives the memory back.
    pub(crate) fn free(self, heap: &mut Heap) {
        heap.free(self.sq, pages(self.entries, SQE_BYTES));
        heap.free(self.cq, pages(self.entries, CQE_BYTES));
    }

    /// How many more commands can be submitted now.
    pub(crate) fn room(&self) -> usize {
        let ring = self.tail.room(self.sq_head).unwrap_or(0);
        self.tags.len().min(ring.into())
    }

    /// An identifier that is not in use.
    fn new_id(&mut self) -> u16 {
        let tag = self.tags.pop_front().expect("a free command identifier");
        let generation = self.generations.entry(tag).or_default();
        *generation = generation.next();
        CommandId::new(tag, generation.get()).raw()
    }

    /// Takes note of a completion. Tells whether it claims a command in flight.
    fn complete(&mut self, entry: Completion) -> bool {
        if entry.sq_head < self.entries {
            self.sq_head = entry.sq_head;
        }
        if entry.sq_id != self.id || self.in_flight.remove(&entry.cid).is_none() {
            return false;
        }
        self.tags.push_back(CommandId::from_raw(entry.cid).tag());
        self.done.insert(entry.cid, entry);
        true
    }
}

impl Driver {
    #[track_caller]
    pub(crate) fn queue(&mut self, qid: u16) -> &mut Queue {
        self.queues.get_mut(&qid).expect("a queue that there is")
    }

    /// Writes a command into its queue, with an identifier that is returned. The doorbell is not rung.
    #[track_caller]
    pub(crate) fn submit(&mut self, qid: u16, command: Command) -> u16 {
        let queue = self.queue(qid);
        assert!(queue.room() > 0, "queue {qid} is full");
        let cid = queue.new_id();
        self.submit_as(qid, command.with_cid(cid));
        cid
    }

    /// Writes a command into its queue with the identifier that it has, whether or not there is room.
    #[track_caller]
    pub(crate) fn submit_as(&mut self, qid: u16, command: Command) {
        let queue = self.queue(qid);
        let slot = queue.sq + u64::from(queue.tail.current()) * SQE_BYTES;
        queue.tail.advance();
        queue.in_flight.insert(command.cid.get(), command);
        self.heap.write(slot, command.as_bytes());
    }

    /// Tells the controller of the commands that were submitted.
    #[track_caller]
    pub(crate) fn ring(&mut self, qid: u16) {
        let queue = self.queue(qid);
        if let Some(tail) = queue.tail.ring() {
            let old = std::mem::replace(&mut queue.told, tail);
            self.ring_doorbell(qid, false, old, tail);
        }
    }

    fn ring_doorbell(&mut self, qid: u16, completion: bool, old: u16, new: u16) {
        let at = self.doorbell_at(qid, completion);
        if let Some((shadow_at, event_at)) = self.shadow {
            let stride = Cap::from_raw(self.controller.registers.cap).doorbell_stride();
            let entry = shadow::entry_offset(qid, stride, completion) as u64;
            self.heap
                .write(shadow_at + entry, &u32::from(new).to_le_bytes());
            let event = self.heap.read32(event_at + entry);
            if qid != 0 && !shadow::must_ring(event, old, new) {
                return;
            }
        }
        self.write32(at, new.into());
    }

    /// The entry of a completion queue that is looked at next.
    pub(crate) fn next_entry(&mut self, qid: u16) -> Completion {
        let queue = self.queue(qid);
        let at = queue.cq + u64::from(queue.head.index()) * CQE_BYTES;
        let bytes = self.heap.read(at, 16);
        Completion::from_bytes(bytes.try_into().expect("sixteen bytes"))
    }

    /// Takes the completions that are there, a ring of them at most, and gives their slots back.
    /// Tells how many there were.
    pub(crate) fn reap(&mut self, qid: u16) -> usize {
        let count = self.look(qid, usize::from(self.queues[&qid].entries));
        self.give_back(qid);
        count
    }

    /// Takes completions without giving their slots back.
    pub(crate) fn look(&mut self, qid: u16, most: usize) -> usize {
        let mut count = 0;
        while count < most {
            let entry = self.next_entry(qid);
            let queue = self.queue(qid);
            if entry.phase != queue.head.phase() {
                break;
            }
            queue.head.advance();
            count += 1;
            if !queue.complete(entry) {
                self.strays.push((qid, entry));
            }
        }
        count
    }

    /// Gives the slots back that were looked at.
    pub(crate) fn give_back(&mut self, qid: u16) {
        let queue = self.queue(qid);
        let entries = u32::from(queue.entries);
        let consumed = u32::from(queue.head.consumed()) % entries;
        let old = ((u32::from(queue.head.index()) + entries - consumed) % entries) as u16;
        if let Some(head) = queue.head.ring() {
            self.ring_doorbell(qid, true, old, head);
        }
    }

    /// A command's completion, taken with the time that it needs. `None`: it never came.
    pub(crate) fn wait(&mut self, qid: u16, cid: u16) -> Option<Completion> {
        self.until(PATIENCE, |this| {
            while this.reap(qid) > 0 {}
            this.queue(qid).done.remove(&cid)
        })
    }

    /// Sends a command and gets its completion; without one the test fails.
    #[track_caller]
    pub(crate) fn send(&mut self, qid: u16, command: Command) -> Completion {
        match self.try_send(qid, command) {
            Some(completion) => completion,
            None => panic!("no completion for {command:?}\n{}", self.log()),
        }
    }

    /// Sends a command and gets its completion, if it comes.
    #[track_caller]
    pub(crate) fn try_send(&mut self, qid: u16, command: Command) -> Option<Completion> {
        let cid = self.submit(qid, command);
        self.ring(qid);
        self.wait(qid, cid)
    }

    /// Whether a command is still outstanding.
    pub(crate) fn is_in_flight(&mut self, qid: u16, cid: u16) -> bool {
        self.queue(qid).in_flight.contains_key(&cid)
    }
}
