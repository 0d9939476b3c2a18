// SPDX-License-Identifier: GPL-2.0

//! What a controller does that it should not, counted, and logged at a limited rate.
//!
//! Read in debugfs, folder `rnvmeN` (Documentation/architecture.md lists the files).

use crate::{instance::Instance, io_queue::IoQueue, show::Show};
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::{debugfs, fmt, prelude::*, str::CString, sync::Arc};
use nvme_proto::status::Status;

/// The log says each kind of event this many times per controller, then only the counter does.
const LOG_LIMIT: u64 = 8;

/// Events of one controller.
pub(crate) struct Counters {
    /// The number in the controller's name, for the log.
    controller: usize,
    failed_commands: AtomicU64,
    dropped_completions: AtomicU64,
    odd_completions: AtomicU64,
    spurious_interrupts: AtomicU64,
}

impl Counters {
    pub(crate) fn new(instance: &Instance) -> Self {
        Counters {
            controller: instance.number(),
            failed_commands: AtomicU64::new(0),
            dropped_completions: AtomicU64::new(0),
            odd_completions: AtomicU64::new(0),
            spurious_interrupts: AtomicU64::new(0),
        }
    }

    /// Counts an event; says whether the log is to have a line about it.
    fn count(counter: &AtomicU64) -> bool {
        counter.fetch_add(1, Ordering::Relaxed) < LOG_LIMIT
    }

    /// A command of I/O queue `qid` failed with `status`.
    #[cold]
    pub(crate) fn failed(&self, qid: u16, status: Status) {
        if Self::count(&self.failed_commands) {
            let (controller, status) = (self.controller, Show(status));
            pr_warn!("rnvme{controller}, queue {qid}: a command failed: {status}\n");
        }
    }

    /// A completion on queue `qid` named no command in flight, and has been dropped.
    #[cold]
    pub(crate) fn dropped(&self, qid: u16, cid: u16) {
        if Self::count(&self.dropped_completions) {
            let controller = self.controller;
            pr_warn!("rnvme{controller}, queue {qid}: a completion for command id {cid:#06x}, which is not in flight, was dropped\n");
        }
    }

    /// A completion on queue `qid` had a submission queue id or head that makes no sense.
    #[cold]
    pub(crate) fn odd(&self, qid: u16, sq_id: u16, sq_head: u16) {
        if Self::count(&self.odd_completions) {
            let controller = self.controller;
            pr_warn!("rnvme{controller}, queue {qid}: a completion speaks of submission queue {sq_id}, head {sq_head}; only its command id is used\n");
        }
    }

    /// An interrupt came without a completion. On a shared line that is no fault.
    #[cold]
    pub(crate) fn spurious(&self) {
        self.spurious_interrupts.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the files show.
struct Shown {
    queues: KVec<Arc<IoQueue>>,
    counters: Arc<Counters>,
}

/// The debugfs folder of a controller, removed when dropped.
pub(crate) struct DebugFiles {
    _files: Pin<KBox<debugfs::File<Shown>>>,
    _dir: debugfs::Dir,
}

impl DebugFiles {
    /// Makes the folder, named as the controller, with the file `counters`. May sleep.
    pub(crate) fn new(
        instance: &Instance,
        queues: &KVec<Arc<IoQueue>>,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        let name = CString::try_from_fmt(fmt!("{instance}"))?;
        let dir = debugfs::Dir::new(&name);
        let mut shown = Shown {
            queues: KVec::with_capacity(queues.len(), GFP_KERNEL)?,
            counters,
        };
        for queue in queues {
            shown.queues.push(queue.clone(), GFP_KERNEL)?;
        }
        let files = KBox::pin_init(
            dir.read_callback_file(c"counters", shown, &show),
            GFP_KERNEL,
        )?;
        Ok(DebugFiles {
            _files: files,
            _dir: dir,
        })
    }
}

/// One line per counter: its name and its value.
fn show(shown: &Shown, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &shown.counters;
    writeln!(
        f,
        "dropped_completions {}",
        load(&counters.dropped_completions)
    )?;
    writeln!(f, "odd_completions {}", load(&counters.odd_completions))?;
    writeln!(
        f,
        "spurious_interrupts {}",
        load(&counters.spurious_interrupts)
    )?;
    let (mut single, mut chained) = (0u64, 0u64);
    for queue in &shown.queues {
        let submission = queue.submission.lock();
        single = single.wrapping_add(submission.single_lists);
        chained = chained.wrapping_add(submission.chained_lists);
    }
    writeln!(f, "prp_lists_of_one_page {single}")?;
    writeln!(f, "prp_lists_of_more_pages {chained}")
}
