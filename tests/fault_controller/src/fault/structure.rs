// SPDX-License-Identifier: MIT

//! Faults of what is handed out: identify data, lists, log pages.

use super::{Fault, Fired};
use crate::controller::{Controller, Taken};

impl Controller {
    /// Before a structure is handed out: its bytes can be changed.
    pub(crate) fn structure_fault(&mut self, fired: Fired, taken: &Taken, bytes: &mut [u8]) {
        if fired.kind.fault == Fault::ListEndless {
            let first = taken.command.nsid.get().saturating_add(1);
            for (place, nsid) in bytes.chunks_exact_mut(4).zip(first..) {
                place.copy_from_slice(&nsid.to_le_bytes());
            }
        }
    }
}
