// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Status of a completion (Base 4.2.3): its name, and what it means to the block layer.
//!
//! Relies on nothing. A status that no one has heard of is an I/O error with its numbers.

use core::fmt;

/// What became of a command, in the block layer's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Success,
    /// The device cannot do it; the host may do it in another way.
    NotSupported,
    /// It was aborted, as is done with what takes too long.
    Timeout,
    /// There is no capacity left.
    NoSpace,
    /// The device refuses it for what it names: a range, a namespace, a right.
    Target,
    /// The medium failed.
    Medium,
    /// Protection information does not match the data.
    Protection,
    /// Another host holds a reservation.
    Reservation,
    /// The way to the medium is broken.
    Transport,
    /// The device is busy with something else for a while.
    ResourceBusy,
    /// Too many zones are active.
    ZoneActiveResource,
    /// Too many zones are open.
    ZoneOpenResource,
    /// Any other error.
    Io,
}

/// The status field without the phase tag: 15 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Status(u16);

/// A revision of the Base specification, with the command sets of its time: the NVM Command Set
/// 1.0 and Zoned Namespaces 1.1 came with 2.0, their 1.1 and 1.2 with 2.1. Revisions between two
/// of these, as 1.2.1, count as the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Revision {
    R1_0,
    R1_1,
    R1_2,
    R1_3,
    R1_4,
    R2_0,
    R2_1,
    R2_2,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::R1_0 => "1.0",
            Self::R1_1 => "1.1",
            Self::R1_2 => "1.2",
            Self::R1_3 => "1.3",
            Self::R1_4 => "1.4",
            Self::R2_0 => "2.0",
            Self::R2_1 => "2.1",
            Self::R2_2 => "2.2",
        })
    }
}

/// Since when a status code has had its meaning, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// This revision brought it.
    In(Revision),
    /// This revision has it; an earlier one may.
    By(Revision),
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(revision) => write!(f, "{revision}"),
            Self::By(revision) => write!(f, "{revision} or before"),
        }
    }
}

/// One table makes the constants, the names, the outcomes and the revisions, so that they cannot
/// part.
macro_rules! status_codes {
    ($($constant:ident = $code:literal, $name:literal, $outcome:ident,
        $since:ident $revision:ident;)*) => {
        impl Status {
            $(
                #[doc = $name]
                pub const $constant: Self = Self($code);
            )*

            /// The specification's name, or `None` for a code that is not in the table.
            pub const fn name(self) -> Option<&'static str> {
                match self.code() {
                    $($code => Some($name),)*
                    _ => None,
                }
            }

            /// What the status means to the block layer.
            pub const fn outcome(self) -> Outcome {
                match self.code() {
                    $($code => Outcome::$outcome,)*
                    _ => Outcome::Io,
                }
            }

            /// Since when the code has been there, or `None` if it is not in the table.
            pub const fn since(self) -> Option<Since> {
                match self.code() {
                    $($code => Some(Since::$since(Revision::$revision)),)*
                    _ => None,
                }
            }

            /// Every status in the table.
            pub const ALL: &'static [Self] = &[$(Self::$constant),*];
        }
    };
}

