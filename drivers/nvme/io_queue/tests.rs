// SPDX-License-Identifier: GPL-2.0

//! An I/O queue pair with a disk on it, and the test in the controller's place: it takes commands
//! out of the ring when the doorbell says so, and posts completions.

use super::{Completions, IoQueue, ListPools, QueueMemory};
use crate::{
    counters::{add_files, Counters},
    instance::Instance,
    io::Io,
    namespace::Namespace,
    registers::Registers,
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::{delay::fsleep, Delta, Instant, Monotonic},
};
use kernel_ext::{
    block::{
        mq::{
            AtomicWrite, Discard, GenDisk, Limits, QueueKinds, Request, TagSet, TagSetConfig,
            Ticket,
        },
        Status as BlockStatus,
    },
    io::Mmio,
    irq::Handler,
    kunit::{self, read_attribute, Device, Kind, Memory, Transfer, PATIENCE_MS},
    numa::Node,
};
use nvme_proto::{
    cid::CommandId, command::Command, completion::Completion, limits::doorbell_offset,
    status::Status, PAGE,
};

const QID: u16 = 1;
/// Registers and the doorbells of two queue pairs of stride 4.
const REGISTER_WORDS: usize = (0x1000 + 4 * 4) / 4;

/// The interrupt's side. What a failing test has left in flight ends here, before the disk goes
/// and waits for it.
struct Side(Completions);

impl Drop for Side {
    fn drop(&mut self) {
        self.0.cancel_all();
    }
}

/// A queue pair of a controller that the test plays, and a disk of 16 MiB on it.
pub(crate) struct Bench {
    side: Side,
    disk: GenDisk<Io>,
    pub(crate) queue: Arc<IoQueue>,
    pub(crate) memory: Arc<Memory>,
    mmio: Arc<Mmio>,
    counters: Arc<Counters>,
    entries: u16,
    fetched: u16,
    posted: u16,
    device: Device,
    _instance: Instance,
}

/// A command, taken apart as the controller does.
pub(crate) struct Sent {
    pub(crate) opcode: u8,
    pub(crate) cid: u16,
    pub(crate) nsid: u32,
    pub(crate) prp1: u64,
    pub(crate) prp2: u64,
    pub(crate) slba: u64,
    pub(crate) cdw12: u32,
    pub(crate) cdw13: u32,
}

impl Sent {
    fn new(command: Command) -> Self {
        let words = command.to_words();
        Sent {
            opcode: words[0] as u8,
            cid: (words[0] >> 16) as u16,
            nsid: (words[0] >> 32) as u32,
            prp1: words[3],
            prp2: words[4],
            slba: words[5],
            cdw12: words[6] as u32,
            cdw13: (words[6] >> 32) as u32,
        }
    }
}

const LIMITS: Limits = Limits {
    logical_block_size: 512,
    physical_block_size: 512,
    max_transfer: 1 << 20,
    max_segments: 257,
    virt_boundary_mask: PAGE as usize - 1,
    dma_alignment: 3,
    write_cache: true,
    fua: true,
    discard: Some(Discard {
        max_bytes: 8 << 20,
        max_ranges: 256,
        granularity: 512,
    }),
    max_write_zeroes: 1 << 20,
    write_zeroes_unmaps: true,
    // More than the namespace can, so that it has something to refuse.
    atomic: Some(AtomicWrite {
        max: 8192,
        boundary: 0,
        unit_min: 512,
        unit_max: 8192,
    }),
    ..Limits::NONE
};

impl Bench {
    /// A queue of `entries` entries, a namespace of blocks of `1 << lba_shift` bytes, and PRP lists
    /// whose first page takes `first_room` entries.
    pub(crate) fn with(
        name: &CStr,
        entries: u16,
        lba_shift: u8,
        first_room: usize,
    ) -> Result<Self> {
        let device = Device::new(name)?;
        let dev = device.bound();
        let instance = Instance::take()?;
        let counters = Arc::new(Counters::new(&instance), GFP_KERNEL)?;
        let mmio = Mmio::over_memory(KVec::from_elem(0, REGISTER_WORDS, GFP_KERNEL)?)?;
        let registers = Registers::new(mmio.clone())?;
        let pools = ListPools {
            first_room,
            ..ListPools::new(dev, Node::ANY)?
        };
        let memory = QueueMemory { pools, place: None };
        let (queue, completions, _) = IoQueue::new(
            dev,
            &registers,
            QID,
            entries,
            memory,
            counters.clone(),
            None,
        )?;
        let mut queues = KVec::new();
        // A disk with a second queue gets no scheduler, which would take requests one by one.
        queues.push(queue.clone(), GFP_KERNEL)?;
        queues.push(queue.clone(), GFP_KERNEL)?;
        let config = TagSetConfig {
            queues: QueueKinds {
                default: 1,
                read: 0,
                poll: 1,
            },
            depth: entries - 1,
            first_vector: 0,
        };
        let set = TagSet::new(dev, config, queues)?;
        let namespace = Namespace::for_test(7, lba_shift, &queue.pools, &counters)?;
        let disk = GenDisk::add(dev, set, fmt!("kunit-{instance}"), LIMITS, 0, namespace)?;
        kunit::set_capacity(&disk, dev, (16 << 20) / 512)?;
        let memory = Memory::new(dev, 64)?;
        Ok(Bench {
            side: Side(completions),
            disk,
            queue,
            memory,
            mmio,
            counters,
            entries,
            fetched: 0,
            posted: 0,
            device,
            _instance: instance,
        })
    }

