// SPDX-License-Identifier: MIT

//! Interrupts: what was posted is told of at once, or later with more (Interrupt Coalescing, Base
//! 5.1.25.2.2; Interrupt Vector Configuration, Base 5.1.25.2.3).
//!
//! Entries are counted by the vector. Relies on [`Later`](crate::later::Later) for the time, on
//! `features` for what the host has set.

use std::collections::BTreeMap;
use std::time::Duration;

use nvme_proto::feature::FeatureId;

use crate::admin::features::VECTOR_CONFIGURATION;
use crate::controller::Controller;
use crate::fault::{Hook, Occasion};

/// The unit of the aggregation time.
const UNIT: Duration = Duration::from_micros(100);

/// Interrupt Vector Configuration: Coalescing Disable.
const DISABLED: u32 = 1 << 16;

/// Entries that an interrupt has still to tell of.
struct Untold {
    /// The queue of the first of them.
    cqid: u16,
    entries: u32,
}

/// Interrupts that wait for more entries, by their vectors.
#[derive(Default)]
pub struct Coalescing {
    untold: BTreeMap<u16, Untold>,
}

/// What the host wants to be told of at once.
struct Aggregation {
    /// So many entries.
    threshold: u32,
    /// What has waited for so long.
    time: Duration,
}

impl Controller {
    /// Interrupts for what was posted since the last time, after all that can be done is.
    pub fn tell(&mut self) {
        self.resume();
        if self.lies.gone {
            return;
        }
        let news: Vec<(u16, Option<u16>, u32)> = self
            .completion
            .values_mut()
            .filter_map(|queue| {
                let entries = queue.take_untold()?;
                Some((queue.id, queue.vector, entries))
            })
            .collect();
        for (cqid, vector, entries) in news {
            let Some(vector) = vector else { continue };
            match self.aggregation(cqid, vector) {
                Some(wanted) => self.coalesce(cqid, vector, entries, &wanted),
                None => self.interrupt(cqid, vector),
            }
        }
    }

    /// How interrupts of a queue are to be coalesced. `None`: not at all, as those of the admin queue.
    fn aggregation(&self, cqid: u16, vector: u16) -> Option<Aggregation> {
        let value = self.feature(FeatureId::InterruptCoalescing as u8, 0);
        let (threshold, time) = (value & 0xff, (value >> 8) & 0xff);
        let disabled = self.feature(VECTOR_CONFIGURATION, vector.into()) & DISABLED != 0;
        // Either of them being 0 turns it off.
        (cqid != 0 && threshold != 0 && time != 0 && !disabled).then(|| Aggregation {
            threshold: threshold + 1,
            time: UNIT * time,
        })
    }

    fn coalesce(&mut self, cqid: u16, vector: u16, entries: u32, wanted: &Aggregation) {
        let fresh = !self.coalescing.untold.contains_key(&vector);
        let untold = self
            .coalescing
            .untold
            .entry(vector)
            .or_insert(Untold { cqid, entries: 0 });
        untold.entries = untold.entries.saturating_add(entries);
        if untold.entries >= wanted.threshold {
            self.interrupt(cqid, vector);
        } else if fresh {
            self.later(wanted.time, move |this| this.tell_coalesced(vector));
        }
    }

    /// The time of what waits for more entries is over. It may be that of an earlier interrupt, which
    /// came by its number of entries: then this one comes early.
    fn tell_coalesced(&mut self, vector: u16) {
        if let Some(untold) = self.coalescing.untold.remove(&vector) {
            self.interrupt(untold.cqid, vector);
        }
    }

    /// Sends an interrupt for a queue; it tells of all that its vector has waiting.
    fn interrupt(&mut self, cqid: u16, vector: u16) {
        self.coalescing.untold.remove(&vector);
        if self.lies.gone {
            return;
        }
        let occasion = Occasion {
            queue: Some(cqid),
            ..Occasion::default()
        };
        match self.fault(Hook::Interrupt, &occasion) {
            Some(fired) => self.interrupt_fault(fired, vector),
            None => self.wires.raise(vector),
        }
    }
}
