// SPDX-License-Identifier: GPL-2.0

//! A request from `queue_rq` to its end, on real tag sets and disks of a device without hardware.
//!
//! The test plays the device: its queue does with a request what the test has told it to, and what
//! is in flight stays so until the test claims it.

mod commands;
mod company;
mod disks;
mod in_flight;
mod integrity;
mod requests;
#[cfg(CONFIG_BLK_DEV_ZONED)]
mod zoned;

use super::{
    Batch, Claimer, CommandQueue, GenDisk, InFlight, IntegrityChecks, Limits, Op, Operations,
    QueueKinds, Rejected, Request, RequestList, TagSet, TagSetConfig, Ticket, Zone, ZoneCondition,
    ZoneReport,
};
use crate::{
    block::Status,
    kunit::{self, Device, Drops, Kind, Memory, Tell, Transfer},
};
use kernel::{
    new_condvar, new_spinlock,
    page::PAGE_SIZE,
    prelude::*,
    sync::{Arc, CondVar, CondVarTimeoutResult, SpinLock},
    ModuleMetadata,
};

/// Stands for the module, which stays while its tests run.
pub(crate) struct TestModule;

impl ModuleMetadata for TestModule {
    const NAME: &'static CStr = c"kernel_ext_tests";
    // SAFETY: C code takes and gives back references to no module as it does for built-in code.
    const THIS_MODULE: kernel::ThisModule =
        unsafe { kernel::ThisModule::from_ptr(core::ptr::null_mut()) };
}

/// What the queue does with the next requests.
#[derive(Clone, Copy)]
enum Do {
    Keep,
    End(Status),
    Drop,
    Reject(Status),
    /// Rejects once for want of memory, then keeps.
    RejectOnce,
    /// Maps the data twice, notes the ranges of the second time, then keeps.
    Map,
    /// Notes what is to be checked, maps at least so many bytes of metadata, twice, and notes the
    /// range of the second time, then keeps.
    MapIntegrity(u64),
}

/// What the queue has seen of a request.
#[derive(Clone, Copy)]
struct Seen {
    op: Op,
    sector: u64,
    bytes: u32,
    fua: bool,
    last: bool,
}

struct Notes {
    order: Do,
    seen: KVec<Seen>,
    tickets: KVec<Ticket>,
    returned: usize,
    ranges: KVec<super::Segment>,
    checks: Option<IntegrityChecks>,
}

#[pin_data]
struct Queue {
    in_flight: InFlight<TestIo>,
    #[pin]
    notes: SpinLock<Notes>,
    #[pin]
    noted: CondVar,
    _tell: Tell,
}

struct TestIo;

/// What the release of a request adds to its data, and its completion adds 1.
const RELEASED: u32 = 1000;

struct SetData {
    queue: Arc<Queue>,
    _tell: Tell,
}

impl Queue {
    fn keep(&self, rq: Request<TestIo>) -> Result<(), Rejected<TestIo>> {
        match self.in_flight.put(rq) {
            Ok(ticket) => {
                let _ = self.notes.lock().tickets.push(ticket, GFP_ATOMIC);
                self.noted.notify_all();
                Ok(())
            }
            Err(rq) => {
                self.notes.lock().returned += 1;
                self.noted.notify_all();
                Err(Rejected(rq, Status::TARGET))
            }
        }
    }

    /// What `find` finds in the notes, now or soon: the block layer calls `queue_rq` when it likes.
    fn await_note<R>(&self, find: impl Fn(&Notes) -> Option<R>) -> Result<R> {
        let mut left = kernel::time::msecs_to_jiffies(kunit::PATIENCE_MS);
        let mut notes = self.notes.lock();
        loop {
            if let Some(found) = find(&notes) {
                return Ok(found);
            }
            left = match self.noted.wait_interruptible_timeout(&mut notes, left) {
                CondVarTimeoutResult::Woken { jiffies } => jiffies,
                _ => return find(&notes).ok_or(ETIMEDOUT),
            };
        }
    }

    /// The ticket of the `index`-th request that was kept, once there is one.
    fn ticket(&self, index: usize) -> Result<Ticket> {
        self.await_note(|notes| notes.tickets.get(index).copied())
    }

    /// The `index`-th request that came, once there is one.
    fn seen(&self, index: usize) -> Result<Seen> {
        self.await_note(|notes| notes.seen.get(index).copied())
    }

