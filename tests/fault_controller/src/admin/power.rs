// SPDX-License-Identifier: MIT

//! Power states (Base 8.1.17): what Identify tells of them.
//!
//! States 0 to 2 do work, 3 and 4 do not: a command brings the controller back to the last that did.

use crate::admin::logs::put;

/// Power states (NPSS + 1).
pub const STATES: usize = 5;

/// Maximum power in hundredths of a watt, entry and exit latency in microseconds, whether it works.
const TABLE: [(u16, u32, u32, bool); STATES] = [
    (800, 0, 0, true),
    (400, 200, 200, true),
    (200, 500, 500, true),
    (5, 2000, 3000, false),
    (1, 10_000, 40_000, false),
];

/// Power State Descriptor: Non-Operational State.
const NON_OPERATIONAL: u8 = 1 << 1;

/// The Power State Descriptors of all states.
pub(super) fn descriptors() -> [[u8; 32]; 32] {
    let mut all = [[0; 32]; 32];
    let places = all.iter_mut().zip(TABLE).zip(0u8..);
    for ((place, (power, entry, exit, works)), rank) in places {
        put(place, 0, &power.to_le_bytes());
        put(place, 3, &[if works { 0 } else { NON_OPERATIONAL }]);
        put(place, 4, &entry.to_le_bytes());
        put(place, 8, &exit.to_le_bytes());
        // Relative throughput and latency, of reads and of writes: in the order of the states.
        put(place, 12, &[rank; 4]);
    }
    all
}

/// Whether a controller may go to this state by itself: it is one that does no work.
pub(super) fn is_target(state: u8) -> bool {
    TABLE
        .get(usize::from(state))
        .is_some_and(|(_, _, _, works)| !works)
}
