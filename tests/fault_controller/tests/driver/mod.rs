// SPDX-License-Identifier: MIT

//! A driver that plays with the controller in one process, without QEMU: it writes registers by
//! `Controller::write`, has memory of its own, counts interrupts, and moves the clock itself, so that
//! no test waits.
//!
//! As it is, it keeps every rule. A test that wants a wrong driver does one thing by itself, beside
//! it: `controller`, `heap` and the queues can be reached. Rings, identifiers and data pointers are
//! those of rnvme (`nvme_proto`).

// Each test binary uses a part of it.
#![allow(dead_code)]

pub(crate) mod data;
pub(crate) mod heap;
pub(crate) mod queue;
pub(crate) mod random;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nvme_fault_controller::control;
use nvme_fault_controller::controller::{Controller, Wires};
use nvme_fault_controller::log::Log;
use nvme_fault_controller::memory::Memory;
use nvme_fault_controller::namespace::Namespace;
use nvme_fault_controller::settings::Settings;
use nvme_proto::command::{Cns, Command};
use nvme_proto::completion::Completion;
use nvme_proto::feature::{number_of_queues_request, FeatureId, NumberOfQueues};
use nvme_proto::register::{offset, Aqa, Cap, Cc, Csts, Shn};
use nvme_proto::shadow;
use nvme_proto::status::Status;

use heap::Heap;
use queue::Queue;

/// What a controller is made with for a test.
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    /// Bytes and LBADS of the namespaces 1, 2, ...
    pub(crate) namespaces: Vec<(u64, u8)>,
    /// I/O queue pairs that the driver asks for.
    pub(crate) queues: u16,
    /// Entries of each of them.
    pub(crate) entries: u16,
    /// Entries of the admin queues.
    pub(crate) admin_entries: u16,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            namespaces: vec![(1 << 20, 9), (4 << 20, 12)],
            queues: 2,
            entries: 16,
            admin_entries: 8,
        }
    }
}

/// Interrupts by their vectors.
#[derive(Clone, Default)]
pub(crate) struct Interrupts(Arc<Mutex<BTreeMap<u16, u64>>>);

impl Interrupts {
    /// How many came on a vector.
    pub(crate) fn count(&self, vector: u16) -> u64 {
        self.0.lock().unwrap().get(&vector).copied().unwrap_or(0)
    }
}

impl Wires for Interrupts {
    fn raise(&mut self, vector: u16) {
        *self.0.lock().unwrap().entry(vector).or_default() += 1;
    }
}

/// What the controller has logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The driver, and the controller that it drives.
pub(crate) struct Driver {
    pub(crate) controller: Controller,
    /// The host's memory.
    pub(crate) heap: Heap,
    pub(crate) interrupts: Interrupts,
    pub(crate) queues: BTreeMap<u16, Queue>,
    /// Completions that claim nothing that is in flight: completion queue and entry.
    pub(crate) strays: Vec<(u16, Completion)>,
    /// The shadow doorbells and the event indices, once the controller has been told of them.
    pub(crate) shadow: Option<(u64, u64)>,
    pub(crate) setup: Setup,
    lines: Lines,
    clock: Arc<AtomicU64>,
    /// What the host does on another CPU, whenever the controller looks at the clock.
    pub(crate) meanwhile: Meanwhile,
}

/// Something that a host does beside.
pub(crate) type Meanwhile = Arc<Mutex<Option<Box<dyn FnMut() + Send>>>>;

/// A file of zeros that has no name.
pub(crate) fn nameless() -> File {
    rustix::fs::memfd_create("namespace", rustix::fs::MemfdFlags::CLOEXEC)
        .expect("a file in memory")
        .into()
}

impl Driver {
    /// A controller that was just powered on, and nobody has touched.
    pub(crate) fn new(setup: Setup) -> Self {
        let (lines, interrupts) = (Lines::default(), Interrupts::default());
        let clock = Arc::new(AtomicU64::new(0));
        let hand = clock.clone();
        let meanwhile = Meanwhile::default();
        let other_cpu = meanwhile.clone();
        let log = Log::with_clock(
            Box::new(lines.clone()),
            Arc::new(move || {
                if let Some(act) = other_cpu.lock().unwrap().as_mut() {
                    act();
                }
                Duration::from_nanos(hand.load(Ordering::SeqCst))
            }),
        );
        let mut controller =
            Controller::new(setup.settings.clone(), Box::new(interrupts.clone()), log);
        for (nsid, &(bytes, lbads)) in (1..).zip(&setup.namespaces) {
            let namespace = Namespace::new(nsid, bytes, lbads, nameless(), setup.settings.seed);
            controller
                .namespaces
                .insert(nsid, namespace.expect("a namespace"));
        }
        let heap = Heap::new(&mut controller.memory);
        Self {
            controller,
            heap,
            interrupts,
            queues: BTreeMap::new(),
            strays: Vec::new(),
            shadow: None,
            setup,
            lines,
            clock,
            meanwhile,
        }
    }

