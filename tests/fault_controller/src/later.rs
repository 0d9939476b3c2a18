// SPDX-License-Identifier: MIT

//! What is to happen later, in the order of its time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::controller::Controller;

/// Something to do with the controller.
pub type Deed = Box<dyn FnOnce(&mut Controller) + Send>;

/// Deeds by their time, and by their order where the time is the same.
#[derive(Default)]
pub struct Later {
    deeds: BTreeMap<(Duration, u64), Deed>,
    count: u64,
}

impl Later {
    /// Something to do at `time` since the start.
    pub fn push(&mut self, time: Duration, deed: Deed) {
        self.count += 1;
        self.deeds.insert((time, self.count), deed);
    }

    /// The next deed whose time has come.
    pub fn due(&mut self, now: Duration) -> Option<Deed> {
        let entry = self.deeds.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// When the next deed is due.
    pub fn next(&self) -> Option<Duration> {
        self.deeds.keys().next().map(|(time, _)| *time)
    }

    /// Forgets all: a reset.
    pub fn clear(&mut self) {
        self.deeds.clear();
    }
}
