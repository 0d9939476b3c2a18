// SPDX-License-Identifier: GPL-2.0

//! The number in a controller's name (`rnvme0`): the lowest that is free.

use core::sync::atomic::{AtomicU64, Ordering};
use kernel::{fmt, prelude::*};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// 64 controllers per word, a bit each: set means taken.
static TAKEN: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];

/// A taken number, given back when dropped.
pub(crate) struct Instance {
    word: usize,
    bit: u32,
}

impl Instance {
    /// Takes the lowest free number; `ENOSPC` if 1024 controllers are there already.
    pub(crate) fn take() -> Result<Self> {
        for (word, taken) in TAKEN.iter().enumerate() {
            let update = |old: u64| old.checked_add(1).map(|next| old | next);
            // Adding one turns the lowest clear bit on and the ones below it off: or-ed with the
            // old value it takes that bit. A full word has no sum.
            if let Ok(old) = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update) {
                return Ok(Instance {
                    word,
                    bit: old.trailing_ones(),
                });
            }
        }
        Err(ENOSPC)
    }

    /// The number itself.
    pub(crate) fn number(&self) -> usize {
        self.word.wrapping_mul(64).wrapping_add(self.bit as usize)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let (Some(taken), Some(mask)) = (TAKEN.get(self.word), 1u64.checked_shl(self.bit)) {
            taken.fetch_and(!mask, Ordering::Relaxed);
        }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rnvme{}", self.number())
    }
}
