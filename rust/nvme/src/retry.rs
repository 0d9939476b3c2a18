// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What to do after a command that failed: end its request, or send it again, now or later
//! (Base 4.2.3, the fields CRD and DNR).
//!
//! Relies on the caller to count how often a request was sent again, and to unmap it before.

use crate::status::{Outcome, Status};

/// How often a request is sent again by default; the C driver's number.
pub const DEFAULT_RETRIES: u8 = 5;

/// The longest wait before a request is sent again, in milliseconds.
///
/// CRDT1 to CRDT3 go up to 109 minutes. Five waits of 10 s are 50 s in all, which leaves room
/// for the commands themselves below the two minutes after which the kernel reports tasks that
/// hang, and is more than a controller takes for what it reports in this way.
pub const MAX_DELAY_MS: u32 = 10_000;

/// The first wait for a controller that is busy and does not say for how long, in milliseconds;
/// each further one is twice as long. Five of them are 3.1 s.
pub const BUSY_DELAY_MS: u32 = 100;

/// A command with this many transient transport errors has a persistent one (Base 4.2.3.1).
const TRANSIENT_ERRORS: u8 = 4;

/// What holds for all requests of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// CRDT1 to CRDT3, in units of 100 ms.
    crdt: [u16; 3],
    max_retries: u8,
}

impl RetryPolicy {
    /// From Identify Controller's delays. CRD means something only if the host has enabled
    /// Advanced Command Retry (`acre`, Host Behavior Support): else it is reserved.
    pub const fn new(crdt: [u16; 3], acre: bool, max_retries: u8) -> Self {
        let crdt = if acre { crdt } else { [0; 3] };
        Self { crdt, max_retries }
    }
}

/// A request, as far as its retry goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// How often it was sent again so far.
    pub retries: u8,
    /// Whether whoever made it wants to hear of a failure at once (failfast), or must, as with a
    /// command that a program made.
    pub no_retry: bool,
    /// Whether its disk or controller goes away.
    pub dying: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The request ends with this.
    End(Outcome),
    /// Send it again at once.
    RetryNow,
    /// Send it again later.
    RetryAfter {
        /// How many milliseconds later: 1 to [`MAX_DELAY_MS`].
        ms: u32,
    },
}

/// What to do with a request whose command ended with `status`.
pub fn retry(status: Status, policy: &RetryPolicy, attempt: Attempt) -> Decision {
    let exhausted = attempt.retries >= policy.max_retries;
    let end = status.is_success()
        || attempt.no_retry
        || attempt.dying
        || exhausted
        || !status.retryable()
        || persists(status, attempt.retries);
    if end {
        return Decision::End(status.outcome());
    }
    match delay_ms(status, policy, attempt.retries) {
        0 => Decision::RetryNow,
        ms => Decision::RetryAfter { ms },
    }
}

/// Whether an error that should pass has come too often. Earlier errors may have been others,
/// which is no reason for more patience.
fn persists(status: Status, retries: u8) -> bool {
    let failures = retries.saturating_add(1);
    Status::from_raw(status.code()) == Status::TRANSIENT_TRANSPORT_ERROR
        && failures >= TRANSIENT_ERRORS
}

fn delay_ms(status: Status, policy: &RetryPolicy, retries: u8) -> u32 {
    let told = usize::from(status.crd())
        .checked_sub(1)
        .and_then(|index| policy.crdt.get(index))
        .map_or(0, |&delay| u32::from(delay).saturating_mul(100));
    let delay = if told == 0 && passes_with_time(status) {
        // Without a wait all retries are over before anything can have changed.
        let doubled = 1u32.checked_shl(u32::from(retries)).unwrap_or(u32::MAX);
        BUSY_DELAY_MS.saturating_mul(doubled)
    } else {
        told
    };
    delay.min(MAX_DELAY_MS)
}

/// Whether the controller is busy with something that takes its time.
fn passes_with_time(status: Status) -> bool {
    status.outcome() == Outcome::ResourceBusy
        || matches!(
            Status::from_raw(status.code()),
            Status::NAMESPACE_NOT_READY | Status::ACCESS_TRANSITION
        )
}
