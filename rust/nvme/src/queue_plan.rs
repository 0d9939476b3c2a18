// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How the I/O queues of a controller are shared out: for everything, for reads alone, for
//! commands that are polled for.
//!
//! Relies on nothing: numbers in, numbers out. A kind with no queue uses those for everything.

/// What is wished for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueWish {
    /// CPUs that may be there: no kind needs more queues than that.
    pub cpus: u32,
    /// Queues for writes alone; 0 has reads and writes share theirs.
    pub write: u32,
    /// Queues without interrupt.
    pub poll: u32,
    /// The most queues of all kinds together; 0 for no such limit.
    pub most: u32,
}

/// How many queues there are of each kind. Queue ids go from 1 on in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueuePlan {
    /// For everything that has no queues of its own.
    pub default: u16,
    /// For reads.
    pub read: u16,
    /// Without interrupt.
    pub poll: u16,
}

fn narrow(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

impl QueueWish {
    /// How many queues to ask the controller for, of which `fit` have doorbells.
    pub fn total(&self, fit: u16) -> u16 {
        let reads = if self.write == 0 { 0 } else { self.cpus };
        let writes = if self.write == 0 {
            self.cpus
        } else {
            self.write.min(self.cpus)
        };
        let all = reads
            .saturating_add(writes)
            .saturating_add(self.poll.min(self.cpus));
        let bounded = if self.most == 0 {
            all
        } else {
            all.min(self.most)
        };
        narrow(bounded).min(fit)
    }

    /// Shares out `queues` queues, for which there are `vectors` interrupt vectors.
    ///
    /// One queue at least is for everything, if there is any at all; then come those that are
    /// polled, then reads.
    pub fn share(&self, queues: u16, vectors: u32) -> QueuePlan {
        let Some(beyond_first) = queues.checked_sub(1) else {
            return QueuePlan::default();
        };
        let poll = narrow(self.poll.min(self.cpus)).min(beyond_first);
        let cpus = narrow(self.cpus).max(1);
        let interrupts = queues.saturating_sub(poll).min(narrow(vectors).max(1));
        if self.write == 0 || interrupts < 2 {
            return QueuePlan {
                default: interrupts.min(cpus),
                read: 0,
                poll,
            };
        }
        let default = narrow(self.write)
            .min(cpus)
            .min(interrupts.saturating_sub(1));
        QueuePlan {
            default,
            read: interrupts.saturating_sub(default).min(cpus),
            poll,
        }
    }
}

impl QueuePlan {
    /// All queues together.
    pub fn total(&self) -> u16 {
        self.interrupts().saturating_add(self.poll)
    }

    /// Those with an interrupt.
    pub fn interrupts(&self) -> u16 {
        self.default.saturating_add(self.read)
    }

    /// Whether queue `qid` is polled.
    pub fn is_polled(&self, qid: u16) -> bool {
        qid > self.interrupts()
    }

    /// Which of the polled queues `qid` is, from 0 on.
    pub fn polled_index(&self, qid: u16) -> u16 {
        qid.saturating_sub(self.interrupts()).saturating_sub(1)
    }
}
