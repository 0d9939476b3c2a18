// SPDX-License-Identifier: GPL-2.0

//! How a queue's doorbell is rung: in the BAR, or in memory while the controller looks there.
//!
//! NVM Express Base Specification 2.1, sections 3.1.4.24 (doorbells), 5.2.5 and Annex B.5 (shadow
//! doorbells). In a virtual machine each store to the BAR is an exit, which a store to memory is
//! not. The order of both sides is what makes it safe to leave the BAR out:
//!
//! ```text
//!   host                                controller
//!   1. entries of the queue             a. EventIdx: "tell me when you pass this"
//!   2. shadow doorbell                  (full barrier)
//!   (full barrier)                      b. shadow doorbell, once more
//!   3. EventIdx: must it be told?
//! ```
//!
//! If 3 comes before a, so does 2 before b, and the controller sees the new value by itself; else
//! the host sees the event index and rings. Both can miss each other only if one of them lacks its
//! barrier. What EventIdx holds decides nothing but whether to ring.

use core::mem::size_of;
use kernel::{
    device::{Bound, Device},
    prelude::*,
    sync::Arc,
};
use kernel_ext::{
    dma::{self, Coherent},
    io::Doorbell,
};
use nvme_proto::{
    shadow::{buffer_bytes, entry_offset, must_ring},
    PAGE,
};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// The shadow doorbells and event indices of a controller, a page each.
pub(crate) struct ShadowBuffers {
    shadow: Coherent,
    event: Coherent,
    stride: usize,
}

impl ShadowBuffers {
    /// Buffers for queues 0 to `last_qid` whose doorbells are `stride` bytes apart; none if they
    /// do not fit the page that a controller takes. May sleep; `ENOMEM`.
    pub(crate) fn new(
        dev: &Device<Bound>,
        last_qid: u16,
        stride: usize,
    ) -> Result<Option<Arc<Self>>> {
        if buffer_bytes(last_qid, stride) != Some(PAGE as usize) {
            return Ok(None);
        }
        let words = PAGE as usize / 8;
        let buffers = ShadowBuffers {
            shadow: Coherent::new(dev, words)?,
            event: Coherent::new(dev, words)?,
            stride,
        };
        Ok(Some(Arc::new(buffers, GFP_KERNEL)?))
    }

    /// The bus addresses of the shadow doorbells and of the event indices.
    pub(crate) fn dma_addresses(&self) -> (u64, u64) {
        (self.shadow.dma_address(), self.event.dma_address())
    }
}

/// A queue's entries in the buffers.
struct Shadow {
    buffers: Arc<ShadowBuffers>,
    /// In units of 32 bits.
    index: usize,
}

impl Shadow {
    /// Stores `new` where the controller looks; what it then wants to be told after.
    ///
    /// An entry outside the buffers is never told, and always asks to ring.
    #[inline]
    fn publish(&self, new: u16) -> u32 {
        dma::write_barrier();
        let _ = self.buffers.shadow.write32(self.index, new.into());
        dma::full_barrier();
        self.buffers.event.read32(self.index).unwrap_or(u32::MAX)
    }
}

/// The doorbell of one queue, submission tail or completion head.
pub(crate) struct Bell {
    register: Doorbell,
    shadow: Option<Shadow>,
    told: u16,
}

impl Bell {
    /// The doorbell `register` of a new queue.
    pub(crate) fn new(register: Doorbell) -> Self {
        Bell {
            register,
            shadow: None,
            told: 0,
        }
    }

    /// Rings in `buffers` as well, at the entry of queue `qid`, which the controller must not know
    /// yet.
    pub(crate) fn with_shadow(
        mut self,
        buffers: Option<&Arc<ShadowBuffers>>,
        qid: u16,
        completion: bool,
    ) -> Self {
        if let Some(buffers) = buffers {
            let index = entry_offset(qid, buffers.stride, completion) / size_of::<u32>();
            // An earlier queue of this id may have left something.
            let _ = buffers.shadow.write32(index, 0);
            let _ = buffers.event.write32(index, 0);
            self.shadow = Some(Shadow {
                buffers: buffers.clone(),
                index,
            });
        }
        self
    }

    /// Tells the controller of `new`.
    #[inline]
    pub(crate) fn ring(&mut self, new: u16) {
        let old = core::mem::replace(&mut self.told, new);
        if let Some(shadow) = &self.shadow {
            if !must_ring(shadow.publish(new), old, new) {
                return;
            }
        }
        self.register.ring(new.into());
    }
}
