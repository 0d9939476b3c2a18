// SPDX-License-Identifier: MIT

//! Data pointers: what `data` finds wrong in them, and what lies where they lead.

use super::queues::{overlap, regions};
use super::{rules, story, Judge};
use crate::controller::{Controller, Taken};
use crate::data::{Piece, Place, PointerFault};

impl Judge {
    /// A command's data pointer breaks the rules.
    fn pointer(&mut self, this: &Controller, taken: &Taken, fault: &PointerFault) {
        let rule = match fault {
            PointerFault::Offset(Place::Prp1, _) => rules::PRP1_OFFSET,
            PointerFault::Offset(Place::Prp2, _) => rules::PRP2_OFFSET,
            PointerFault::Offset(Place::List, _) => rules::PRP_LIST_OFFSET,
            PointerFault::Offset(Place::Entry, _) => rules::PRP_ENTRY_OFFSET,
            PointerFault::Offset(Place::Chain, _) => rules::PRP_CHAIN_OFFSET,
            PointerFault::Offset(Place::Metadata, _) => rules::MPTR_OFFSET,
            PointerFault::Memory(_) => rules::DATA_UNMAPPED,
            PointerFault::Descriptor(_) | PointerFault::Misplaced(_) => rules::SGL_DESCRIPTOR,
            PointerFault::Length(..) | PointerFault::Endless(_) => rules::SGL_LENGTH,
            PointerFault::Segment(..) => rules::SGL_SEGMENT,
            // Found when the command was taken.
            PointerFault::Psdt(_) => return,
        };
        self.complain(rule, &fault.to_string(), story::of(this, taken));
    }

    /// Data is about to be moved.
    fn data(&mut self, this: &Controller, taken: &Taken, pieces: &[Piece]) {
        let queues = regions(this);
        for piece in pieces {
            let place = piece.address..piece.address.saturating_add(piece.length as u64);
            if let Some((name, queue)) = queues.iter().find(|(_, queue)| overlap(&place, queue)) {
                let seen = format!(
                    "data at {:#x}..{:#x} and {name} at {:#x}..{:#x}",
                    place.start, place.end, queue.start, queue.end
                );
                self.complain(rules::DATA_IN_QUEUE, &seen, story::of(this, taken));
                return;
            }
        }
    }
}

impl Controller {
    /// A command's data pointer breaks the rules.
    pub(crate) fn judge_pointer(&mut self, taken: &Taken, fault: &PointerFault) {
        self.judged(|judge, this| judge.pointer(this, taken, fault));
    }

    /// A command's data is about to be moved.
    pub(crate) fn judge_data(&mut self, taken: &Taken, pieces: &[Piece]) {
        self.judged(|judge, this| judge.data(this, taken, pieces));
    }
}
