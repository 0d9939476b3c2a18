// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Controller registers (Base 3.1.4): where they are and what their bits say.
//!
//! Each type wraps one value that was read once. Relies on the caller to read a register whole.

use crate::PAGE_SHIFT;
use core::fmt;

/// Offsets in BAR 0, in bytes (Base 3.1.4; doorbells PCIe 3.1.2).
pub mod offset {
    /// Controller Capabilities, 64 bits.
    pub const CAP: usize = 0x00;
    /// Version.
    pub const VS: usize = 0x08;
    /// Interrupt Mask Set.
    pub const INTMS: usize = 0x0c;
    /// Interrupt Mask Clear.
    pub const INTMC: usize = 0x10;
    /// Controller Configuration.
    pub const CC: usize = 0x14;
    /// Controller Status.
    pub const CSTS: usize = 0x1c;
    /// NVM Subsystem Reset.
    pub const NSSR: usize = 0x20;
    /// Admin Queue Attributes.
    pub const AQA: usize = 0x24;
    /// Admin Submission Queue Base Address, 64 bits.
    pub const ASQ: usize = 0x28;
    /// Admin Completion Queue Base Address, 64 bits.
    pub const ACQ: usize = 0x30;
    /// Controller Memory Buffer Location.
    pub const CMBLOC: usize = 0x38;
    /// Controller Memory Buffer Size.
    pub const CMBSZ: usize = 0x3c;
    /// Boot Partition Information.
    pub const BPINFO: usize = 0x40;
    /// Boot Partition Read Select.
    pub const BPRSEL: usize = 0x44;
    /// Boot Partition Memory Buffer Location, 64 bits.
    pub const BPMBL: usize = 0x48;
    /// Controller Memory Buffer Memory Space Control, 64 bits.
    pub const CMBMSC: usize = 0x50;
    /// Controller Memory Buffer Status.
    pub const CMBSTS: usize = 0x58;
    /// Controller Ready Timeouts.
    pub const CRTO: usize = 0x68;
    /// The first doorbell: the tail of the admin submission queue.
    pub const DOORBELLS: usize = 0x1000;
}

/// The longest that a controller is waited for to become ready or to stop, whatever it asks.
///
/// CRTO alone could ask for nine hours.
pub const MAX_READY_TIMEOUT_MS: u32 = 60_000;

/// The shortest wait: a controller that states 0 has stated nothing.
pub const MIN_READY_TIMEOUT_MS: u32 = 500;

/// The unit of CAP.TO and of CRTO.
const READY_UNIT_MS: u32 = 500;

/// CAP: Controller Capabilities (Base 3.1.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap(u64);

impl Cap {
    /// Takes the register's value.
    #[inline]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The register's value.
    #[inline]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Whether all bits are set: what the bus answers for a device that is gone.
    #[inline]
    pub const fn is_gone(self) -> bool {
        self.0 == u64::MAX
    }

    #[inline]
    const fn bit(self, at: u32) -> bool {
        self.0 & 1u64.wrapping_shl(at) != 0
    }

    #[inline]
    const fn byte(self, at: u32) -> u8 {
        (self.0.wrapping_shr(at) & 0xff) as u8
    }