    fn order(&self, order: Do) {
        self.notes.lock().order = order;
    }

    fn map(&self, rq: &mut Request<TestIo>) -> Result<(), Status> {
        let mut segments = rq.map_data();
        segments.by_ref().for_each(drop);
        segments.finish()?;
        let mut segments = rq.map_data();
        let mut notes = self.notes.lock();
        for segment in segments.by_ref() {
            let _ = notes.ranges.push(segment, GFP_ATOMIC);
        }
        segments.finish()
    }

    fn map_integrity(&self, rq: &mut Request<TestIo>, bytes: u64) -> Result<(), Status> {
        self.notes.lock().checks = rq.integrity();
        rq.map_integrity(bytes)?;
        let range = rq.map_integrity(bytes)?;
        let _ = self.notes.lock().ranges.push(range, GFP_ATOMIC);
        Ok(())
    }
}

impl Operations for TestIo {
    type OwnerModule = TestModule;
    type SetData = SetData;
    type HwData = Queue;
    type QueueData = Tell;
    type RequestData = u32;
    type Zones = ();

    fn init_hctx(set: &SetData, _index: usize) -> Result<Arc<Queue>> {
        Ok(set.queue.clone())
    }

    fn queue_rq(
        hw: &Queue,
        _disk: &Tell,
        mut rq: Request<TestIo>,
        last: bool,
    ) -> Result<(), Rejected<TestIo>> {
        let seen = Seen {
            op: rq.op(),
            sector: rq.sector(),
            bytes: rq.bytes(),
            fua: rq.fua(),
            last,
        };
        let order = {
            let mut notes = hw.notes.lock();
            let _ = notes.seen.push(seen, GFP_ATOMIC);
            hw.noted.notify_all();
            let order = notes.order;
            if let Do::RejectOnce = order {
                notes.order = Do::Keep;
            }
            order
        };
        match order {
            Do::Keep => hw.keep(rq),
            Do::End(status) => {
                rq.end(status);
                Ok(())
            }
            Do::Drop => Ok(()),
            Do::Reject(status) => Err(Rejected(rq, status)),
            Do::RejectOnce => Err(Rejected(rq, Status::RESOURCE)),
            Do::Map => match hw.map(&mut rq) {
                Ok(()) => hw.keep(rq),
                Err(status) => Err(Rejected(rq, status)),
            },
            Do::MapIntegrity(bytes) => match hw.map_integrity(&mut rq, bytes) {
                Ok(()) => hw.keep(rq),
                Err(status) => Err(Rejected(rq, status)),
            },
        }
    }

    fn commit_rqs(_hw: &Queue) {}

    fn release(data: &mut u32, op: Op) {
        assert_eq!(op, Op::Read);
        *data += RELEASED;
    }

    fn zones(_disk: &Tell) -> Option<()> {
        Some(())
    }

    fn report_zones(_zones: (), report: &mut ZoneReport<'_, TestIo>) -> Result {
        report_test_zones(report)
    }

    fn complete(mut rq: Request<TestIo>) {
        *rq.data_mut() += 1;
        let status = rq.status();
        rq.end(status);
    }
}

/// Tells of zones that alternate between empty and half written, each of 16 sectors less than its
/// size. Impossible ones and one too many are refused.
fn report_test_zones(report: &mut ZoneReport<'_, TestIo>) -> Result {
    let zone = |condition, capacity, written| Zone {
        condition,
        capacity,
        written,
        reset_recommended: false,
    };
    while report.left() > 0 {
        for (capacity, written) in [(0, 0), (257, 0), (240, 241), (u64::MAX, u64::MAX)] {
            let impossible = zone(ZoneCondition::Closed, capacity, written);
            if report.tell(impossible) != Err(EINVAL) {
                return Err(EFAULT);
            }
        }
        let half = report.sector() & 256 != 0;
        report.tell(if half {
            zone(ZoneCondition::Closed, 240, 120)
        } else {
            zone(ZoneCondition::Empty, 240, 0)
        })?;
    }
    match report.tell(zone(ZoneCondition::Empty, 240, 0)) {
        Err(error) if error == EINVAL => Ok(()),
        _ => Err(EFAULT),
    }
}

