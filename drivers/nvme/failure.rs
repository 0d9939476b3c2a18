// SPDX-License-Identifier: GPL-2.0

//! What becomes of a request whose command failed: it is sent again, or ends with an error.
//!
//! NVM Express Base Specification 2.1, section 4.2.3. The decision is `nvme_proto::retry`'s; which
//! status means which error is in Documentation/status.md.

use crate::{io::Io, module_parameters, show::Show};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel_ext::block::{
    mq::{Op, Request},
    Status as BlockStatus,
};
use nvme_proto::{
    identify::IdentifyController,
    retry::{retry, Attempt, Decision, RetryPolicy},
    status::Outcome,
};

/// The longest delay while disks are being added: partitions are read then, one request at a
/// time, and neither unbind nor rmmod can begin before that ends.
const PROBE_DELAY_MS: u32 = 100;

/// How requests of a controller are sent again, with delays if those were `agreed` on.
pub(crate) fn retry_policy(identity: &IdentifyController, agreed: bool) -> RetryPolicy {
    let retries = u8::try_from(module_parameters::max_retries.value()).unwrap_or(u8::MAX);
    RetryPolicy::new(identity.crdt.map(|delay| delay.get()), agreed, retries)
}

/// Ends `rq`, whose command failed with the status in its data, or has it sent again.
#[cold]
pub(crate) fn failed(rq: Request<Io>) {
    // Whoever sent a command of the driver's own sees its status, and knows what to do about it.
    if rq.op() == Op::Driver {
        return rq.end(BlockStatus::IO_ERROR);
    }
    let namespace = rq.disk();
    let shared = &namespace.shared;
    let status = rq.data().status;
    let attempt = Attempt {
        retries: rq.requeued(),
        no_retry: rq.fails_fast(),
        dying: rq.disk_is_dying(),
    };
    match retry(status, &shared.retry_policy, attempt) {
        Decision::End(outcome) => {
            let (op, sector) = (rq.op(), rq.sector());
            shared.counters.failed(
                namespace.nsid,
                fmt!(
                    "{op:?} of {} bytes at sector {sector}, sent {} times: {}",
                    rq.bytes(),
                    u32::from(attempt.retries).wrapping_add(1),
                    Show(status)
                ),
            );
            rq.end(block_error(outcome));
        }
        Decision::RetryNow => {
            shared.counters.retried();
            rq.requeue(0);
        }
        Decision::RetryAfter { ms } => {
            shared.counters.retried();
            let settled = shared.settled.load(Ordering::Relaxed);
            rq.requeue(if settled { ms } else { ms.min(PROBE_DELAY_MS) });
        }
    }
}

/// What the block layer is told of a command that ended in this way.
pub(crate) fn block_error(outcome: Outcome) -> BlockStatus {
    match outcome {
        Outcome::Success => BlockStatus::OK,
        Outcome::NotSupported => BlockStatus::NOT_SUPPORTED,
        Outcome::Timeout => BlockStatus::TIMEOUT,
        Outcome::NoSpace => BlockStatus::NO_SPACE,
        Outcome::Target => BlockStatus::TARGET,
        Outcome::Medium => BlockStatus::MEDIUM,
        Outcome::Protection => BlockStatus::PROTECTION,
        Outcome::Reservation => BlockStatus::RESERVATION_CONFLICT,
        Outcome::Transport => BlockStatus::TRANSPORT,
        Outcome::ZoneActiveResource => BlockStatus::ZONE_ACTIVE_RESOURCE,
        Outcome::ZoneOpenResource => BlockStatus::ZONE_OPEN_RESOURCE,
        // It was tried again as often as it may be: who asked is not told to go on for ever.
        Outcome::ResourceBusy | Outcome::Io => BlockStatus::IO_ERROR,
    }
}