// The code is the status code type and the status code: 0 generic, 1 command specific, 2 media
// and data integrity, 3 path. Command specific codes from 80h on are those of the I/O command
// sets: the same numbers mean something else over Fabrics. Where the C driver gives a code an
// error of its own, it is the same here, but for a namespace that is not there: it must not look
// like a command that is not supported, since callers take that for leave to go on without.
status_codes! {
    SUCCESS = 0x000, "Successful Completion", Success, In R1_0;
    INVALID_OPCODE = 0x001, "Invalid Command Opcode", NotSupported, In R1_0;
    INVALID_FIELD = 0x002, "Invalid Field in Command", NotSupported, In R1_0;
    COMMAND_ID_CONFLICT = 0x003, "Command ID Conflict", Io, In R1_0;
    DATA_TRANSFER_ERROR = 0x004, "Data Transfer Error", Io, In R1_0;
    POWER_LOSS = 0x005, "Commands Aborted due to Power Loss Notification", Io, In R1_0;
    INTERNAL_ERROR = 0x006, "Internal Error", Io, In R1_0;
    ABORT_REQUESTED = 0x007, "Command Abort Requested", Timeout, In R1_0;
    ABORTED_SQ_DELETION = 0x008, "Command Aborted due to SQ Deletion", Timeout, In R1_0;
    ABORTED_FAILED_FUSED = 0x009, "Command Aborted due to Failed Fused Command", Io, In R1_0;
    ABORTED_MISSING_FUSED = 0x00a, "Command Aborted due to Missing Fused Command", Io, In R1_0;
    INVALID_NAMESPACE_OR_FORMAT = 0x00b, "Invalid Namespace or Format", Target, In R1_0;
    COMMAND_SEQUENCE_ERROR = 0x00c, "Command Sequence Error", Io, By R1_1;
    INVALID_SGL_SEGMENT_DESCRIPTOR = 0x00d, "Invalid SGL Segment Descriptor", Io, In R1_1;
    INVALID_SGL_DESCRIPTOR_COUNT = 0x00e, "Invalid Number of SGL Descriptors", Io, In R1_1;
    DATA_SGL_LENGTH_INVALID = 0x00f, "Data SGL Length Invalid", Io, In R1_1;
    METADATA_SGL_LENGTH_INVALID = 0x010, "Metadata SGL Length Invalid", Io, In R1_1;
    SGL_DESCRIPTOR_TYPE_INVALID = 0x011, "SGL Descriptor Type Invalid", Io, In R1_1;
    INVALID_USE_OF_CMB = 0x012, "Invalid Use of Controller Memory Buffer", Io, In R1_2;
    PRP_OFFSET_INVALID = 0x013, "PRP Offset Invalid", Io, In R1_2;
    ATOMIC_WRITE_UNIT_EXCEEDED = 0x014, "Atomic Write Unit Exceeded", Io, In R1_2;
    OPERATION_DENIED = 0x015, "Operation Denied", Target, By R1_3;
    SGL_OFFSET_INVALID = 0x016, "SGL Offset Invalid", Io, By R1_3;
    HOST_ID_INCONSISTENT_FORMAT = 0x018, "Host Identifier Inconsistent Format", Io, By R1_3;
    KEEP_ALIVE_TIMER_EXPIRED = 0x019, "Keep Alive Timer Expired", Io, By R1_3;
    KEEP_ALIVE_TIMEOUT_INVALID = 0x01a, "Keep Alive Timeout Invalid", Io, By R1_3;
    ABORTED_PREEMPT_AND_ABORT = 0x01b,
        "Command Aborted due to Preempt and Abort", Reservation, In R1_3;
    SANITIZE_FAILED = 0x01c, "Sanitize Failed", Io, In R1_3;
    SANITIZE_IN_PROGRESS = 0x01d, "Sanitize In Progress", ResourceBusy, In R1_3;
    SGL_GRANULARITY_INVALID = 0x01e, "SGL Data Block Granularity Invalid", Io, In R1_3;
    NOT_SUPPORTED_FOR_QUEUE_IN_CMB = 0x01f, "Command Not Supported for Queue in CMB", Io, In R1_3;
    NAMESPACE_WRITE_PROTECTED = 0x020, "Namespace is Write Protected", Target, In R1_4;
    COMMAND_INTERRUPTED = 0x021, "Command Interrupted", Target, In R1_4;
    TRANSIENT_TRANSPORT_ERROR = 0x022, "Transient Transport Error", Transport, In R1_4;
    PROHIBITED_BY_LOCKDOWN = 0x023,
        "Command Prohibited by Command and Feature Lockdown", Target, In R2_0;
    ADMIN_MEDIA_NOT_READY = 0x024, "Admin Command Media Not Ready", ResourceBusy, In R2_0;
    INVALID_KEY_TAG = 0x025, "Invalid Key Tag", Target, In R2_1;
    HOST_DISPERSED_NOT_ENABLED = 0x026,
        "Host Dispersed Namespace Support Not Enabled", Target, In R2_1;
    HOST_ID_NOT_INITIALIZED = 0x027, "Host Identifier Not Initialized", Io, In R2_1;
    INCORRECT_KEY = 0x028, "Incorrect Key", Target, In R2_1;
    FDP_DISABLED = 0x029, "FDP Disabled", Target, In R2_1;
    INVALID_PLACEMENT_HANDLE_LIST = 0x02a, "Invalid Placement Handle List", Target, In R2_1;
    LBA_OUT_OF_RANGE = 0x080, "LBA Out of Range", Target, In R1_0;
    CAPACITY_EXCEEDED = 0x081, "Capacity Exceeded", NoSpace, In R1_0;
    NAMESPACE_NOT_READY = 0x082, "Namespace Not Ready", Target, In R1_0;
    RESERVATION_CONFLICT = 0x083, "Reservation Conflict", Reservation, In R1_1;
    FORMAT_IN_PROGRESS = 0x084, "Format In Progress", ResourceBusy, In R1_2;
    INVALID_VALUE_SIZE = 0x085, "Invalid Value Size", Io, In R2_0;
    INVALID_KEY_SIZE = 0x086, "Invalid Key Size", Io, In R2_0;
    KEY_DOES_NOT_EXIST = 0x087, "KV Key Does Not Exist", Io, In R2_0;
    UNRECOVERED_ERROR = 0x088, "Unrecovered Error", Medium, In R2_0;
    KEY_EXISTS = 0x089, "Key Exists", Io, In R2_0;
    CQ_INVALID = 0x100, "Completion Queue Invalid", Io, In R1_0;
    INVALID_QUEUE_ID = 0x101, "Invalid Queue Identifier", Io, In R1_0;
    INVALID_QUEUE_SIZE = 0x102, "Invalid Queue Size", Io, In R1_0;
    ABORT_LIMIT_EXCEEDED = 0x103, "Abort Command Limit Exceeded", Io, In R1_0;
    ASYNC_EVENT_LIMIT_EXCEEDED = 0x105, "Asynchronous Event Request Limit Exceeded", Io, In R1_0;
    INVALID_FIRMWARE_SLOT = 0x106, "Invalid Firmware Slot", Io, In R1_0;
    INVALID_FIRMWARE_IMAGE = 0x107, "Invalid Firmware Image", Io, In R1_0;
    INVALID_INTERRUPT_VECTOR = 0x108, "Invalid Interrupt Vector", Io, In R1_0;
    INVALID_LOG_PAGE = 0x109, "Invalid Log Page", NotSupported, In R1_0;
    INVALID_FORMAT = 0x10a, "Invalid Format", Io, In R1_0;
    FIRMWARE_NEEDS_CONVENTIONAL_RESET = 0x10b,
        "Firmware Activation Requires Conventional Reset", Io, By R1_1;
    INVALID_QUEUE_DELETION = 0x10c, "Invalid Queue Deletion", Io, By R1_1;
    FEATURE_NOT_SAVEABLE = 0x10d, "Feature Identifier Not Saveable", Io, In R1_1;
    FEATURE_NOT_CHANGEABLE = 0x10e, "Feature Not Changeable", Io, In R1_1;
    FEATURE_NOT_NAMESPACE_SPECIFIC = 0x10f, "Feature Not Namespace Specific", Io, In R1_1;
    FIRMWARE_NEEDS_SUBSYSTEM_RESET = 0x110,
        "Firmware Activation Requires NVM Subsystem Reset", Io, By R1_2;
    FIRMWARE_NEEDS_CONTROLLER_RESET = 0x111,
        "Firmware Activation Requires Controller Level Reset", Io, In R1_2;
    FIRMWARE_NEEDS_MAXIMUM_TIME = 0x112,
        "Firmware Activation Requires Maximum Time Violation", Io, In R1_2;
    FIRMWARE_ACTIVATION_PROHIBITED = 0x113, "Firmware Activation Prohibited", Io, In R1_2;
    OVERLAPPING_RANGE = 0x114, "Overlapping Range", Io, In R1_2;
    NAMESPACE_INSUFFICIENT_CAPACITY = 0x115, "Namespace Insufficient Capacity", NoSpace, In R1_2;
    NAMESPACE_ID_UNAVAILABLE = 0x116, "Namespace Identifier Unavailable", Io, In R1_2;
    NAMESPACE_ALREADY_ATTACHED = 0x118, "Namespace Already Attached", Io, In R1_2;
    NAMESPACE_IS_PRIVATE = 0x119, "Namespace Is Private", Io, In R1_2;
    NAMESPACE_NOT_ATTACHED = 0x11a, "Namespace Not Attached", Io, In R1_2;
    THIN_PROVISIONING_NOT_SUPPORTED = 0x11b,
        "Thin Provisioning Not Supported", NotSupported, In R1_2;
    CONTROLLER_LIST_INVALID = 0x11c, "Controller List Invalid", Io, In R1_2;
    SELF_TEST_IN_PROGRESS = 0x11d, "Device Self-test In Progress", ResourceBusy, In R1_3;
    BOOT_PARTITION_WRITE_PROHIBITED = 0x11e, "Boot Partition Write Prohibited", Io, In R1_3;
    INVALID_CONTROLLER_ID = 0x11f, "Invalid Controller Identifier", Io, In R1_3;
    INVALID_SECONDARY_STATE = 0x120, "Invalid Secondary Controller State", Io, In R1_3;
    INVALID_RESOURCE_COUNT = 0x121, "Invalid Number of Controller Resources", Io, In R1_3;
    INVALID_RESOURCE_ID = 0x122, "Invalid Resource Identifier", Io, In R1_3;
    SANITIZE_PROHIBITED_BY_PMR = 0x123,
        "Sanitize Prohibited While Persistent Memory Region is Enabled", Io, In R1_4;
    ANA_GROUP_ID_INVALID = 0x124, "ANA Group Identifier Invalid", Io, In R1_4;
    ANA_ATTACH_FAILED = 0x125, "ANA Attach Failed", Io, In R1_4;
    INSUFFICIENT_CAPACITY = 0x126, "Insufficient Capacity", NoSpace, In R2_0;
    ATTACHMENT_LIMIT_EXCEEDED = 0x127, "Namespace Attachment Limit Exceeded", Io, In R2_0;
    PROHIBITION_NOT_SUPPORTED = 0x128,
        "Prohibition of Command Execution Not Supported", NotSupported, In R2_0;
    COMMAND_SET_NOT_SUPPORTED = 0x129, "I/O Command Set Not Supported", NotSupported, In R2_0;
    COMMAND_SET_NOT_ENABLED = 0x12a, "I/O Command Set Not Enabled", NotSupported, In R2_0;
    COMMAND_SET_COMBINATION_REJECTED = 0x12b, "I/O Command Set Combination Rejected", Io, In R2_0;
    INVALID_COMMAND_SET = 0x12c, "Invalid I/O Command Set", NotSupported, In R2_0;
    IDENTIFIER_UNAVAILABLE = 0x12d, "Identifier Unavailable", Io, In R2_0;
    NAMESPACE_IS_DISPERSED = 0x12e, "Namespace Is Dispersed", Io, In R2_1;
    INVALID_DISCOVERY_INFORMATION = 0x12f, "Invalid Discovery Information", Io, In R2_1;
    ZONING_STRUCTURE_LOCKED = 0x130, "Zoning Data Structure Locked", Io, In R2_1;
    ZONING_STRUCTURE_NOT_FOUND = 0x131, "Zoning Data Structure Not Found", Io, In R2_1;
    INSUFFICIENT_DISCOVERY_RESOURCES = 0x132, "Insufficient Discovery Resources", Io, In R2_1;
    REQUESTED_FUNCTION_DISABLED = 0x133, "Requested Function Disabled", NotSupported, In R2_1;
    ZONEGROUP_ORIGINATOR_INVALID = 0x134, "ZoneGroup Originator Invalid", Io, In R2_1;
    INVALID_HOST = 0x135, "Invalid Host", Io, In R2_1;
    INVALID_SUBSYSTEM = 0x136, "Invalid NVM Subsystem", Io, In R2_1;
    INVALID_CONTROLLER_DATA_QUEUE = 0x137, "Invalid Controller Data Queue", Io, In R2_1;
    NOT_ENOUGH_RESOURCES = 0x138, "Not Enough Resources", ResourceBusy, In R2_1;
    CONTROLLER_SUSPENDED = 0x139, "Controller Suspended", ResourceBusy, In R2_1;
    CONTROLLER_NOT_SUSPENDED = 0x13a, "Controller Not Suspended", Io, In R2_1;
    CONTROLLER_DATA_QUEUE_FULL = 0x13b, "Controller Data Queue Full", Io, In R2_1;
    CONFLICTING_ATTRIBUTES = 0x180, "Conflicting Attributes", NotSupported, In R1_0;
    INVALID_PROTECTION_INFORMATION = 0x181, "Invalid Protection Information", Protection, By R1_1;
    WRITE_TO_READ_ONLY_RANGE = 0x182, "Attempted Write to Read Only Range", Medium, By R1_1;
    COMMAND_SIZE_LIMIT_EXCEEDED = 0x183, "Command Size Limit Exceeded", Io, In R2_0;
    INVALID_COMMAND_ID = 0x184, "Invalid Command ID", Io, In R2_1;
    INCOMPATIBLE_NAMESPACE_OR_FORMAT = 0x185, "Incompatible Namespace or Format", Target, In R2_1;
    FAST_COPY_NOT_POSSIBLE = 0x186, "Fast Copy Not Possible", NotSupported, In R2_1;
    OVERLAPPING_IO_RANGE = 0x187, "Overlapping I/O Range", Target, In R2_1;
    NAMESPACE_NOT_REACHABLE = 0x188, "Namespace Not Reachable", Target, In R2_1;
    INSUFFICIENT_RESOURCES = 0x189, "Insufficient Resources", ResourceBusy, In R2_1;
    INSUFFICIENT_PROGRAM_RESOURCES = 0x18a, "Insufficient Program Resources", Io, In R2_1;
    INVALID_MEMORY_NAMESPACE = 0x18b, "Invalid Memory Namespace", Io, In R2_1;
    INVALID_MEMORY_RANGE_SET = 0x18c, "Invalid Memory Range Set", Io, In R2_1;
    INVALID_MEMORY_RANGE_SET_IDENTIFIER = 0x18d, "Invalid Memory Range Set Identifier", Io, In R2_1;
    INVALID_PROGRAM_DATA = 0x18e, "Invalid Program Data", Io, In R2_1;
    INVALID_PROGRAM_INDEX = 0x18f, "Invalid Program Index", Io, In R2_1;
    INVALID_PROGRAM_TYPE = 0x190, "Invalid Program Type", Io, In R2_1;
    MAXIMUM_MEMORY_RANGES_EXCEEDED = 0x191, "Maximum Memory Ranges Exceeded", Io, In R2_1;
    MAXIMUM_MEMORY_RANGE_SETS_EXCEEDED = 0x192, "Maximum Memory Range Sets Exceeded", Io, In R2_1;
    MAXIMUM_PROGRAMS_ACTIVATED = 0x193, "Maximum Programs Activated", Io, In R2_1;
    MAXIMUM_PROGRAM_BYTES_EXCEEDED = 0x194, "Maximum Program Bytes Exceeded", Io, In R2_1;
    MEMORY_RANGE_SET_IN_USE = 0x195, "Memory Range Set In Use", Io, In R2_1;
    NO_PROGRAM = 0x196, "No Program", Io, In R2_1;
    OVERLAPPING_MEMORY_RANGES = 0x197, "Overlapping Memory Ranges", Io, In R2_1;
    PROGRAM_NOT_ACTIVATED = 0x198, "Program Not Activated", Io, By R2_2;
    PROGRAM_IN_USE = 0x199, "Program In Use", Io, By R2_2;
    PROGRAM_INDEX_NOT_DOWNLOADABLE = 0x19a, "Program Index Not Downloadable", Io, By R2_2;
    PROGRAM_TOO_BIG = 0x19b, "Program Too Big", Io, By R2_2;
    ZONE_INVALID_OPERATION = 0x1b6, "Invalid Zone Operation Request", Io, In R2_1;
    ZRWA_RESOURCES_UNAVAILABLE = 0x1b7, "ZRWA Resources Unavailable", ZoneActiveResource, In R2_1;
    ZONED_BOUNDARY_ERROR = 0x1b8, "Zoned Boundary Error", Io, In R2_0;
    ZONE_IS_FULL = 0x1b9, "Zone Is Full", Io, In R2_0;
    ZONE_IS_READ_ONLY = 0x1ba, "Zone Is Read Only", Io, In R2_0;
    ZONE_IS_OFFLINE = 0x1bb, "Zone Is Offline", Io, In R2_0;
    ZONE_INVALID_WRITE = 0x1bc, "Zone Invalid Write", Io, In R2_0;
    TOO_MANY_ACTIVE_ZONES = 0x1bd, "Too Many Active Zones", ZoneActiveResource, In R2_0;
    TOO_MANY_OPEN_ZONES = 0x1be, "Too Many Open Zones", ZoneOpenResource, In R2_0;
    INVALID_ZONE_STATE_TRANSITION = 0x1bf, "Invalid Zone State Transition", Io, In R2_0;
    WRITE_FAULT = 0x280, "Write Fault", Medium, In R1_0;
    UNRECOVERED_READ_ERROR = 0x281, "Unrecovered Read Error", Medium, In R1_0;
    GUARD_CHECK_ERROR = 0x282, "End-to-end Guard Check Error", Protection, In R1_0;
    APPLICATION_TAG_CHECK_ERROR = 0x283,
        "End-to-end Application Tag Check Error", Protection, In R1_0;
    REFERENCE_TAG_CHECK_ERROR = 0x284, "End-to-end Reference Tag Check Error", Protection, In R1_0;
    COMPARE_FAILURE = 0x285, "Compare Failure", Medium, In R1_0;
    ACCESS_DENIED = 0x286, "Access Denied", Medium, In R1_0;
    UNWRITTEN_BLOCK = 0x287, "Deallocated or Unwritten Logical Block", Medium, In R1_2;
    STORAGE_TAG_CHECK_ERROR = 0x288, "End-to-End Storage Tag Check Error", Protection, In R2_0;
    INTERNAL_PATH_ERROR = 0x300, "Internal Path Error", Transport, In R1_4;
    ACCESS_PERSISTENT_LOSS = 0x301, "Asymmetric Access Persistent Loss", Transport, In R1_4;
    ACCESS_INACCESSIBLE = 0x302, "Asymmetric Access Inaccessible", Transport, In R1_4;
    ACCESS_TRANSITION = 0x303, "Asymmetric Access Transition", Transport, In R1_4;
    CONTROLLER_PATHING_ERROR = 0x360, "Controller Pathing Error", Transport, In R1_4;
    HOST_PATHING_ERROR = 0x370, "Host Pathing Error", Transport, In R1_4;
    ABORTED_BY_HOST = 0x371, "Command Aborted By Host", Timeout, In R1_4;
}