    /// A queue of 16 entries, and a namespace of 512-byte blocks.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        Self::with(name, 16, 9, super::LIST_WORDS)
    }

    pub(crate) fn start(
        &self,
        kind: Kind,
        sector: u64,
        begin: usize,
        bytes: usize,
    ) -> Result<Transfer> {
        let dev = self.device.bound();
        Transfer::start(&self.disk, dev, kind, sector, &self.memory, begin, bytes)
    }

    /// What the doorbell of the submission or of the completion queue was last rung with.
    pub(crate) fn doorbell(&self, completion: bool) -> Result<u32> {
        self.mmio.read32(doorbell_offset(QID, 4, completion))
    }

    /// The next command, once the doorbell has told of it.
    ///
    /// The block layer may send it later, from a task of its own; nobody tells of a store to
    /// memory, so the doorbell is looked at again and again, as a controller does.
    pub(crate) fn fetch(&mut self) -> Result<Sent> {
        let slot = self.fetched % self.entries;
        let start = Instant::<Monotonic>::now();
        while self.doorbell(false)? == slot.into() {
            if start.elapsed().as_millis() > i64::from(PATIENCE_MS) {
                return Err(ETIMEDOUT);
            }
            fsleep(Delta::from_micros(200));
        }
        self.fetched += 1;
        Ok(Sent::new(self.queue.submission.lock().queue.entry(slot)))
    }

    /// Posts a completion of command `cid` that speaks of submission queue `sq_id`.
    pub(crate) fn post(&mut self, cid: u16, status: Status, sq_id: u16) -> Result {
        let completion = Completion {
            result: 0,
            sq_head: self.fetched % self.entries,
            sq_id,
            cid,
            status,
            phase: false,
        };
        self.side.0.queue.post(self.posted, completion)?;
        self.posted += 1;
        Ok(())
    }

    /// What an interrupt does; says whether it found anything.
    pub(crate) fn interrupt(&mut self) -> bool {
        self.side.0.handle()
    }

    /// Answers command `cid` with `status`, and interrupts.
    pub(crate) fn answer(&mut self, cid: u16, status: Status) -> Result {
        self.post(cid, status, QID)?;
        if self.interrupt() {
            Ok(())
        } else {
            Err(EIO)
        }
    }

    /// Answers command `cid` with success, and says how `transfer` ended.
    pub(crate) fn end(&mut self, cid: u16, transfer: &Transfer) -> Result<Option<BlockStatus>> {
        self.answer(cid, Status::from_raw(0))?;
        Ok(transfer.wait())
    }

    /// Takes the request of command `cid` out of the table, as its completion does.
    pub(crate) fn claim(&mut self, cid: u16) -> Option<Request<Io>> {
        let id = CommandId::from_raw(cid);
        self.side.0.claimer.claim(Ticket {
            tag: id.tag(),
            generation: id.generation(),
        })
    }

    /// Whether the counter `name` in sysfs shows `value`.
    pub(crate) fn counted(&self, name: &str, value: &[u8]) -> Result<bool> {
        let dev = self.device.bound();
        let mut queues = KVec::new();
        queues.push(self.queue.clone(), GFP_KERNEL)?;
        let _files = add_files(dev, queues, self.counters.clone())?;
        Ok(&read_attribute(dev, name)?[..] == value)
    }
}

#[kunit_tests(rnvme_io_queue)]
mod cases {
    use super::*;

    #[test]
    fn requests_go_around_both_rings() -> Result {
        let mut bench = Bench::with(c"nvme-around", 3, 9, 512)?;
        for round in 0..10u32 {
            let read = bench.start(Kind::Read, 8, 0, 512)?;
            let sent = bench.fetch()?;
            assert_eq!(bench.end(sent.cid, &read)?, Some(BlockStatus::OK));
            assert_eq!(bench.doorbell(false)?, (round + 1) % 3);
            assert_eq!(bench.doorbell(true)?, (round + 1) % 3);
        }
        Ok(())
    }

    #[test]
    fn requests_that_come_together_ring_once_and_may_end_together() -> Result {
        let mut bench = Bench::new(c"nvme-together")?;
        let writes = kunit::together(|| {
            Ok::<_, Error>([
                bench.start(Kind::Write, 0, 0, 512)?,
                bench.start(Kind::Write, 64, 0, 3 * 4096)?,
                bench.start(Kind::Write, 128, 0, 40 * 4096)?,
            ])
        })?;
        let mut order = KVec::new();
        for _ in 0..3 {
            let sent = bench.fetch()?;
            assert_eq!(bench.doorbell(false)?, 3);
            order.push(sent.slba, GFP_KERNEL)?;
            bench.post(sent.cid, Status::from_raw(0), QID)?;
        }
        assert_eq!(&order[..], &[0, 64, 128]);
        assert!(bench.interrupt());
        for write in &writes {
            assert_eq!(write.wait(), Some(BlockStatus::OK));
        }
        assert_eq!(bench.doorbell(true)?, 3);
        assert!(bench.counted("counters/prp_lists_of_one_page", b"2\n")?);
        Ok(())
    }

