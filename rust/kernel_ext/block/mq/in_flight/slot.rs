// SPDX-License-Identifier: GPL-2.0

//! One place of the table of requests in flight: the address of a request, and which use of the
//! place it is, in one word.
//!
//! It relies on its users for two things: whoever fills a slot is alone to do so at that time, and
//! whoever empties one is alone to do so. Both then need no lock and no locked instruction. The
//! atomics are the parent module's, so that a model checker can put its own in their place and run
//! this very code; `tests/interleavings` does.

use super::{AtomicUsize, Ordering};

/// The bits of a word that hold the generation; an address has them clear.
const GENERATION_MASK: usize = 0xf;

/// A place for one request.
pub(super) struct Slot(AtomicUsize);

/// A slot that is empty, and will stay so until its owner fills it.
pub(super) struct Vacancy<'a> {
    slot: &'a Slot,
    word: usize,
}

impl Slot {
    /// An empty slot that has not been used.
    pub(super) fn new() -> Self {
        Slot(AtomicUsize::new(0))
    }

    /// The place for the request at `address`, unless the slot is taken or the address is null or
    /// has bits where the generation goes.
    #[inline]
    pub(super) fn vacancy(&self, address: usize) -> Option<Vacancy<'_>> {
        // The one who empties the slot lets go of the tag after that, and whoever has the tag now
        // got it from there: that orders this load.
        let old = self.0.load(Ordering::Relaxed);
        let taken = old & !GENERATION_MASK != 0;
        if taken || address == 0 || address & GENERATION_MASK != 0 {
            return None;
        }
        let generation = old.wrapping_add(1) & GENERATION_MASK;
        Some(Vacancy {
            slot: self,
            word: address | generation,
        })
    }

    /// Empties the slot of the request that was put there as use `generation`.
    #[inline]
    pub(super) fn claim(&self, generation: u8) -> Option<usize> {
        let word = self.0.load(Ordering::Acquire);
        if word & GENERATION_MASK != usize::from(generation) {
            return None;
        }
        self.empty(word)
    }

    /// Empties the slot of whatever request is there.
    #[inline]
    pub(super) fn claim_any(&self) -> Option<usize> {
        self.empty(self.0.load(Ordering::Acquire))
    }

    #[inline]
    fn empty(&self, word: usize) -> Option<usize> {
        let address = word & !GENERATION_MASK;
        if address == 0 {
            return None;
        }
        self.0.store(word & GENERATION_MASK, Ordering::Release);
        Some(address)
    }
}

impl Vacancy<'_> {
    /// Puts the request there, to be claimed by anyone who knows the generation returned.
    #[inline]
    pub(super) fn fill(self) -> u8 {
        // What was written to the request before must be seen by whoever claims it.
        self.slot.0.store(self.word, Ordering::Release);
        (self.word & GENERATION_MASK) as u8
    }
}