impl Status {
    /// Takes the lower 15 bits.
    #[inline]
    pub const fn from_raw(raw: u16) -> Self {
        Self(raw & 0x7fff)
    }

    /// The 15 bits.
    #[inline]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// SCT: status code type.
    #[inline]
    pub const fn sct(self) -> u8 {
        ((self.0 >> 8) & 0x7) as u8
    }

    /// SC: status code.
    #[inline]
    pub const fn sc(self) -> u8 {
        (self.0 & 0xff) as u8
    }

    /// Type and code together, as the table has them.
    #[inline]
    pub const fn code(self) -> u16 {
        self.0 & 0x7ff
    }

    /// CRD: which of Identify Controller's three delays to wait before a retry; 0 for none.
    #[inline]
    pub const fn crd(self) -> u8 {
        ((self.0 >> 11) & 0x3) as u8
    }

    /// M: whether the Error Information log has more.
    #[inline]
    pub const fn more(self) -> bool {
        self.0 & (1 << 13) != 0
    }

    /// DNR: Do Not Retry.
    #[inline]
    pub const fn dnr(self) -> bool {
        self.0 & (1 << 14) != 0
    }

    /// The same with DNR set.
    #[inline]
    pub const fn without_retry(self) -> Self {
        Self(self.0 | (1 << 14))
    }