    /// MQES: the most entries of a queue, 0's based.
    #[inline]
    pub const fn mqes(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// The most entries of a queue (MQES + 1), or `None` for the forbidden MQES of 0: a queue of
    /// one entry could never hold a command.
    #[inline]
    pub const fn queue_entries(self) -> Option<u32> {
        match self.mqes() {
            0 => None,
            // Widened first, so the sum cannot overflow.
            mqes => Some((mqes as u32).wrapping_add(1)),
        }
    }

    /// CQR: whether queues must be physically contiguous.
    #[inline]
    pub const fn cqr(self) -> bool {
        self.bit(16)
    }

    /// AMS: arbitration mechanisms beside round robin, 2 bits.
    #[inline]
    pub const fn ams(self) -> u8 {
        self.byte(17) & 0x3
    }

    /// TO: the longest that becoming ready, or stopping, takes by the controller's own word, in
    /// milliseconds. See [`ready_timeout_ms`] for the time to wait.
    #[inline]
    pub const fn to_ms(self) -> u32 {
        (self.byte(24) as u32).wrapping_mul(READY_UNIT_MS)
    }

    /// DSTRD: the doorbell stride as an exponent.
    #[inline]
    pub const fn dstrd(self) -> u8 {
        self.byte(32) & 0xf
    }

    /// The distance of two doorbells in bytes: 4 to 131072.
    #[inline]
    pub const fn doorbell_stride(self) -> usize {
        4usize.wrapping_shl(self.dstrd() as u32)
    }

    /// NSSRS: whether the NVM subsystem reset is supported.
    #[inline]
    pub const fn nssrs(self) -> bool {
        self.bit(36)
    }

    /// CSS: the command sets supported, one bit each.
    #[inline]
    pub const fn css(self) -> u8 {
        self.byte(37)
    }

    /// Whether the NVM Command Set can be used: by its own bit, or as one of several.
    #[inline]
    pub const fn supports_nvm_command_set(self) -> bool {
        self.css() & 0x01 != 0 || self.supports_command_set_selection()
    }

    /// Whether all I/O command sets can be enabled together (CC.CSS = 110b).
    #[inline]
    pub const fn supports_command_set_selection(self) -> bool {
        self.css() & 0x40 != 0
    }

    /// BPS: whether there are boot partitions.
    #[inline]
    pub const fn bps(self) -> bool {
        self.bit(45)
    }

    /// MPSMIN: the smallest memory page, as an exponent above 4 KiB.
    #[inline]
    pub const fn mpsmin(self) -> u8 {
        self.byte(48) & 0xf
    }

    /// The smallest memory page in bytes, which is also the unit of MDTS.
    #[inline]
    pub const fn min_page_size(self) -> u64 {
        4096u64.wrapping_shl(self.mpsmin() as u32)
    }

    /// MPSMAX: the largest memory page, as an exponent above 4 KiB.
    #[inline]
    pub const fn mpsmax(self) -> u8 {
        self.byte(52) & 0xf
    }

    /// PMRS: whether there is a Persistent Memory Region.
    #[inline]
    pub const fn pmrs(self) -> bool {
        self.bit(56)
    }

    /// CMBS: whether there is a Controller Memory Buffer.
    #[inline]
    pub const fn cmbs(self) -> bool {
        self.bit(57)
    }

    /// CRMS: the ready modes supported; not 0 means that CRTO exists.
    #[inline]
    pub const fn crms(self) -> u8 {
        self.byte(59) & 0x3
    }

    /// CRIMS, bit 1 of CRMS: ready independent of media, and so is an Identify Namespace.
    pub const fn crims(self) -> bool {
        self.crms() & 2 != 0
    }
}

/// VS: the version of the specification (Base 3.1.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vs(u32);

impl Vs {
    /// Takes the register's value, or the Identify Controller field VER.
    #[inline]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// The register's value.
    #[inline]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Major version.
    #[inline]
    pub const fn major(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Minor version.
    #[inline]
    pub const fn minor(self) -> u8 {
        ((self.0 >> 8) & 0xff) as u8
    }

    /// Tertiary version.
    #[inline]
    pub const fn tertiary(self) -> u8 {
        (self.0 & 0xff) as u8
    }

    /// Whether this version is `major.minor` or newer.
    #[inline]
    pub const fn at_least(self, major: u16, minor: u8) -> bool {
        self.major() > major || (self.major() == major && self.minor() >= minor)
    }
}

impl fmt::Display for Vs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major(), self.minor(), self.tertiary())
    }
}

/// CC.SHN: which shutdown the controller is notified of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shn {
    /// No notification.
    None = 0,
    /// Normal: what is cached is saved.
    Normal = 1,
    /// Abrupt: as fast as can be.
    Abrupt = 2,
}

/// CC.CSS: the command sets that get enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandSets {
    /// The NVM Command Set alone.
    Nvm = 0b000,
    /// All that the controller supports.
    All = 0b110,
}

/// CC: Controller Configuration (Base 3.1.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cc(u32);

impl Cc {
    const EN: u32 = 1;
    const SHN: u32 = 0x3 << 14;
    /// log2 of the entry sizes of the NVM Command Set: 64 and 16 bytes.
    const ENTRY_SIZES: u32 = (6 << 16) | (4 << 20);

    /// Takes the register's value.
    #[inline]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// The register's value.
    #[inline]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Enabled, with the NVM Command Set, memory pages of `1 << page_shift` bytes (12 to 27,
    /// else the nearest), round robin arbitration and entries of 64 and 16 bytes.
    #[inline]
    pub const fn enabled(page_shift: u8) -> Self {
        Self::enabled_with(page_shift, CommandSets::Nvm)
    }

    /// As [`Cc::enabled`], with the command sets chosen.
    #[inline]
    pub const fn enabled_with(page_shift: u8, sets: CommandSets) -> Self {
        let mps = match page_shift.saturating_sub(PAGE_SHIFT) {
            above @ 0..=15 => above as u32,
            _ => 15,
        };
        Self(Self::EN | ((sets as u32) << 4) | (mps << 7) | Self::ENTRY_SIZES)
    }

    /// The same with a shutdown notification.
    #[inline]
    pub const fn with_shn(self, shn: Shn) -> Self {
        Self(self.0 & !Self::SHN | ((shn as u32) << 14))
    }

    /// The same with EN cleared, which resets the controller.
    #[inline]
    pub const fn without_enable(self) -> Self {
        Self(self.0 & !Self::EN)
    }

