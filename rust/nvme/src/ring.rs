// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Ring arithmetic of the queues (Base 3.3.1.2): which slot is next, which phase is new, what the
//! doorbell has to be told.
//!
//! Relies on the caller to serialise: one owner of a queue's tail, one of a queue's head.

/// The tail of a submission queue: where the next command goes.
#[derive(Debug)]
pub struct SubmissionTail {
    tail: u16,
    rung: u16,
    entries: u16,
}

impl SubmissionTail {
    /// An empty queue of `entries` slots. With fewer than 2 it never has room.
    #[inline]
    pub const fn new(entries: u16) -> Self {
        Self {
            tail: 0,
            rung: 0,
            entries,
        }
    }

    /// The slot for the next command; below the number of entries.
    #[inline]
    pub const fn current(&self) -> u16 {
        self.tail
    }

    /// Counts the slot as filled. Only while there is [room](Self::room).
    #[inline]
    pub fn advance(&mut self) {
        self.tail = after(self.tail, self.entries);
    }

    /// Whether commands were written that the doorbell has not been told of.
    #[inline]
    pub const fn is_pending(&self) -> bool {
        self.tail != self.rung
    }

    /// What the doorbell has to be told, if anything is new; it then counts as told.
    #[inline]
    #[must_use]
    pub fn ring(&mut self) -> Option<u16> {
        if !self.is_pending() {
            return None;
        }
        self.rung = self.tail;
        Some(self.tail)
    }

    /// How many commands may be written while the device has read up to `head`, or `None` for a
    /// head that is no slot. One slot stays free, to tell a full ring from an empty one.
    #[inline]
    pub const fn room(&self, head: u16) -> Option<u16> {
        if head >= self.entries {
            return None;
        }
        let used = if self.tail >= head {
            self.tail.wrapping_sub(head)
        } else {
            self.entries.wrapping_sub(head).wrapping_add(self.tail)
        };
        Some(self.entries.wrapping_sub(1).saturating_sub(used))
    }
}

/// The head of a completion queue: where the next completion comes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CompletionHead {
    head: u16,
    consumed: u16,
    entries: u16,
    phase: bool,
}

impl CompletionHead {
    /// An empty, zeroed queue of `entries` slots: the first completions carry phase 1.
    #[inline]
    pub const fn new(entries: u16) -> Self {
        Self {
            head: 0,
            consumed: 0,
            entries,
            phase: true,
        }
    }

    /// The slot to look at; below the number of entries.
    #[inline]
    pub const fn index(&self) -> u16 {
        self.head
    }

    /// The phase tag that a new entry in that slot carries.
    #[inline]
    pub const fn phase(&self) -> bool {
        self.phase
    }

    /// Counts the slot as consumed.
    #[inline]
    pub fn advance(&mut self) {
        self.head = after(self.head, self.entries);
        if self.head == 0 {
            self.phase = !self.phase;
        }
        self.consumed = self.consumed.saturating_add(1);
    }

    /// How many entries were consumed that the doorbell has not been told of.
    ///
    /// A count of its own, since a device that overruns its queue can bring the head full circle.
    #[inline]
    pub const fn consumed(&self) -> u16 {
        self.consumed
    }

    /// What the doorbell has to be told, if anything was consumed; it then counts as told.
    #[inline]
    #[must_use]
    pub fn ring(&mut self) -> Option<u16> {
        if self.consumed == 0 {
            return None;
        }
        self.consumed = 0;
        Some(self.head)
    }
}

/// The slot after `slot`, by comparison: a division would cost more than all the rest.
#[inline]
const fn after(slot: u16, entries: u16) -> u16 {
    let next = slot.wrapping_add(1);
    if next >= entries {
        0
    } else {
        next
    }
}
