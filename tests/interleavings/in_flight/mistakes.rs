// SPDX-License-Identifier: GPL-2.0

//! The atomics that the slots run on here: loom's, with a mistake planted on request.
//!
//! A mistake in how a slot uses its atomics is made here, below the code under test, so that the
//! code itself is the module's, unchanged. It relies on loom running all threads of a model on
//! the system's thread that started it.

use std::cell::Cell;

pub(crate) use loom::sync::atomic::Ordering;

/// What may be done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Filling a slot publishes nothing.
    RelaxedFill,
    /// Claiming sees nothing that was published.
    RelaxedClaim,
    /// A claimed request stays in its slot.
    NotEmptied,
    /// Each use of a slot has the same generation.
    GenerationNotCounted,
    /// A completion is taken for whatever its slot holds.
    GenerationIgnored,
    /// Requests are cancelled while submitters still send.
    CancelledWithoutStop,
    /// Requests are cancelled while the interrupt may still come.
    CancelledBesideInterrupt,
    /// The tag is handed back without order.
    RelaxedTag,
}

thread_local! {
    static MISTAKE: Cell<Option<Mistake>> = const { Cell::new(None) };
}

/// From now on, models of this thread make this mistake.
pub(crate) fn plant(mistake: Option<Mistake>) {
    MISTAKE.set(mistake);
}

/// Whether models make this mistake.
pub(crate) fn planted(mistake: Mistake) -> bool {
    MISTAKE.get() == Some(mistake)
}

const GENERATION: usize = 0xf;

/// What a slot takes for `core`'s.
pub(crate) struct AtomicUsize {
    word: loom::sync::atomic::AtomicUsize,
    turns: loom::sync::atomic::AtomicUsize,
}

impl AtomicUsize {
    pub(crate) fn new(word: usize) -> Self {
        Self {
            word: loom::sync::atomic::AtomicUsize::new(word),
            turns: loom::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// Makes loom try this access before and after the last one by another thread.
    ///
    /// Of an atomic's accesses loom 0.7 remembers the last one only: the load of one who then
    /// fills a slot would hide the load of a claimer before it, and the orders in which the claimer
    /// comes later would not be tried. Relaxed, so that it orders nothing in the model.
    fn take_turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn load(&self, order: Ordering) -> usize {
        self.take_turn();
        let claims = order == Ordering::Acquire;
        if claims && planted(Mistake::RelaxedClaim) {
            return self.word.load(Ordering::Relaxed);
        }
        let word = self.word.load(order);
        if !claims && planted(Mistake::GenerationNotCounted) {
            return word & !GENERATION;
        }
        word
    }

    pub(crate) fn store(&self, word: usize, order: Ordering) {
        self.take_turn();
        let empties = word & !GENERATION == 0;
        if empties && planted(Mistake::NotEmptied) {
            return;
        }
        if !empties && planted(Mistake::RelaxedFill) {
            return self.word.store(word, Ordering::Relaxed);
        }
        self.word.store(word, order);
    }
}
