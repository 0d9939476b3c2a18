// SPDX-License-Identifier: MIT

//! What the controller is started with.

use std::time::Duration;

use crate::registers::Registers;

/// What the controller is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The most entries of a queue (MQES + 1).
    pub entries: u16,
    /// The most I/O queue pairs that it grants.
    pub queues: u16,
    /// NN: the largest identifier that a namespace can have.
    pub most_namespaces: u32,
    /// MDTS: log2 of the longest transfer in pages; 0 for no limit.
    pub mdts: u8,
    /// How long it takes to become ready, to stop and to shut down.
    pub ready_time: Duration,
    /// Whether there are shadow doorbells (OACS: Doorbell Buffer Config).
    pub shadow: bool,
    /// Whether I/O commands may have scatter gather lists.
    pub sgl: bool,
    /// Whether there is a volatile write cache.
    pub cache: bool,
    /// The time that CAP.TO and CRTO grant for that, in half seconds.
    pub ready_units: u8,
    /// What identifiers and everything random follow from.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            entries: 1024,
            queues: 16,
            most_namespaces: 256,
            mdts: 8,
            ready_time: Duration::ZERO,
            shadow: true,
            sgl: true,
            cache: true,
            ready_units: 60,
            seed: 0,
        }
    }
}

impl Settings {
    /// The longest transfer of a command in bytes, if there is one.
    pub fn longest_transfer(&self) -> Option<u64> {
        let page = u64::from(nvme_proto::PAGE);
        (self.mdts != 0).then(|| page.checked_shl(self.mdts.into()).unwrap_or(u64::MAX))
    }

    /// The registers after power-on: version 2.1, the NVM Command Set, contiguous queues, ready modes
    /// with CRTO.
    pub fn registers(&self) -> Registers {
        let cap = u64::from(self.entries.saturating_sub(1)) // MQES
            | (1 << 16) // CQR
            | (u64::from(self.ready_units) << 24) // TO
            | (1 << 37) // CSS: NVM
            | (1 << 59); // CRMS: CRWMS
        Registers {
            cap,
            vs: 0x0002_0100,
            crto: self.ready_units.into(),
            ..Registers::default()
        }
    }
}
