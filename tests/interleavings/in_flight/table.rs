// SPDX-License-Identifier: GPL-2.0

//! The table of requests in flight, with the module's own slots, and what stands around it: tags
//! that are handed back, a lock with `usable` under it, requests that note how they ended.
//!
//! It relies on loom to report an access to a request's data that no order protects.

use std::sync::Mutex as Notes;

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicBool;
use loom::sync::{Arc, Mutex};

use crate::mistakes::{planted, AtomicUsize, Mistake, Ordering};

#[path = "../../../rust/kernel_ext/block/mq/in_flight/slot.rs"]
mod slot;

use self::slot::Slot;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By a completion that named this generation.
    Completed(u8),
    Cancelled,
    /// It was not sent: the queue is stopped.
    Rejected,
}

struct Request {
    tag: usize,
    /// Only its accesses count: each needs the request for itself.
    data: UnsafeCell<()>,
    /// What the test looks at afterwards; not a part of the model.
    ends: Notes<Vec<End>>,
    generation: Notes<Option<u8>>,
}

pub(crate) struct Table {
    slots: Vec<Slot>,
    free_tags: Vec<AtomicBool>,
    usable: Mutex<bool>,
    requests: Vec<Request>,
}

/// The completion's side; a model makes one, as `InFlight::new` does.
pub(crate) struct Claimer(Arc<Table>);

impl Table {
    /// A table for `depth` tags, and requests that will have these tags.
    pub(crate) fn new(depth: usize, tags: &[usize]) -> (Arc<Self>, Claimer) {
        let request = |&tag| Request {
            tag,
            data: UnsafeCell::new(()),
            ends: Notes::new(Vec::new()),
            generation: Notes::new(None),
        };
        let table = Arc::new(Self {
            slots: (0..depth).map(|_| Slot::new()).collect(),
            free_tags: (0..depth).map(|_| AtomicBool::new(true)).collect(),
            usable: Mutex::new(true),
            requests: tags.iter().map(request).collect(),
        });
        (table.clone(), Claimer(table))
    }

    /// A slot holds addresses, whose low bits are clear.
    fn address(index: usize) -> usize {
        (index + 1) << 4
    }

    /// Sends request `index`, if its tag is free, and says whether it was.
    pub(crate) fn submit(&self, index: usize) -> bool {
        let request = &self.requests[index];
        if !self.free_tags[request.tag].swap(false, Ordering::Acquire) {
            return false;
        }
        request.data.with_mut(|_| ());
        let usable = self.usable.lock().expect("no thread panicked");
        if !*usable {
            drop(usable);
            self.end(index, End::Rejected);
            return true;
        }
        let vacancy = self.slots[request.tag].vacancy(Self::address(index));
        let vacancy = vacancy.expect("the slot of a tag that was handed back is not empty");
        let generation = vacancy.fill();
        *request.generation.lock().expect("no thread panicked") = Some(generation);
        true
    }

    /// After this no request is put into the table.
    pub(crate) fn stop(&self) {
        if !planted(Mistake::CancelledWithoutStop) {
            *self.usable.lock().expect("no thread panicked") = false;
        }
    }

    fn end(&self, index: usize, how: End) {
        let request = &self.requests[index];
        request.data.with_mut(|_| ());
        request.ends.lock().expect("no thread panicked").push(how);
        let order = if planted(Mistake::RelaxedTag) {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        self.free_tags[request.tag].store(true, order);
    }

    /// Checks that each request that was sent ended once, and by no ticket but its own.
    pub(crate) fn check(&self, sent: &[usize]) {
        for &index in sent {
            let request = &self.requests[index];
            let ends = request.ends.lock().expect("no thread panicked");
            assert_eq!(ends.len(), 1, "request {index} must end once: {ends:?}");
            let own = *request.generation.lock().expect("no thread panicked");
            if let End::Completed(named) = ends[0] {
                assert_eq!(
                    Some(named),
                    own,
                    "request {index} must end by its own ticket"
                );
            }
        }
    }
}

impl Claimer {
    /// A completion comes in: whatever it names, and whenever.
    pub(crate) fn complete(&mut self, tag: usize, generation: u8) -> bool {
        let Some(slot) = self.0.slots.get(tag) else {
            return false;
        };
        let address = if planted(Mistake::GenerationIgnored) {
            slot.claim_any()
        } else {
            slot.claim(generation)
        };
        let Some(address) = address else {
            return false;
        };
        self.0.end((address >> 4) - 1, End::Completed(generation));
        true
    }

    /// Ends what is in the table.
    pub(crate) fn cancel_all(&mut self) {
        for slot in &self.0.slots {
            if let Some(address) = slot.claim_any() {
                self.0.end((address >> 4) - 1, End::Cancelled);
            }
        }
    }

    /// What must not be: a second one.
    pub(crate) fn second(&self) -> Self {
        Self(self.0.clone())
    }
}
