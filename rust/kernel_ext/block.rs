// SPDX-License-Identifier: GPL-2.0

//! The block layer.

pub mod mq;

use crate::bindings;

/// How a request ended, in the block layer's terms; it decides the errno that a user sees.
///
/// C header: `include/linux/blk_types.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Status(bindings::blk_status_t);

impl Status {
    /// Success.
    pub const OK: Status = Status(bindings::EXT_BLK_STS_OK);
    /// The device has no such command or cannot do it (`EOPNOTSUPP`).
    pub const NOT_SUPPORTED: Status = Status(bindings::EXT_BLK_STS_NOTSUPP);
    /// The device took too long (`ETIMEDOUT`).
    pub const TIMEOUT: Status = Status(bindings::EXT_BLK_STS_TIMEOUT);
    /// The device has no room left (`ENOSPC`).
    pub const NO_SPACE: Status = Status(bindings::EXT_BLK_STS_NOSPC);
    /// The way to the device failed (`ENOLINK`).
    pub const TRANSPORT: Status = Status(bindings::EXT_BLK_STS_TRANSPORT);
    /// The device refuses for good (`EREMOTEIO`).
    pub const TARGET: Status = Status(bindings::EXT_BLK_STS_TARGET);
    /// A reservation of another host is in the way (`EBADE`).
    pub const RESERVATION_CONFLICT: Status = Status(bindings::EXT_BLK_STS_RESV_CONFLICT);
    /// The medium failed (`ENODATA`).
    pub const MEDIUM: Status = Status(bindings::EXT_BLK_STS_MEDIUM);
    /// Protection information does not fit the data (`EILSEQ`).
    pub const PROTECTION: Status = Status(bindings::EXT_BLK_STS_PROTECTION);
    /// Memory is short; the block layer tries again after a while.
    pub const RESOURCE: Status = Status(bindings::EXT_BLK_STS_RESOURCE);
    /// The device's queue is full; the block layer tries again when a request has ended.
    pub const DEVICE_RESOURCE: Status = Status(bindings::EXT_BLK_STS_DEV_RESOURCE);
    /// The device has no more zones to make active (`EOVERFLOW`).
    pub const ZONE_ACTIVE_RESOURCE: Status = Status(bindings::EXT_BLK_STS_ZONE_ACTIVE_RESOURCE);
    /// The device has no more zones to open (`ETOOMANYREFS`).
    pub const ZONE_OPEN_RESOURCE: Status = Status(bindings::EXT_BLK_STS_ZONE_OPEN_RESOURCE);
    /// Any other failure (`EIO`).
    pub const IO_ERROR: Status = Status(bindings::EXT_BLK_STS_IOERR);
    /// The device is gone (`ENODEV`).
    pub const OFFLINE: Status = Status(bindings::EXT_BLK_STS_OFFLINE);
    /// The request makes no sense (`EINVAL`).
    pub const INVALID: Status = Status(bindings::EXT_BLK_STS_INVAL);

    #[inline]
    pub(crate) fn from_raw(raw: bindings::blk_status_t) -> Self {
        Status(raw)
    }

    #[inline]
    pub(crate) fn raw(self) -> bindings::blk_status_t {
        self.0
    }
}
