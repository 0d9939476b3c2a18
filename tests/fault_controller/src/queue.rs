// SPDX-License-Identifier: MIT

//! Submission and completion queues as the controller keeps them (Base 3.3).

use std::collections::VecDeque;

use nvme_proto::completion::Completion;

/// Bytes of a submission queue entry.
pub const SQE_BYTES: u64 = 64;

/// Bytes of a completion queue entry.
pub const CQE_BYTES: u64 = 16;

/// A submission queue.
#[derive(Clone, Debug)]
pub struct SubmissionQueue {
    /// Its identifier; 0 is the admin queue.
    pub id: u16,
    /// Where the host keeps it.
    pub base: u64,
    /// Its slots.
    pub entries: u32,
    /// The queue that its commands complete into.
    pub cqid: u16,
    /// The next slot that is read.
    pub head: u32,
    /// The slot behind the last command.
    pub tail: u32,
    /// Whether its doorbell was rung since there are shadows, so that its shadow counts.
    pub shadowed: bool,
}

impl SubmissionQueue {
    /// An empty queue.
    pub fn new(id: u16, base: u64, entries: u32, cqid: u16) -> Self {
        Self {
            id,
            base,
            entries,
            cqid,
            head: 0,
            tail: 0,
            shadowed: false,
        }
    }

    /// The slot and the address of the next command, if there is one; it then counts as read.
    pub fn take(&mut self) -> Option<(u32, u64)> {
        if self.head == self.tail {
            return None;
        }
        let slot = self.head;
        self.head = (slot + 1) % self.entries;
        let address = self.base.wrapping_add(u64::from(slot) * SQE_BYTES);
        Some((slot, address))
    }
}

/// A completion queue.
#[derive(Clone, Debug)]
pub struct CompletionQueue {
    /// Its identifier; 0 is the admin queue.
    pub id: u16,
    /// Where the host keeps it.
    pub base: u64,
    /// Its slots.
    pub entries: u32,
    /// Its interrupt vector, if it has one.
    pub vector: Option<u16>,
    /// The slot behind the last that the host has consumed.
    pub head: u32,
    /// The slot of the next entry.
    pub tail: u32,
    /// The phase tag of the next entry.
    pub phase: bool,
    /// What found no room.
    pub waiting: VecDeque<Completion>,
    /// Whether entries were written that no interrupt has told of.
    pub untold: bool,
    /// The slot behind the last that an interrupt was asked for.
    told: u32,
    /// Whether its doorbell was rung since there are shadows, so that its shadow counts.
    pub shadowed: bool,
}

impl CompletionQueue {
    /// An empty queue, whose slots the host has zeroed.
    pub fn new(id: u16, base: u64, entries: u32, vector: Option<u16>) -> Self {
        Self {
            id,
            base,
            entries,
            vector,
            head: 0,
            tail: 0,
            phase: true,
            waiting: VecDeque::new(),
            untold: false,
            told: 0,
            shadowed: false,
        }
    }

    /// How many entries no interrupt has told of, if there are any; they then count as told of.
    pub fn take_untold(&mut self) -> Option<u32> {
        let last = std::mem::replace(&mut self.told, self.tail);
        let entries = (self.tail + self.entries - last) % self.entries;
        // A fault may have written a whole round, or one entry twice.
        std::mem::take(&mut self.untold).then(|| entries.max(1))
    }

    /// Entries that the host has not consumed.
    pub fn unconsumed(&self) -> u32 {
        (self.tail + self.entries - self.head) % self.entries
    }

    /// Whether there is no room: one slot stays free.
    pub fn is_full(&self) -> bool {
        self.unconsumed() == self.entries - 1
    }

    /// The address of the next entry.
    pub fn place(&self) -> u64 {
        self.base.wrapping_add(u64::from(self.tail) * CQE_BYTES)
    }

    /// The address and the phase of the next entry, whether or not there is room; it then counts
    /// as written.
    pub fn advance(&mut self) -> (u64, bool) {
        let place = (self.place(), self.phase);
        self.tail = (self.tail + 1) % self.entries;
        if self.tail == 0 {
            self.phase = !self.phase;
        }
        place
    }
}
