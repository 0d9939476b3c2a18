// SPDX-License-Identifier: GPL-2.0

//! What a controller does that it should not, counted, and logged at a limited rate.
//!
//! Read in sysfs, folder `counters` of the PCI device (Documentation/architecture.md lists them).

use crate::{
    instance::Instance,
    io_queue::{IoQueue, Submission},
};
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::{
    device::{Bound, Device},
    fmt,
    prelude::*,
    sync::Arc,
};
use kernel_ext::sysfs::{Entry, Group};

/// The log says each kind of event this many times per controller, then only the counter does.
const LOG_LIMIT: u64 = 8;

/// Events of one controller.
pub(crate) struct Counters {
    /// The number in the controller's name, for the log.
    controller: usize,
    failed_requests: AtomicU64,
    retries: AtomicU64,
    dropped_completions: AtomicU64,
    odd_completions: AtomicU64,
    spurious_interrupts: AtomicU64,
    odd_zones: AtomicU64,
}

impl Counters {
    pub(crate) fn new(instance: &Instance) -> Self {
        Counters {
            controller: instance.number(),
            failed_requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            dropped_completions: AtomicU64::new(0),
            odd_completions: AtomicU64::new(0),
            spurious_interrupts: AtomicU64::new(0),
            odd_zones: AtomicU64::new(0),
        }
    }

    /// Counts an event on queue `qid`; the first ones are logged.
    fn count(&self, counter: &AtomicU64, qid: u16, what: fmt::Arguments<'_>) {
        if counter.fetch_add(1, Ordering::Relaxed) < LOG_LIMIT {
            let controller = self.controller;
            pr_warn!("rnvme{controller}, queue {qid}: {what}\n");
        }
    }

    /// The same with something about namespace `nsid`.
    fn count_of(&self, counter: &AtomicU64, nsid: u32, what: fmt::Arguments<'_>) {
        if counter.fetch_add(1, Ordering::Relaxed) < LOG_LIMIT {
            let controller = self.controller;
            pr_warn!("rnvme{controller}n{nsid}: {what}\n");
        }
    }

    /// A request to namespace `nsid` ends with an error; `what` tells of it.
    #[cold]
    pub(crate) fn failed(&self, nsid: u32, what: fmt::Arguments<'_>) {
        self.count_of(&self.failed_requests, nsid, what);
    }

    /// What the controller said of zones of namespace `nsid` makes no sense; `what` tells of it.
    #[cold]
    pub(crate) fn odd_zone(&self, nsid: u32, what: fmt::Arguments<'_>) {
        self.count_of(&self.odd_zones, nsid, what);
    }

    /// A request whose command failed is sent again.
    #[cold]
    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// A completion on queue `qid` named no command in flight, and has been dropped.
    #[cold]
    pub(crate) fn dropped(&self, qid: u16, cid: u16) {
        self.count(
            &self.dropped_completions,
            qid,
            fmt!("a completion for command id {cid:#06x}, which is not in flight, was dropped"),
        );
    }

    /// A completion on queue `qid` had a submission queue id or head that makes no sense.
    #[cold]
    pub(crate) fn odd(&self, qid: u16, sq_id: u16, sq_head: u16) {
        self.count(
            &self.odd_completions,
            qid,
            fmt!("a completion speaks of submission queue {sq_id}, head {sq_head}; only its command id is used"),
        );
    }

    /// An admin command was answered, and no interrupt said so.
    #[cold]
    pub(crate) fn interrupt_missing(&self) {
        let controller = self.controller;
        pr_warn!("rnvme{controller}: an admin command was answered without an interrupt; polling from now on\n");
    }

    /// An interrupt came without a completion. On a shared line that is no fault.
    #[cold]
    pub(crate) fn spurious(&self) {
        self.spurious_interrupts.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the files show.
pub(crate) struct Shown {
    queues: KVec<Arc<IoQueue>>,
    counters: Arc<Counters>,
}

impl Shown {
    /// The sum of `count` over the queues.
    fn sum(&self, count: fn(&Submission) -> u64) -> u64 {
        let counts = self
            .queues
            .iter()
            .map(|queue| count(&queue.submission.lock()));
        counts.fold(0, u64::wrapping_add)
    }
}

/// The files, one counter each.
static FILES: [Entry<Shown>; 9] = [
    Entry {
        name: c"failed_requests",
        show: |shown, f| print(f, &shown.counters.failed_requests),
    },
    Entry {
        name: c"retries",
        show: |shown, f| print(f, &shown.counters.retries),
    },
    Entry {
        name: c"dropped_completions",
        show: |shown, f| print(f, &shown.counters.dropped_completions),
    },
    Entry {
        name: c"odd_completions",
        show: |shown, f| print(f, &shown.counters.odd_completions),
    },
    Entry {
        name: c"spurious_interrupts",
        show: |shown, f| print(f, &shown.counters.spurious_interrupts),
    },
    Entry {
        name: c"odd_zones",
        show: |shown, f| print(f, &shown.counters.odd_zones),
    },
    Entry {
        name: c"prp_lists_of_one_page",
        show: |shown, f| write!(f, "{}", shown.sum(|submission| submission.single_lists)),
    },
    Entry {
        name: c"prp_lists_of_more_pages",
        show: |shown, f| write!(f, "{}", shown.sum(|submission| submission.chained_lists)),
    },
    Entry {
        name: c"sgls",
        show: |shown, f| write!(f, "{}", shown.sum(|submission| submission.sgls)),
    },
];

fn print(f: &mut fmt::Formatter<'_>, counter: &AtomicU64) -> fmt::Result {
    write!(f, "{}", counter.load(Ordering::Relaxed))
}

/// Makes the folder `counters` of the PCI device, which is removed when the value is dropped.
pub(crate) fn add_files(
    dev: &Device<Bound>,
    queues: KVec<Arc<IoQueue>>,
    counters: Arc<Counters>,
) -> Result<Group<Shown>> {
    let shown = Shown { queues, counters };
    Group::add(dev, Some(c"counters"), shown, &FILES)
}
