// SPDX-License-Identifier: MIT

//! Faults of data on its way.

use super::{Fault, Fired};
use crate::controller::Controller;
use crate::data::Piece;

impl Controller {
    /// Before data is moved: where it goes and what it is can be changed.
    pub(crate) fn data_fault(&mut self, fired: Fired, pieces: &mut [Piece], _blocks: &mut [u8]) {
        if fired.kind.fault == Fault::DataMisplaced {
            for piece in pieces.iter_mut().take(1) {
                if let Some(other) = self.memory.another_page(piece.address, 4096) {
                    piece.address = other;
                    piece.length = piece.length.min(4096);
                }
            }
        }
    }
}
