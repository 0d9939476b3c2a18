// SPDX-License-Identifier: MIT

//! Faults of interrupts.

use std::time::Duration;

use super::{Fault, Fired};
use crate::controller::Controller;
use crate::later::Ends;

/// How long a storm's breath is.
const BREATH: Duration = Duration::from_millis(1);

impl Controller {
    /// Instead of an interrupt.
    pub(crate) fn interrupt_fault(&mut self, fired: Fired, vector: u16) {
        match fired.kind.fault {
            Fault::InterruptMissing => {}
            Fault::InterruptLate => {
                self.later_ends(fired.wait(), Ends::Done, move |this| {
                    this.wires.raise(vector);
                });
            }
            Fault::InterruptTwice => {
                self.wires.raise(vector);
                self.wires.raise(vector);
            }
            Fault::WrongVector => self.wires.raise((fired.argument & 0xffff) as u16),
            _ => self.wires.raise(vector),
        }
    }

    /// Interrupts of all queues; the first vector's if there is no queue.
    pub(super) fn raise_all(&mut self, times: u64) {
        let mut vectors: Vec<u16> = self
            .completion
            .values()
            .filter_map(|queue| queue.vector)
            .collect();
        if vectors.is_empty() {
            vectors.push(0);
        }
        for _ in 0..times {
            for &vector in &vectors {
                self.wires.raise(vector);
            }
        }
    }

    /// Interrupts of all queues again and again until `end`.
    pub(super) fn storm(&mut self, end: Duration) {
        self.raise_all(1);
        if self.now() < end {
            self.later_ends(BREATH, Ends::Dropped, move |this| this.storm(end));
        }
    }
}