    /// EN: whether the controller is enabled.
    #[inline]
    pub const fn en(self) -> bool {
        self.0 & Self::EN != 0
    }

    /// CSS: the command sets selected, 3 bits.
    #[inline]
    pub const fn css(self) -> u8 {
        ((self.0 >> 4) & 0x7) as u8
    }

    /// MPS: the memory page as an exponent above 4 KiB.
    #[inline]
    pub const fn mps(self) -> u8 {
        ((self.0 >> 7) & 0xf) as u8
    }

    /// SHN: the shutdown notification, 2 bits.
    #[inline]
    pub const fn shn(self) -> u8 {
        ((self.0 >> 14) & 0x3) as u8
    }

    /// IOSQES: log2 of a submission queue entry.
    #[inline]
    pub const fn iosqes(self) -> u8 {
        ((self.0 >> 16) & 0xf) as u8
    }

    /// IOCQES: log2 of a completion queue entry.
    #[inline]
    pub const fn iocqes(self) -> u8 {
        ((self.0 >> 20) & 0xf) as u8
    }
}

/// CSTS.SHST: how far a shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownStatus {
    /// None was asked for.
    Normal,
    /// It is being done.
    Occurring,
    /// It is done; the power may go.
    Complete,
    /// A value without a meaning.
    Reserved,
}

/// CSTS: Controller Status (Base 3.1.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Csts(u32);

impl Csts {
    /// Takes the register's value.
    #[inline]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// The register's value.
    #[inline]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Whether all bits are set: what the bus answers for a device that is gone. To be asked
    /// before any other bit is believed.
    #[inline]
    pub const fn is_gone(self) -> bool {
        self.0 == u32::MAX
    }

    /// RDY: whether commands are taken.
    #[inline]
    pub const fn rdy(self) -> bool {
        self.0 & 1 != 0
    }

    /// CFS: whether a fatal error happened that only a reset can end.
    #[inline]
    pub const fn cfs(self) -> bool {
        self.0 & (1 << 1) != 0
    }

    /// SHST: how far a shutdown is.
    #[inline]
    pub const fn shst(self) -> ShutdownStatus {
        match (self.0 >> 2) & 0x3 {
            0 => ShutdownStatus::Normal,
            1 => ShutdownStatus::Occurring,
            2 => ShutdownStatus::Complete,
            _ => ShutdownStatus::Reserved,
        }
    }

    /// NSSRO: whether an NVM subsystem reset happened.
    #[inline]
    pub const fn nssro(self) -> bool {
        self.0 & (1 << 4) != 0
    }

    /// PP: whether processing is paused.
    #[inline]
    pub const fn pp(self) -> bool {
        self.0 & (1 << 5) != 0
    }
}

/// AQA: Admin Queue Attributes (Base 3.1.4.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aqa(u32);

impl Aqa {
    /// The most entries of an admin queue.
    pub const MAX_ENTRIES: u16 = 4096;

    /// The register's value for queues of so many entries (2 to 4096, else the nearest); the
    /// register itself counts from 0.
    #[inline]
    #[allow(clippy::new_ret_no_self)]
    pub const fn new(asqs_entries: u16, acqs_entries: u16) -> u32 {
        Self::zero_based(asqs_entries) | (Self::zero_based(acqs_entries) << 16)
    }

    #[inline]
    const fn zero_based(entries: u16) -> u32 {
        match entries {
            0..=2 => 1,
            3..=Self::MAX_ENTRIES => (entries as u32).wrapping_sub(1),
            _ => 4095,
        }
    }

    /// Takes the register's value.
    #[inline]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// Entries of the admin submission queue.
    #[inline]
    pub const fn asqs_entries(self) -> u16 {
        ((self.0 & 0xfff) as u16).wrapping_add(1)
    }

    /// Entries of the admin completion queue.
    #[inline]
    pub const fn acqs_entries(self) -> u16 {
        (((self.0 >> 16) & 0xfff) as u16).wrapping_add(1)
    }
}

/// How long to wait for CSTS.RDY to follow CC.EN, in milliseconds.
///
/// `crto` is the CRTO register (Base 3.1.4.21) where CAP.CRMS says that it exists: its CRWMT
/// can say more than CAP.TO can. The longer of both holds, within
/// [`MIN_READY_TIMEOUT_MS`] and [`MAX_READY_TIMEOUT_MS`].
#[inline]
pub fn ready_timeout_ms(cap: Cap, crto: Option<u32>) -> u32 {
    let crwmt_ms = (crto.unwrap_or(0) & 0xffff).wrapping_mul(READY_UNIT_MS);
    cap.to_ms()
        .max(crwmt_ms)
        .clamp(MIN_READY_TIMEOUT_MS, MAX_READY_TIMEOUT_MS)
}
