// SPDX-License-Identifier: GPL-2.0

//! Zoned namespaces: their zones found out and told to the block layer, what is done with zones,
//! and where an append went.
//!
//! NVM Express Zoned Namespace Command Set Specification 1.1, sections 3.4 (commands) and 4.1.5
//! (Identify). What the controller says of zones is `nvme_proto::zoned`'s to judge.

use crate::{
    admin::AdminError,
    counters::Counters,
    describe::{with_data, Prepared},
    io::Io,
    io_queue::ListPools,
    namespace::{Namespace, Scanner},
    show::Show,
};
use kernel::{alloc::VVec, prelude::*, sync::Arc};
use kernel_ext::block::{
    mq::{self, Batch, Op, Request, ZoneLimits},
    Status as BlockStatus,
};
use nvme_proto::{
    command::{Cns, Command},
    identify::{
        IdentifyControllerZoned, IdentifyNamespace, IdentifyNamespaceZoned, NamespaceFormat,
    },
    queue_limits::QueueLimits,
    status::Status,
    zoned::{
        append_limit, appends, report_bytes, ReportError, Zone, ZoneAction, ZoneCondition,
        ZoneLayout, ZoneReport, CSI,
    },
};

/// The longest report that is asked for in one command: 2047 zones.
const MAX_REPORT: u32 = 128 << 10;

/// What a namespace's zones are.
#[derive(Clone, Copy)]
pub(crate) struct Zoned {
    pub(crate) layout: ZoneLayout,
    /// ZASL, if the controller appends.
    zasl: Option<u8>,
}

/// Asks what zones namespace `nsid` has; none if that makes no disk, which the log then tells.
/// Sleeps.
pub(crate) fn ask(
    scanner: &mut Scanner<'_>,
    nsid: u32,
    identify: &IdentifyNamespace,
    format: &NamespaceFormat,
) -> Result<Option<Zoned>, AdminError> {
    let data = scanner.identify(Command::identify_csi(nsid, Cns::CsiNamespace, CSI))?;
    let zoned = IdentifyNamespaceZoned::ref_from(&data[..]).ok_or(EIO)?;
    // The format is one of those that there are: it has been looked at before.
    let (index, _) = identify.format_in_use().map_err(|_| EIO)?;
    let layout = match ZoneLayout::new(zoned, index, format) {
        Ok(layout) => layout,
        Err(refused) => {
            dev_warn!(
                scanner.pdev,
                "namespace {nsid}: left out: {}\n",
                Show(refused)
            );
            return Ok(None);
        }
    };
    let zasl = ask_of_appends(scanner)?;
    Ok(Some(Zoned { layout, zasl }))
}

/// ZASL, if the controller can append; if not, the block layer makes writes of appends. Sleeps.
fn ask_of_appends(scanner: &mut Scanner<'_>) -> Result<Option<u8>, AdminError> {
    match scanner.identify(Command::zoned_effects()) {
        Ok(log) if appends(&log[..]) => {}
        Ok(_) | Err(AdminError::Status(_)) => return Ok(None),
        Err(error) => return Err(error),
    }
    let data = scanner.identify(Command::identify_csi(0, Cns::CsiController, CSI))?;
    let controller = IdentifyControllerZoned::ref_from(&data[..]).ok_or(EIO)?;
    Ok(Some(controller.zasl))
}

impl Zoned {
    /// The queue's limits with zones in the place of other boundaries.
    pub(crate) fn in_zones(&self, limits: QueueLimits) -> QueueLimits {
        limits.in_zones(u64::from(self.layout.zone_sectors) << 9)
    }

    /// What the block layer is told of them. `min_page` is CAP.MPSMIN's page in bytes.
    pub(crate) fn for_block_layer(&self, min_page: u64, max_transfer: u32) -> ZoneLimits {
        let (max_open, max_active) = self.layout.resources();
        ZoneLimits {
            zone_sectors: self.layout.zone_sectors,
            max_open,
            max_active,
            max_append: self
                .zasl
                .map_or(0, |zasl| append_limit(zasl, min_page, max_transfer)),
        }
    }
}

