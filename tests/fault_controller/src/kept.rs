// SPDX-License-Identifier: MIT

//! What a controller keeps over resets: its health, counters, firmware and saved features.

use std::collections::BTreeMap;

/// The temperature at which all is well, in kelvins.
const ROOM: u16 = 300;

/// SMART / Health Information as it is counted or told by the control socket.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Health {
    /// Critical warnings, beside those that follow from the temperature.
    pub warning: u8,
    /// In kelvins.
    pub temperature: u16,
    /// Available spare in percent.
    pub spare: u8,
    /// Percentage used.
    pub used: u8,
    /// In sectors of 512 bytes.
    pub sectors_read: u64,
    /// In sectors of 512 bytes.
    pub sectors_written: u64,
    pub reads: u64,
    pub writes: u64,
    pub media_errors: u64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            warning: 0,
            temperature: ROOM,
            spare: 100,
            used: 0,
            sectors_read: 0,
            sectors_written: 0,
            reads: 0,
            writes: 0,
            media_errors: 0,
        }
    }
}

/// What survives a reset.
pub struct Kept {
    /// The health.
    pub health: Health,
    /// Errors that were logged, ever.
    pub errors: u64,
    /// The firmware's revision.
    pub firmware: String,
    /// Saved values of features, by identifier and what else they depend on.
    pub saved: BTreeMap<(u8, u32), u32>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            health: Health::default(),
            errors: 0,
            firmware: env!("CARGO_PKG_VERSION").to_owned(),
            saved: BTreeMap::new(),
        }
    }
}
