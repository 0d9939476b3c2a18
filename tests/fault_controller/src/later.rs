// SPDX-License-Identifier: MIT

//! What is to happen later, in the order of its time.
//!
//! What a fault has put off is marked, so that disarming can end it: see [`Ends`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::controller::Controller;

/// Something to do with the controller.
pub type Deed = Box<dyn FnOnce(&mut Controller) + Send>;

/// What becomes of a deed when faults are disarmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// It is the controller's own, and stays.
    Never,
    /// A fault has put it off: it is owed, and done at once.
    Done,
    /// It is the fault itself, and dropped.
    Dropped,
}

/// What a fault can keep from happening at all: each is owed once, however often it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owed {
    /// CSTS.RDY follows CC.EN when it is set.
    Ready,
    /// CSTS.RDY follows CC.EN when it is cleared.
    Stopped,
    /// CSTS.SHST follows CC.SHN.
    ShutDown,
}

/// Deeds by their time, and by their order where the time is the same.
#[derive(Default)]
pub struct Later {
    deeds: BTreeMap<(Duration, u64), (Ends, Deed)>,
    /// What faults keep from being done at all.
    owed: BTreeMap<Owed, Deed>,
    count: u64,
}

impl Later {
    /// Something to do at `time` since the start.
    pub fn push(&mut self, time: Duration, ends: Ends, deed: Deed) {
        self.count += 1;
        self.deeds.insert((time, self.count), (ends, deed));
    }

    /// Something that is not done unless faults are disarmed.
    pub fn owe(&mut self, what: Owed, deed: Deed) {
        self.owed.insert(what, deed);
    }

    /// The next deed whose time has come.
    pub fn due(&mut self, now: Duration) -> Option<Deed> {
        let entry = self.deeds.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove().1)
    }

    /// When the next deed is due.
    pub fn next(&self) -> Option<Duration> {
        self.deeds.keys().next().map(|(time, _)| *time)
    }

    /// Forgets all: a reset.
    pub fn clear(&mut self) {
        self.deeds.clear();
        self.owed.clear();
    }

    /// Takes out what faults have put off, and what is owed: all that is to be done now, in its order.
    pub fn settle(&mut self) -> Vec<Deed> {
        let mut left = Vec::new();
        for (key, (ends, deed)) in std::mem::take(&mut self.deeds) {
            match ends {
                Ends::Never => {
                    self.deeds.insert(key, (ends, deed));
                }
                Ends::Done => left.push(deed),
                Ends::Dropped => {}
            }
        }
        left.extend(std::mem::take(&mut self.owed).into_values());
        left
    }
}