/// Makes the command for a request about zones, without data but for a report.
#[cold]
pub(crate) fn prepare(
    pools: &ListPools,
    namespace: &Namespace,
    rq: &mut Request<Io>,
) -> Result<Prepared, BlockStatus> {
    let layout = namespace.zones.ok_or(BlockStatus::NOT_SUPPORTED)?;
    let (nsid, slba) = (namespace.nsid, layout.lba(rq.sector()));
    let action = match rq.op() {
        Op::ZoneReset => ZoneAction::Reset,
        Op::ZoneOpen => ZoneAction::Open,
        Op::ZoneClose => ZoneAction::Close,
        Op::ZoneFinish => ZoneAction::Finish,
        Op::ZoneResetAll => {
            let command = Command::zone_action_on_all(nsid, ZoneAction::Reset);
            return Ok(Prepared::without_data(command));
        }
        Op::DriverIn => {
            let command = Command::report_zones(nsid, slba, rq.bytes());
            return with_data(pools, namespace, rq, command);
        }
        _ => return Err(BlockStatus::NOT_SUPPORTED),
    };
    Ok(Prepared::without_data(Command::zone_action(
        nsid, slba, action,
    )))
}

/// Ends an append whose command has succeeded, with `result`.
#[cold]
pub(crate) fn appended(mut rq: Request<Io>, result: u64, batch: &mut Batch<'_, Io>) {
    let layout = rq.disk().zones;
    let (start, sectors) = (rq.sector(), rq.bytes() >> 9);
    let written = layout
        .and_then(|layout| layout.appended(start, sectors, result))
        .ok_or(EIO)
        .and_then(|sector| rq.written_at(sector));
    if written.is_ok() {
        return rq.complete_in(batch);
    }
    let namespace = rq.disk();
    namespace.shared.counters.odd_zone(
        namespace.nsid,
        fmt!("an append to the zone at sector {start} is said to lie at block {result}"),
    );
    // Sent again it would be written twice.
    rq.data_mut().status = Status::INTERNAL_ERROR.without_retry();
    rq.complete(BlockStatus::IO_ERROR);
}

/// What it takes to report a disk's zones.
pub(crate) struct Zones {
    nsid: u32,
    layout: ZoneLayout,
    counters: Arc<Counters>,
}

impl Zones {
    pub(crate) fn of(namespace: &Namespace) -> Option<Self> {
        Some(Zones {
            nsid: namespace.nsid,
            layout: namespace.zones?,
            counters: namespace.shared.counters.clone(),
        })
    }

    /// Tells `report` the zones that it asks for. Sleeps.
    pub(crate) fn report(&self, report: &mut mq::ZoneReport<'_, Io>) -> Result {
        let mut walk = ZoneReport::new(self.layout, report.sector(), report.left());
        let longest = report.longest_fetch().min(MAX_REPORT);
        let mut buffer = new_buffer(walk.left(), longest)?;
        while walk.left() > 0 {
            // What the controller leaves out must not be what it said before.
            buffer.fill(0);
            report.fetch(walk.sector(), &mut buffer)?;
            match walk.take(&buffer, |_, zone| report.tell(for_block_layer(zone))) {
                Ok(_) => {}
                Err(ReportError::Stopped(error)) => return Err(error),
                Err(ReportError::Refused(refused)) => {
                    self.counters.odd_zone(self.nsid, fmt!("{}", Show(refused)));
                    return Err(EIO);
                }
            }
        }
        Ok(())
    }
}

/// Room for a report of `zones` zones, or as many as fit `longest` bytes; for one zone if memory
/// is short.
fn new_buffer(zones: u32, longest: u32) -> Result<VVec<u8>> {
    let bytes = report_bytes(zones, longest) as usize;
    let least = report_bytes(1, 0) as usize;
    VVec::from_elem(0, bytes, GFP_KERNEL)
        .or_else(|_| VVec::from_elem(0, least, GFP_KERNEL))
        .map_err(Error::from)
}

fn for_block_layer(zone: &Zone) -> mq::Zone {
    mq::Zone {
        condition: match zone.condition {
            ZoneCondition::Empty => mq::ZoneCondition::Empty,
            ZoneCondition::ImplicitlyOpened => mq::ZoneCondition::ImplicitlyOpen,
            ZoneCondition::ExplicitlyOpened => mq::ZoneCondition::ExplicitlyOpen,
            ZoneCondition::Closed => mq::ZoneCondition::Closed,
            ZoneCondition::ReadOnly => mq::ZoneCondition::ReadOnly,
            ZoneCondition::Full => mq::ZoneCondition::Full,
            ZoneCondition::Offline => mq::ZoneCondition::Offline,
        },
        capacity: zone.capacity,
        written: zone.written(),
        reset_recommended: zone.reset_recommended,
    }
}
