// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Features (Base 5.1.25): their identifiers, and what is agreed through them.

/// FID: the features that the driver knows (Base 5.1.25, figure of Feature Identifiers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureId {
    /// Arbitration.
    Arbitration = 0x01,
    /// Power Management.
    PowerManagement = 0x02,
    /// Temperature Threshold.
    TemperatureThreshold = 0x04,
    /// Volatile Write Cache.
    VolatileWriteCache = 0x06,
    /// Number of Queues.
    NumberOfQueues = 0x07,
    /// Interrupt Coalescing.
    InterruptCoalescing = 0x08,
    /// Asynchronous Event Configuration.
    AsyncEventConfiguration = 0x0b,
    /// Autonomous Power State Transition.
    AutonomousPowerStateTransition = 0x0c,
    /// Host Memory Buffer.
    HostMemoryBuffer = 0x0d,
    /// Timestamp.
    Timestamp = 0x0e,
    /// Host Behavior Support.
    HostBehaviorSupport = 0x16,
    /// Flexible Data Placement.
    FlexibleDataPlacement = 0x1d,
}

/// CDW11 of Set Features, Number of Queues: `n` submission and as many completion queues. None
/// cannot be asked for, so 0 counts as 1.
#[inline]
pub const fn number_of_queues_request(n: u16) -> u32 {
    let zero_based = n.saturating_sub(1) as u32;
    zero_based | (zero_based << 16)
}

/// The size of the data of Host Behavior Support in bytes (Base 5.1.25.1.14).
pub const HOST_BEHAVIOR_BYTES: usize = 512;

/// The first word of that data, to be stored little-endian; all others are 0. With `acre` the
/// controller may say how long to wait before a command is sent again (CRD), with `lbafee` it
/// serves namespaces of extended LBA formats, as those with a 64-bit guard.
#[inline]
pub const fn host_behavior(acre: bool, lbafee: bool) -> u64 {
    (acre as u64) | ((lbafee as u64) << 16)
}

/// Number of Queues (Base 5.1.25.2.1).
pub struct NumberOfQueues;

impl NumberOfQueues {
    /// How many queue pairs may be made: the device's answer counts from 0 for each kind, and
    /// what it grants beyond `asked` is not used.
    #[inline]
    pub fn granted(result_dw0: u32, asked: u16) -> u16 {
        let submission = (result_dw0 & 0xffff) as u16;
        let completion = (result_dw0 >> 16) as u16;
        submission.min(completion).saturating_add(1).min(asked)
    }
}