    /// Whether the command did what it should.
    #[inline]
    pub const fn is_success(self) -> bool {
        self.code() == 0
    }

    /// Whether the same command may fare better a second time: the device does not forbid it,
    /// and the answer does not depend on the command alone. How often is the caller's decision.
    pub const fn retryable(self) -> bool {
        if self.dnr() {
            return false;
        }
        match self.outcome() {
            Outcome::Success
            | Outcome::NotSupported
            | Outcome::NoSpace
            | Outcome::Reservation
            | Outcome::ZoneActiveResource
            | Outcome::ZoneOpenResource => false,
            Outcome::Target => matches!(
                Self(self.code()),
                Self::COMMAND_INTERRUPTED | Self::NAMESPACE_NOT_READY
            ),
            Outcome::Medium => !matches!(
                Self(self.code()),
                Self::WRITE_TO_READ_ONLY_RANGE
                    | Self::COMPARE_FAILURE
                    | Self::ACCESS_DENIED
                    | Self::UNWRITTEN_BLOCK
            ),
            // Without a second controller to ask, these two are final.
            Outcome::Transport => !matches!(
                Self(self.code()),
                Self::ACCESS_PERSISTENT_LOSS | Self::ACCESS_INACCESSIBLE
            ),
            Outcome::Io => !self.blames_the_command(),
            Outcome::Timeout | Outcome::Protection | Outcome::ResourceBusy => true,
        }
    }