    #[test]
    fn completions_may_come_in_any_order() -> Result {
        let mut bench = Bench::new(c"nvme-order")?;
        let reads = [
            bench.start(Kind::Read, 0, 0, 512)?,
            bench.start(Kind::Read, 64, 4096, 512)?,
        ];
        let sent = [bench.fetch()?, bench.fetch()?];
        assert!(sent[0].cid != sent[1].cid);
        bench.answer(sent[1].cid, Status::from_raw(0))?;
        let of = |slba: u64| if slba == 0 { &reads[0] } else { &reads[1] };
        assert_eq!(of(sent[1].slba).wait(), Some(BlockStatus::OK));
        assert!(of(sent[0].slba).status().is_none());
        bench.answer(sent[0].cid, Status::from_raw(0))?;
        assert_eq!(of(sent[0].slba).wait(), Some(BlockStatus::OK));
        Ok(())
    }

    #[test]
    fn repeated_completion_is_counted_and_dropped() -> Result {
        let mut bench = Bench::new(c"nvme-repeated")?;
        let read = bench.start(Kind::Read, 0, 0, 512)?;
        let sent = bench.fetch()?;
        bench.post(sent.cid, Status::from_raw(0), QID)?;
        bench.post(sent.cid, Status::from_raw(0), QID)?;
        assert!(bench.interrupt());
        assert_eq!(read.wait(), Some(BlockStatus::OK));
        assert!(bench.counted("counters/dropped_completions", b"1\n")?);
        Ok(())
    }

    #[test]
    fn invented_completion_ends_nothing() -> Result {
        let mut bench = Bench::new(c"nvme-invented")?;
        let read = bench.start(Kind::Read, 0, 0, 512)?;
        let sent = bench.fetch()?;
        for cid in [sent.cid ^ 0x1000, sent.cid ^ 0x0f, 0xffff, 0x0fff] {
            bench.answer(cid, Status::from_raw(0))?;
        }
        assert!(read.status().is_none());
        assert!(bench.counted("counters/dropped_completions", b"4\n")?);
        assert_eq!(bench.end(sent.cid, &read)?, Some(BlockStatus::OK));
        Ok(())
    }

    #[test]
    fn completion_of_another_queue_is_counted_and_still_ends_its_command() -> Result {
        let mut bench = Bench::new(c"nvme-odd")?;
        let read = bench.start(Kind::Read, 0, 0, 512)?;
        let sent = bench.fetch()?;
        bench.post(sent.cid, Status::from_raw(0), QID + 1)?;
        assert!(bench.interrupt());
        assert_eq!(read.wait(), Some(BlockStatus::OK));
        assert!(bench.counted("counters/odd_completions", b"1\n")?);
        Ok(())
    }

    #[test]
    fn interrupt_for_nothing_is_counted() -> Result {
        let mut bench = Bench::new(c"nvme-spurious")?;
        assert!(!bench.interrupt());
        assert!(!bench.interrupt());
        assert!(bench.counted("counters/spurious_interrupts", b"2\n")?);
        Ok(())
    }

    #[test]
    fn stopped_queue_sends_nothing_and_fails_requests() -> Result {
        let bench = Bench::new(c"nvme-stopped")?;
        bench.queue.stop();
        for bytes in [512, 8 * 4096] {
            let read = bench.start(Kind::Read, 0, 0, bytes)?;
            assert_eq!(read.wait(), Some(BlockStatus::IO_ERROR));
        }
        let reads = kunit::together(|| {
            [
                bench.start(Kind::Read, 0, 0, 512),
                bench.start(Kind::Read, 64, 0, 8 * 4096),
            ]
        });
        for read in reads {
            assert_eq!(read?.wait(), Some(BlockStatus::IO_ERROR));
        }
        assert_eq!(bench.doorbell(false)?, 0);
        Ok(())
    }

    #[test]
    fn cancelling_ends_every_request_in_flight() -> Result {
        let mut bench = Bench::new(c"nvme-cancel")?;
        let mut transfers = KVec::new();
        for sector in [0, 64, 128] {
            let write = bench.start(Kind::Write, sector, 0, 3 * 4096)?;
            transfers.push(write, GFP_KERNEL)?;
            bench.fetch()?;
        }
        bench.queue.stop();
        assert_eq!(bench.side.0.cancel_all(), 3);
        for transfer in &transfers {
            assert_eq!(transfer.wait(), Some(BlockStatus::IO_ERROR));
        }
        assert_eq!(bench.side.0.cancel_all(), 0);
        Ok(())
    }
}