/// The device's side of a queue. When a test fails, what it has left in flight ends here, before
/// the disk goes and waits for it.
struct Side(Claimer<TestIo>);

impl Drop for Side {
    fn drop(&mut self) {
        while let Some((request, _)) = self.0.claim_any_from(0) {
            drop(request);
        }
    }
}

/// A disk of 1 MiB on a device of its own, and both sides of its one queue.
struct Bench {
    side: Side,
    disk: GenDisk<TestIo>,
    set: Arc<TagSet<TestIo>>,
    queue: Arc<Queue>,
    memory: Arc<Memory>,
    device: Device,
}

const LIMITS: Limits = Limits {
    logical_block_size: 512,
    physical_block_size: 4096,
    max_transfer: 64 << 10,
    max_segments: 17,
    virt_boundary_mask: PAGE_SIZE - 1,
    dma_alignment: 3,
    write_cache: true,
    fua: true,
    ..Limits::NONE
};

fn new_queue(places: u16, drops: &Drops) -> Result<(Arc<Queue>, Claimer<TestIo>)> {
    let (in_flight, claimer) = InFlight::new(places)?;
    let notes = Notes {
        order: Do::Keep,
        seen: KVec::with_capacity(64, GFP_KERNEL)?,
        tickets: KVec::with_capacity(64, GFP_KERNEL)?,
        returned: 0,
        ranges: KVec::with_capacity(64, GFP_KERNEL)?,
        checks: None,
    };
    let queue = Arc::pin_init(
        pin_init!(Queue {
            in_flight,
            notes <- new_spinlock!(notes),
            noted <- new_condvar!(),
            _tell: drops.tell(),
        }),
        GFP_KERNEL,
    )?;
    Ok((queue, claimer))
}

fn new_set(
    device: &Device,
    queue: &Arc<Queue>,
    depth: u16,
    drops: &Drops,
) -> Result<Arc<TagSet<TestIo>>> {
    let config = TagSetConfig {
        queues: QueueKinds {
            default: 1,
            read: 0,
            // A disk with a second queue gets no scheduler, which would take requests one by one.
            poll: 1,
        },
        depth,
        first_vector: 0,
    };
    let data = SetData {
        queue: queue.clone(),
        _tell: drops.tell(),
    };
    TagSet::new(device.bound(), config, data)
}

impl Bench {
    /// With `depth` tags, and a table of commands in flight with that many places.
    fn new(name: &CStr, depth: u16) -> Result<Self> {
        Self::with_drops(name, depth, depth, &Drops::new()?, &Drops::new()?)
    }

    fn with_drops(
        name: &CStr,
        depth: u16,
        places: u16,
        disks: &Drops,
        others: &Drops,
    ) -> Result<Self> {
        let device = Device::new(name)?;
        let (queue, claimer) = new_queue(places, others)?;
        let set = new_set(&device, &queue, depth, others)?;
        let disk = Self::add(&device, &set, disks)?;
        let memory = Memory::new(device.bound(), 16)?;
        Ok(Bench {
            side: Side(claimer),
            disk,
            set,
            queue,
            memory,
            device,
        })
    }

    fn add(device: &Device, set: &Arc<TagSet<TestIo>>, drops: &Drops) -> Result<GenDisk<TestIo>> {
        let dev = device.bound();
        let name = dev.name();
        let tell = drops.tell();
        let disk = GenDisk::add(dev, set.clone(), fmt!("kunit-{name}"), LIMITS, 0, tell)?;
        kunit::set_capacity(&disk, dev, 2048)?;
        Ok(disk)
    }

    fn start(&self, kind: Kind, sector: u64, begin: usize, bytes: usize) -> Result<Transfer> {
        let dev = self.device.bound();
        Transfer::start(&self.disk, dev, kind, sector, &self.memory, begin, bytes)
    }

    /// How a read ends that the queue answers by itself as `order` says.
    fn read_with(&self, order: Do) -> Result<Option<Status>> {
        self.queue.order(order);
        Ok(self.start(Kind::Read, 0, 0, 512)?.wait())
    }

    /// Claims the `index`-th request kept, and completes it with success.
    fn complete(&mut self, index: usize) -> Result {
        let ticket = self.queue.ticket(index)?;
        self.side
            .0
            .claim(ticket)
            .ok_or(ENOENT)?
            .complete(Status::OK);
        Ok(())
    }
}