    /// Whether the command itself is wrong, or comes at a wrong moment for good: it would be
    /// answered in the same way however often it is sent.
    const fn blames_the_command(self) -> bool {
        matches!(
            Self(self.code()),
            Self::COMMAND_SEQUENCE_ERROR
                | Self::INVALID_SGL_SEGMENT_DESCRIPTOR
                | Self::INVALID_SGL_DESCRIPTOR_COUNT
                | Self::DATA_SGL_LENGTH_INVALID
                | Self::METADATA_SGL_LENGTH_INVALID
                | Self::SGL_DESCRIPTOR_TYPE_INVALID
                | Self::INVALID_USE_OF_CMB
                | Self::PRP_OFFSET_INVALID
                | Self::ATOMIC_WRITE_UNIT_EXCEEDED
                | Self::SGL_OFFSET_INVALID
                | Self::SGL_GRANULARITY_INVALID
                | Self::NOT_SUPPORTED_FOR_QUEUE_IN_CMB
                | Self::COMMAND_SIZE_LIMIT_EXCEEDED
                | Self::ZONE_INVALID_OPERATION
                | Self::ZONED_BOUNDARY_ERROR
                | Self::ZONE_IS_FULL
                | Self::ZONE_IS_READ_ONLY
                | Self::ZONE_IS_OFFLINE
                | Self::ZONE_INVALID_WRITE
                | Self::INVALID_ZONE_STATE_TRANSITION
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name().unwrap_or("Unknown Status");
        write!(f, "{name} (SCT {:x}h, SC {:02x}h)", self.sct(), self.sc())
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if self.dnr() {
            f.write_str(" DNR")?;
        }
        Ok(())
    }
}
