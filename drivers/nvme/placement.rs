// SPDX-License-Identifier: GPL-2.0

//! Flexible Data Placement: asks which write streams a namespace has, and sends a write into its.
//!
//! NVM Express Base Specification 2.1, section 8.1.10. A stream is a hint: a namespace of which
//! something makes no sense does without, after one line in the log.

use crate::{
    admin::AdminError,
    io::Io,
    namespace::{IdentifyData, Namespace, Scanner},
    own_command,
    show::Show,
};
use core::mem::size_of;
use kernel::{alloc::KVVec, prelude::*};
use kernel_ext::{
    block::mq::{Limits, Request},
    dma::Coherent,
};
use nvme_proto::{
    command::Command,
    identify::{IdentifyNamespace, NamespaceFormat},
    placement::{
        configurations_bytes, enabled_configuration, FdpConfiguration, PlacementRefused,
        WriteStreams, CONFIGURATIONS_HEADER, CTRATT_FDPS, STATUS_BYTES,
    },
    PAGE,
};

#[cfg(CONFIG_KUNIT = "y")]
pub(crate) mod tests;

/// Why a namespace has no streams.
enum Without {
    /// What the controller says makes no sense.
    Refused(PlacementRefused),
    /// It did not answer a question as it should.
    Unanswered(&'static str, AdminError),
}

impl From<PlacementRefused> for Without {
    fn from(refused: PlacementRefused) -> Self {
        Without::Refused(refused)
    }
}

/// The write streams of namespace `nsid`, if it has any. Sleeps.
///
/// An error only where the controller cannot be expected to answer anything else.
pub(crate) fn ask(
    scanner: &mut Scanner<'_>,
    nsid: u32,
    identify: &IdentifyNamespace,
    format: &NamespaceFormat,
) -> Result<Option<KBox<WriteStreams>>> {
    let endgid = identify.endgid.get();
    if scanner.controller.ctratt.get() & CTRATT_FDPS == 0 || endgid == 0 {
        return Ok(None);
    }
    match streams(scanner, nsid, endgid, format) {
        Ok(streams) => Ok(streams),
        Err(Without::Refused(refused)) => {
            dev_warn!(scanner.pdev, "namespace {nsid}: {}\n", Show(refused));
            Ok(None)
        }
        Err(Without::Unanswered(question, AdminError::Status(status))) => {
            dev_warn!(
                scanner.pdev,
                "namespace {nsid}: no write streams: {question}: {}\n",
                Show(status)
            );
            Ok(None)
        }
        Err(Without::Unanswered(_, AdminError::Kernel(error))) if error == ENOMEM => {
            dev_warn!(
                scanner.pdev,
                "namespace {nsid}: no write streams: no memory\n"
            );
            Ok(None)
        }
        Err(Without::Unanswered(_, AdminError::Kernel(error))) => Err(error),
    }
}

fn streams(
    scanner: &mut Scanner<'_>,
    nsid: u32,
    endgid: u16,
    format: &NamespaceFormat,
) -> Result<Option<KBox<WriteStreams>>, Without> {
    let feature = scanner
        .admin
        .execute(scanner.registers, Command::get_fdp(endgid), None)
        .map_err(|error| Without::Unanswered("Get Features, Flexible Data Placement", error))?;
    let Some(index) = enabled_configuration(feature.dw0()) else {
        return Ok(None);
    };
    let log = configurations(scanner, endgid)?;
    let configuration = FdpConfiguration::find(&log, index)?;
    let status = handles(scanner, nsid, format)
        .map_err(|error| Without::Unanswered("Reclaim Unit Handle Status", error))?;
    let streams = WriteStreams::new(&configuration, &status[..])?;
    let streams = KBox::new(streams, GFP_KERNEL)
        .map_err(|error| Without::Unanswered("write streams", Error::from(error).into()))?;
    dev_info!(
        scanner.pdev,
        "namespace {nsid}: {} write streams of {} bytes a unit\n",
        streams.pids().len(),
        streams.granularity()
    );
    Ok(Some(streams))
}

/// A private copy of the log of configurations, read a page at a time.
fn configurations(scanner: &mut Scanner<'_>, endgid: u16) -> Result<KVVec<u8>, Without> {
    let mut piece = |offset: u32, bytes: u32| {
        let command = Command::get_fdp_configurations(endgid, offset.into(), bytes);
        scanner.identify(command)
    };
    let unanswered = |error| Without::Unanswered("FDP Configurations", error);
    let header = piece(0, CONFIGURATIONS_HEADER as u32).map_err(unanswered)?;
    let size = configurations_bytes(header.get(..CONFIGURATIONS_HEADER).unwrap_or(&[]))?;
    let mut log = KVVec::new();
    let mut offset = 0;
    while offset < size {
        let bytes = size.wrapping_sub(offset).min(PAGE);
        let data = piece(offset, bytes).map_err(unanswered)?;
        let read = data.get(..bytes as usize).unwrap_or(&[]);
        log.extend_from_slice(read, GFP_KERNEL)
            .map_err(|error| unanswered(Error::from(error).into()))?;
        offset = offset.wrapping_add(bytes);
    }
    Ok(log)
}

/// A private copy of the status of a namespace's reclaim unit handles.
fn handles(
    scanner: &Scanner<'_>,
    nsid: u32,
    format: &NamespaceFormat,
) -> Result<IdentifyData, AdminError> {
    const WORDS: usize = STATUS_BYTES.div_ceil(size_of::<u64>());
    const { assert!(STATUS_BYTES <= PAGE as usize) };
    let buffer = Coherent::new(scanner.pdev.as_ref(), WORDS)?;
    let place = Namespace::plain(nsid, *format, scanner.shared.clone());
    let command = Command::reclaim_unit_handle_status(nsid).with_data(buffer.dma_address(), 0);
    own_command::execute(scanner, place, command)?;
    crate::namespace::private_copy(&buffer)
}

/// `limits` with the streams of a namespace.
pub(crate) fn with_streams(limits: Limits, streams: Option<&WriteStreams>) -> Limits {
    let Some(streams) = streams else {
        return limits;
    };
    Limits {
        write_streams: u16::try_from(streams.pids().len()).unwrap_or(u16::MAX),
        write_stream_granularity: streams.granularity(),
        ..limits
    }
}

/// The write `command` into the stream that `rq` names; anywhere if it names none of these.
#[inline]
pub(crate) fn placed(command: Command, streams: &WriteStreams, rq: &Request<Io>) -> Command {
    match streams.pid(rq.write_stream().into()) {
        Some(pid) => command.with_placement(pid),
        None => command,
    }
}
