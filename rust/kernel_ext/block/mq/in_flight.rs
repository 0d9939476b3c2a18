// SPDX-License-Identifier: GPL-2.0

//! The table of requests that the device works on.
//!
//! It decides alone what a completion may end: the tag set's own table is never consulted for what
//! a device says. A slot is one machine word: the request's address, and in its low bits, which
//! alignment leaves free, the generation of the slot's last use. So no access needs a lock or a
//! locked instruction: whoever owns a request with a tag is the only one to fill that tag's slot,
//! and the one [`Claimer`] of the table is the only one to empty it.
//!
//! A generation has four bits: a completion that is sixteen uses of its tag late is taken for the
//! present one. What that costs is an early end of a request with wrong data, never memory safety.

mod slot;

use self::slot::Slot;
use super::{Operations, Request};
use core::{
    marker::PhantomData,
    sync::atomic::{AtomicUsize, Ordering},
};
use kernel::{prelude::*, sync::Arc};

/// # Invariants
///
/// An address in a slot is that of a request of `T` that has been given to the slot and not been
/// taken.
struct Slots<T: Operations> {
    slots: KVec<Slot>,
    _requests: PhantomData<Request<T>>,
}

// SAFETY: The table holds requests, which may be ended from any thread.
unsafe impl<T: Operations> Send for Slots<T> {}
// SAFETY: Slots are only used by atomic accesses.
unsafe impl<T: Operations> Sync for Slots<T> {}

impl<T: Operations> Slots<T> {
    /// The request whose address was taken out of a slot.
    ///
    /// # Safety
    ///
    /// The address comes from a slot of this table, by a caller who was the only one to empty
    /// slots of it, and makes one request of it.
    #[inline]
    unsafe fn request(address: usize) -> Request<T> {
        // SAFETY: By the type's invariant this is a request that was given to the slot; it has
        // been taken just now, and nobody else takes.
        unsafe { Request::from_raw(address as *mut crate::bindings::request) }
    }
}

impl<T: Operations> Drop for Slots<T> {
    fn drop(&mut self) {
        for slot in &self.slots {
            if let Some(address) = slot.claim_any() {
                // SAFETY: Nobody else has the table any more.
                drop(unsafe { Self::request(address) });
            }
        }
    }
}

/// What names a request to the device: its tag, and which use of the tag it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The request's tag.
    pub tag: u16,
    /// Four bits that differ from one use of the tag to the next.
    pub generation: u8,
}

/// The submitters' side of the table. Requests still in it end with an error when both sides are
/// gone.
pub struct InFlight<T: Operations>(Arc<Slots<T>>);

/// The completion's side of the table: there is one, and claiming takes it exclusively.
pub struct Claimer<T: Operations>(Arc<Slots<T>>);

impl<T: Operations> InFlight<T> {
    /// A table for tags below `depth`. May sleep; `ENOMEM`.
    pub fn new(depth: u16) -> Result<(Self, Claimer<T>)> {
        let mut slots = KVec::with_capacity(depth.into(), GFP_KERNEL)?;
        for _ in 0..depth {
            slots.push(Slot::new(), GFP_KERNEL)?;
        }
        let slots = Arc::new(
            Slots {
                slots,
                _requests: PhantomData,
            },
            GFP_KERNEL,
        )?;
        Ok((InFlight(slots.clone()), Claimer(slots)))
    }

    /// How many tags the table has room for.
    pub fn depth(&self) -> u16 {
        // Made from a `u16` in `new`.
        self.0.slots.len() as u16
    }

    /// Puts `rq` into the slot of its tag, and says under which ticket it can be claimed.
    ///
    /// From then on the request may be claimed and end at any time, so the device's command must
    /// be ready but for its ticket. The request comes back if its slot is taken or not there: it
    /// belongs to another queue. Does not sleep.
    #[inline]
    pub fn put(&self, rq: Request<T>) -> Result<Ticket, Request<T>> {
        let tag = rq.tag();
        let Some(slot) = self.0.slots.get(usize::from(tag)) else {
            return Err(rq);
        };
        let Some(vacancy) = slot.vacancy(rq.as_raw() as usize) else {
            return Err(rq);
        };
        rq.into_raw();
        // INVARIANT: The request was given up to the slot just now.
        let generation = vacancy.fill();
        Ok(Ticket { tag, generation })
    }
}

impl<T: Operations> Claimer<T> {
    /// Takes the request with this ticket, if it is in the table. Does not sleep.
    #[inline]
    pub fn claim(&mut self, ticket: Ticket) -> Option<Request<T>> {
        let slot = self.0.slots.get(usize::from(ticket.tag))?;
        let address = slot.claim(ticket.generation)?;
        // SAFETY: There is one claimer to a table, and it is borrowed exclusively.
        Some(unsafe { Slots::request(address) })
    }

    /// Takes any request at or above `tag`, and says where to go on. To empty the table.
    pub fn claim_any_from(&mut self, tag: u16) -> Option<(Request<T>, u16)> {
        let mut next = tag;
        while let Some(slot) = self.0.slots.get(usize::from(next)) {
            next = next.wrapping_add(1);
            if let Some(address) = slot.claim_any() {
                // SAFETY: There is one claimer to a table, and it is borrowed exclusively.
                return Some((unsafe { Slots::request(address) }, next));
            }
        }
        None
    }
}
