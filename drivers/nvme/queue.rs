// SPDX-License-Identifier: GPL-2.0

//! A submission queue and a completion queue as they lie in memory: the host's, or, a submission
//! queue, the controller's own.
//!
//! NVM Express Base Specification 2.1, sections 3.3.3 (queues), 4.1 (submission queue entry) and
//! 4.2 (completion queue entry). Who may use one when is for the owner to say: both take `&mut`.

use crate::{cmb::Place, doorbell::Bell};
use kernel::{
    device::{Bound, Device},
    prelude::*,
};
use kernel_ext::dma::{self, Coherent};
use nvme_proto::{
    command::Command,
    completion::{phase_of_word1, Completion},
    ring::{CompletionHead, SubmissionTail},
};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// 64-bit words of a submission queue entry (64 bytes).
const SQE_WORDS: usize = 8;
/// 64-bit words of a completion queue entry (16 bytes).
const CQE_WORDS: usize = 2;

/// Where a submission queue's entries lie.
enum Ring {
    Host(Coherent),
    Controller(Place),
}

/// A submission queue's ring and its tail.
pub(crate) struct SubmissionQueue {
    ring: Ring,
    tail: SubmissionTail,
    doorbell: Bell,
}

impl SubmissionQueue {
    /// A ring of `entries` entries (2 to 4096) at `place` in the controller's memory, else in memory
    /// that is allocated for it. May sleep.
    pub(crate) fn new(
        dev: &Device<Bound>,
        entries: u16,
        doorbell: Bell,
        place: Option<Place>,
    ) -> Result<Self> {
        let words = usize::from(entries).checked_mul(SQE_WORDS).ok_or(EINVAL)?;
        let ring = match place {
            Some(place) => Ring::Controller(place),
            None => Ring::Host(Coherent::new(dev, words)?),
        };
        Ok(SubmissionQueue {
            ring,
            tail: SubmissionTail::new(entries),
            doorbell,
        })
    }

    /// The ring's bus address.
    pub(crate) fn dma_address(&self) -> u64 {
        match &self.ring {
            Ring::Host(ring) => ring.dma_address(),
            Ring::Controller(place) => place.bus_address(),
        }
    }

    /// Writes `command` into the next slot; the controller learns of it by [`Self::ring`].
    ///
    /// The caller sees to it that fewer commands are outstanding than there are slots.
    #[inline]
    pub(crate) fn push(&mut self, command: &Command) {
        let slot = usize::from(self.tail.current()).wrapping_mul(SQE_WORDS);
        // The tail is always inside the ring, so neither can fail.
        let _ = match &self.ring {
            Ring::Host(ring) => ring.write(slot, &command.to_words()),
            Ring::Controller(place) => place.write(slot, &command.to_words()),
        };
        self.tail.advance();
    }

    /// Tells the controller of all commands pushed since the last time, if there are any.
    #[inline]
    pub(crate) fn ring(&mut self) {
        if let Some(tail) = self.tail.ring() {
            // A doorbell orders stores to memory; these went another way.
            if let Ring::Controller(place) = &self.ring {
                place.window.flush();
            }
            self.doorbell.ring(tail);
        }
    }
}

/// A completion queue's ring and its head.
pub(crate) struct CompletionQueue {
    ring: Coherent,
    head: CompletionHead,
    doorbell: Bell,
    entries: u16,
}

impl CompletionQueue {
    /// Allocates a ring of `entries` entries (2 to 4096). May sleep.
    pub(crate) fn new(dev: &Device<Bound>, entries: u16, doorbell: Bell) -> Result<Self> {
        let words = usize::from(entries).checked_mul(CQE_WORDS).ok_or(EINVAL)?;
        Ok(CompletionQueue {
            ring: Coherent::new(dev, words)?,
            head: CompletionHead::new(entries),
            doorbell,
            entries,
        })
    }

    /// The ring's bus address.
    pub(crate) fn dma_address(&self) -> u64 {
        self.ring.dma_address()
    }

    /// A private copy of the next completion, if the controller has posted one.
    #[inline]
    fn pop(&mut self) -> Option<Completion> {
        let slot = usize::from(self.head.index()).wrapping_mul(CQE_WORDS);
        let last = self.ring.read(slot.wrapping_add(1))?;
        if phase_of_word1(last) != self.head.phase() {
            return None;
        }
        // The phase tag says that the entry is there; the rest must not be read before it. The
        // last word is not read again: what decides is the copy whose phase was checked.
        dma::read_barrier();
        let first = self.ring.read(slot)?;
        self.head.advance();
        Some(Completion::from_words([first, last]))
    }

    /// Hands each completion posted to `each`, then tells the controller once how far it has been
    /// read. Returns how many there were.
    ///
    /// One slot of a ring stays empty, so an honest controller has posted fewer than there are
    /// entries. One that posts without end meets that bound; the next interrupt goes on.
    #[inline]
    pub(crate) fn drain(&mut self, mut each: impl FnMut(Completion)) -> u16 {
        let mut seen = 0;
        while seen < self.entries.wrapping_sub(1) {
            let Some(completion) = self.pop() else { break };
            seen = seen.wrapping_add(1);
            each(completion);
        }
        if let Some(head) = self.head.ring() {
            self.doorbell.ring(head);
        }
        seen
    }
}