    /// A controller that is enabled, identified, and has its I/O queues.
    pub(crate) fn start(setup: Setup) -> Self {
        let mut this = Self::new(setup);
        this.bring_up();
        this
    }

    /// The usual one.
    pub(crate) fn usual() -> Self {
        Self::start(Setup::default())
    }

    /// From a controller that is off to one that does I/O.
    pub(crate) fn bring_up(&mut self) {
        assert!(self.enable(), "not ready\n{}", self.log());
        self.identify_all();
        self.create_queues();
    }

    /// What the controller has logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.lines.0.lock().unwrap()).into_owned()
    }

    /// The judge's lines.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let complaint = |line: &&str| line.split(' ').nth(1) == Some("judge");
        let log = self.log();
        log.lines().filter(complaint).map(str::to_owned).collect()
    }

    /// Fails the test if the judge has complained.
    #[track_caller]
    pub(crate) fn assert_no_complaint(&self) {
        assert_eq!(self.controller.judge.complaints(), 0, "{}", self.log());
    }

    /// A line on the control socket.
    #[track_caller]
    pub(crate) fn tell(&mut self, line: &str) -> String {
        control::answer(&mut self.controller, line).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Arms a fault.
    #[track_caller]
    pub(crate) fn arm(&mut self, spec: &str) {
        self.tell(&format!("arm {spec}"));
    }

    /// The host's memory, as the controller sees it.
    pub(crate) fn memory(&self) -> &Memory {
        &self.controller.memory
    }

    // Registers and time.

    pub(crate) fn read32(&mut self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        self.controller.read(at, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    pub(crate) fn read64(&mut self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        self.controller.read(at, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    pub(crate) fn write32(&mut self, at: usize, value: u32) {
        self.controller.write(at, &value.to_le_bytes());
    }

    pub(crate) fn write64(&mut self, at: usize, value: u64) {
        self.controller.write(at, &value.to_le_bytes());
    }

    pub(crate) fn csts(&mut self) -> Csts {
        Csts::from_raw(self.read32(offset::CSTS))
    }

    /// Where a doorbell is.
    pub(crate) fn doorbell_at(&self, qid: u16, completion: bool) -> usize {
        let stride = Cap::from_raw(self.controller.registers.cap).doorbell_stride();
        offset::DOORBELLS + shadow::entry_offset(qid, stride, completion)
    }

    /// The time that the controller's clock shows.
    pub(crate) fn now(&self) -> Duration {
        self.controller.now()
    }

    /// Lets time pass, and what is due in it happen, each thing at its time.
    pub(crate) fn advance(&mut self, time: Duration) {
        let end = self.now() + time;
        while let Some(due) = self.controller.tick().filter(|due| *due <= end) {
            self.set_clock(due.max(self.now()));
        }
        self.set_clock(end);
        self.controller.tick();
    }

    fn set_clock(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).expect("a time that a test reaches");
        self.clock.store(nanoseconds, Ordering::SeqCst);
    }

    /// Lets time pass until `check` gives something. `None`: it did not within `limit`.
    pub(crate) fn until<T>(
        &mut self,
        limit: Duration,
        mut check: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let end = self.now() + limit;
        loop {
            if let Some(found) = check(self) {
                return Some(found);
            }
            let due = self.controller.tick()?;
            if due > end {
                return None;
            }
            self.set_clock(due.max(self.now()));
            self.controller.tick();
        }
    }

    // The controller's life.

    /// Sets the admin queues up and enables the controller. Tells whether it became ready.
    pub(crate) fn enable(&mut self) -> bool {
        self.set_admin_queues();
        self.write32(offset::CC, Cc::enabled(12).raw());
        self.wait_status(|csts| csts.rdy() || csts.is_gone())
            .is_some_and(|csts| csts.rdy() && !csts.is_gone())
    }

    /// Tells the controller where the admin queues are.
    pub(crate) fn set_admin_queues(&mut self) {
        let entries = self.setup.admin_entries;
        let queue = Queue::new(0, entries, &mut self.heap);
        self.write32(offset::AQA, Aqa::new(entries, entries));
        self.write64(offset::ASQ, queue.sq);
        self.write64(offset::ACQ, queue.cq);
        self.queues.insert(0, queue);
    }

    /// The first status that suits, within the time that CAP.TO can name.
    pub(crate) fn wait_status(&mut self, suits: impl Fn(Csts) -> bool) -> Option<Csts> {
        self.until(Duration::from_secs(130), |this| {
            Some(this.csts()).filter(|csts| suits(*csts))
        })
    }

    /// Disables the controller: a reset. Tells whether it has stopped; what was in flight is gone then,
    /// and the queues' memory is the driver's again.
    pub(crate) fn disable(&mut self) -> bool {
        let cc = Cc::from_raw(self.read32(offset::CC));
        self.write32(offset::CC, cc.without_enable().raw());
        let stopped = self.wait_status(|csts| !csts.rdy()).is_some();
        if stopped {
            self.forget();
        }
        stopped
    }

    /// The controller's side is gone: the memory that it was told of is the driver's again.
    pub(crate) fn forget(&mut self) {
        for (_, queue) in std::mem::take(&mut self.queues) {
            queue.free(&mut self.heap);
        }
        if let Some((shadow, event)) = self.shadow.take() {
            self.heap.free(shadow, 1);
            self.heap.free(event, 1);
        }
    }

    /// Shuts the controller down, with its I/O queues deleted first. Tells whether it finished.
    pub(crate) fn shut_down(&mut self) -> bool {
        self.delete_queues();
        let cc = Cc::from_raw(self.read32(offset::CC));
        self.write32(offset::CC, cc.with_shn(Shn::Normal).raw());
        self.wait_status(|csts| csts.shst() == nvme_proto::register::ShutdownStatus::Complete)
            .is_some()
    }

    /// Reads what a driver wants to know of the controller and its namespaces.
    pub(crate) fn identify_all(&mut self) {
        self.identify(0, Cns::Controller);
        let list = self.identify(0, Cns::ActiveNamespaceList);
        let number = |four: &[u8]| u32::from_le_bytes(four.try_into().expect("four bytes"));
        for nsid in list
            .chunks_exact(4)
            .map(number)
            .take_while(|nsid| *nsid != 0)
        {
            self.identify(nsid, Cns::Namespace);
            self.identify(nsid, Cns::NamespaceDescriptors);
        }
    }

    /// An Identify's 4096 bytes.
    #[track_caller]
    pub(crate) fn identify(&mut self, nsid: u32, cns: Cns) -> Vec<u8> {
        let (completion, bytes) = self.fetch(Command::identify(nsid, cns, 0), 4096);
        assert_eq!(completion.status, Status::SUCCESS, "{}", self.log());
        bytes
    }

    /// An admin command that fetches `length` bytes (a page at most).
    #[track_caller]
    pub(crate) fn fetch(&mut self, command: Command, length: usize) -> (Completion, Vec<u8>) {
        let page = self.heap.take(1);
        let completion = self.send(0, command.with_data(page, 0));
        let bytes = self.heap.read(page, length);
        self.heap.free(page, 1);
        (completion, bytes)
    }

    /// An admin command that hands over `bytes` (a page at most).
    #[track_caller]
    pub(crate) fn hand_over(&mut self, command: Command, bytes: &[u8]) -> Completion {
        let page = self.heap.take(1);
        self.heap.write(page, bytes);
        let completion = self.send(0, command.with_data(page, 0));
        self.heap.free(page, 1);
        completion
    }

    /// Asks for the I/O queues and creates them.
    #[track_caller]
    pub(crate) fn create_queues(&mut self) {
        let asked = self.setup.queues;
        let request = number_of_queues_request(asked);
        let granted = self.send(0, Command::set_features(FeatureId::NumberOfQueues, request));
        assert_eq!(granted.status, Status::SUCCESS, "{}", self.log());
        for qid in 1..=NumberOfQueues::granted(granted.dw0(), asked) {
            self.create_queue(qid, self.setup.entries);
        }
    }

    /// Creates one pair of I/O queues, which interrupts on the vector of its number.
    #[track_caller]
    pub(crate) fn create_queue(&mut self, qid: u16, entries: u16) {
        let queue = Queue::new(qid, entries, &mut self.heap);
        let command = Command::create_io_cq(qid, entries, queue.cq, Some(qid));
        let created = self.send(0, command);
        assert_eq!(created.status, Status::SUCCESS, "{}", self.log());
        let created = self.send(0, Command::create_io_sq(qid, entries, queue.sq, qid));
        assert_eq!(created.status, Status::SUCCESS, "{}", self.log());
        self.queues.insert(qid, queue);
    }

    /// Deletes the I/O queues.
    #[track_caller]
    pub(crate) fn delete_queues(&mut self) {
        let ids: Vec<u16> = self.queues.keys().copied().filter(|id| *id != 0).collect();
        for qid in ids {
            self.delete_queue(qid);
        }
    }

    /// Deletes one pair of I/O queues: the submission queue first.
    #[track_caller]
    pub(crate) fn delete_queue(&mut self, qid: u16) {
        let deleted = self.send(0, Command::delete_io_sq(qid));
        assert_eq!(deleted.status, Status::SUCCESS, "{}", self.log());
        self.reap(qid);
        let deleted = self.send(0, Command::delete_io_cq(qid));
        assert_eq!(deleted.status, Status::SUCCESS, "{}", self.log());
        if let Some(queue) = self.queues.remove(&qid) {
            queue.free(&mut self.heap);
        }
    }
}
