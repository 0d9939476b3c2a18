// SPDX-License-Identifier: MIT

//! The table of all rules: name, section, what a driver does that keeps it, and what the driver must
//! have been told rightly to be able to. `--rules` prints it; tests/judge.rs has a wrong driver for each.
//!
//! The sections are those of the NVM Express Base Specification 2.1 (Base), the PCIe Transport
//! Specification 1.0 (PCIe), and, by name, the NVM Command Set Specification 1.1 (NVM).

use super::Trust;

/// A rule.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct Rule {
    /// Its name in the log and in `status`.
    pub name: &'static str,
    /// Where the specification has it: which, and the section's number or name.
    pub section: &'static str,
    /// What a driver that keeps it does.
    pub says: &'static str,
    /// Whoever was lied to about one of these is not blamed.
    pub trusts: &'static [Trust],
}

/// One list makes the constants and the table, so that no rule is missing there.
macro_rules! rules {
    ($($constant:ident $name:literal $section:literal [$($trust:ident),*] $says:literal;)*) => {
        $(
            #[doc = $says]
            pub const $constant: &Rule = &Rule {
                name: $name,
                section: $section,
                says: $says,
                trusts: &[$(Trust::$trust),*],
            };
        )*

        /// All rules.
        pub const RULES: &[&Rule] = &[$($constant),*];
    };
}

rules! {
    // Doorbells and rings.
    DOORBELL_UNKNOWN "doorbell-unknown" "PCIe 3.1.2" [Capabilities, Structures, Admin]
        "rings only doorbells of queues that it has created";
    DOORBELL_DELETED "doorbell-deleted" "PCIe 3.1.2" [Capabilities, Admin]
        "leaves the doorbells of a queue that it has deleted alone";
    DOORBELL_WIDTH "doorbell-width" "PCIe 3.1.2" [Capabilities]
        "writes doorbells as aligned words of 32 bits";
    DOORBELL_VALUE "doorbell-value" "PCIe 3.1.2" [Capabilities, Structures, Admin]
        "rings with a slot that the queue has";
    DOORBELL_UNCHANGED "doorbell-unchanged" "PCIe 3.1.2" [Rings, Admin]
        "rings only when the value has changed";
    DOORBELL_NOT_READY "doorbell-not-ready" "Base 3.5.1" [Status]
        "rings no doorbell before CSTS.RDY is 1, or after CC.EN was cleared";
    DOORBELL_SHUTDOWN "doorbell-shutdown" "Base 3.6.1" [Status]
        "submits nothing after CC.SHN was set";
    TAIL_OVERRUN "tail-overrun" "Base 3.3.1.5" [Rings, Admin]
        "submits no more than fits beside the slots that completions have not given back (SQHD)";
    HEAD_BEYOND_TAIL "head-beyond-tail" "Base 3.3.1.2" [Rings, Admin]
        "gives back only slots of a completion queue that hold new entries";
    HEAD_BACKWARDS "head-backwards" "Base 3.3.1.2" [Rings, Admin]
        "moves a completion queue's head only forwards";
    LOST_WAKEUP "lost-wakeup" "Base 5.2.5" [Rings, Admin, Memory]
        "rings the doorbell in the BAR where a shadow doorbell passes its event index";
    PHASE_NOT_CLEARED "phase-not-cleared" "Base 4.2.4" [Memory]
        "clears the phase tags of a completion queue before its first entry can come";
    CID_IN_USE "cid-in-use" "Base 4.1.1" [Rings, Memory]
        "gives each command of a queue an identifier that none in flight has";

    // Registers.
    REGISTER_READ_ONLY "register-read-only" "Base 3.1.4" []
        "writes no register that cannot be written, or is not there; of CSTS only NSSRO, with 1";
    REGISTER_WIDTH "register-width" "PCIe 3.1" []
        "accesses a register in its width, or one of 64 bits in two aligned halves";
    CMB_UNSUPPORTED "cmb-unsupported" "Base 3.1.4.16" [Capabilities]
        "writes CMBMSC only where CAP.CMBS says that there is a memory buffer";
    INTERRUPT_MASK "interrupt-mask" "Base 3.1.4.3" []
        "leaves INTMS and INTMC alone with MSI-X";
    ENABLE_BEFORE_STOPPED "enable-before-stopped" "Base 3.1.4.5" [Status]
        "sets CC.EN only when CSTS.RDY is 0";
    DISABLE_BEFORE_READY "disable-before-ready" "Base 3.1.4.5" [Status]
        "clears CC.EN only when CSTS.RDY is 1";
    CC_RESERVED "cc-reserved" "Base 3.1.4.5" [Status]
        "leaves the reserved bits of CC 0";
    CC_UNSUPPORTED "cc-unsupported" "Base 3.1.4.5" [Status, Capabilities]
        "chooses in CC only what CAP offers: command set, page size, arbitration, ready mode";
    CC_LIVE "cc-live" "Base 3.1.4.5" [Status]
        "changes CSS, MPS and AMS only while disabled, the entry sizes only without I/O queues";
    ADMIN_QUEUE_LIVE "admin-queue-live" "Base 3.1.4.5" [Status]
        "sets AQA, ASQ and ACQ only while disabled";
    ADMIN_QUEUE_SIZE "admin-queue-size" "Base 3.1.4.8" [Status]
        "gives each admin queue at least 2 entries";
    ADMIN_QUEUE_BASE "admin-queue-base" "Base 3.1.4.9" [Status]
        "puts each admin queue at the beginning of a page";

    // Queues.
    QUEUE_UNMAPPED "queue-unmapped" "Base 3.3.1" [Status, Memory]
        "has its queues in memory that the controller reaches, as long as they live";
    QUEUE_OVERLAP "queue-overlap" "Base 3.3.1" [Status, Admin, Memory]
        "gives each queue memory that no other live queue has";
    QUEUE_ID "queue-id" "Base 5.2.1" [Structures, Admin, Memory]
        "creates I/O queues with identifiers that are free, and not 0";
    QUEUE_NOT_GRANTED "queue-not-granted" "Base 5.1.25.2.1" [Structures, Admin, Memory]
        "creates no more I/O queues of a kind than Number of Queues has granted";
    QUEUE_SIZE "queue-size" "Base 3.3.3.1" [Capabilities, Memory]
        "gives I/O queues 2 to CAP.MQES + 1 entries";
    QUEUE_BASE "queue-base" "Base 5.2.1" [Memory]
        "puts each I/O queue at the beginning of a page";
    QUEUE_CONTIGUOUS "queue-contiguous" "Base 5.2.1" [Capabilities, Memory]
        "has its queues contiguous where CAP.CQR demands it";
    QUEUE_VECTOR "queue-vector" "Base 5.2.1" [Memory]
        "names interrupt vectors that there are";
    QUEUE_ENTRY_SIZE "queue-entry-size" "Base 3.1.4.5" [Status, Memory]
        "sets CC.IOSQES and CC.IOCQES before it creates I/O queues";
    QUEUE_CQ_MISSING "queue-cq-missing" "Base 5.2.2" [Admin, Memory]
        "creates a submission queue's completion queue first";
    QUEUE_CQ_FIRST "queue-cq-first" "Base 5.2.3" [Admin, Memory]
        "deletes all submission queues of a completion queue before it";
    QUEUE_DELETE "queue-delete" "Base 5.2.4" [Admin, Memory]
        "deletes only I/O queues that there are";
    QUEUE_COUNT_LATE "queue-count-late" "Base 5.1.25.2.1" [Admin, Memory]
        "asks for its number of queues before it creates any";

    // Commands.
    OPCODE_UNSUPPORTED "opcode-unsupported" "Base 5.1.13.2.1" [Structures, Memory]
        "sends only commands that OACS and ONCS say are there";
    RESERVED_BITS "reserved-bits" "Base 4.1.1" [Memory]
        "leaves what a command reserves 0";
    FUSE_UNSUPPORTED "fuse-unsupported" "Base 4.1.1" [Structures, Memory]
        "fuses commands only where FUSES says that it can";
    PSDT_RESERVED "psdt-reserved" "Base 4.1.1" [Memory]
        "never sets PSDT to 11b";
    SGL_ADMIN "sgl-admin" "Base 4.1.1" [Memory]
        "describes the data of admin commands by PRPs";
    SGL_UNSUPPORTED "sgl-unsupported" "Base 5.1.13.2.1" [Structures, Memory]
        "uses SGLs only as far as SGLS says that it can";
    NSID_INVALID "nsid-invalid" "Base 3.2.1.2" [Structures, Memory]
        "names a namespace from 1 to NN, or all only where a command allows it";
    NSID_UNUSED "nsid-unused" "Base 4.1.1" [Memory]
        "leaves NSID 0 in commands that have no use for it";
    MDTS_EXCEEDED "mdts-exceeded" "Base 5.1.13.2.1" [Structures, Memory]
        "moves no more data in a command than MDTS allows";
    LBA_RANGE "lba-range" "NVM Namespaces" [Structures, Memory]
        "reads and writes only blocks that the namespace has, or had";
    EVENT_REQUESTS "event-requests" "Base 5.1.2" [Structures, Admin, Memory]
        "has at most AERL + 1 Asynchronous Event Requests outstanding";
    ABORTS "aborts" "Base 5.1.1" [Structures, Admin, Memory]
        "has at most ACL + 1 Aborts outstanding";
    LOG_OFFSET "log-offset" "Base 5.1.12" [Structures, Memory]
        "reads log pages from a multiple of 4 bytes on, and beyond the first only if LPA allows it";
    FEATURE_VALUE "feature-value" "Base 5.1.25" [Structures, Memory]
        "sets features to values that they can have";
    FEATURE_SAVE "feature-save" "Base 5.1.25" [Structures, Memory]
        "saves features, or asks for saved ones, only where ONCS says that it can";
    SHADOW_BUFFER "shadow-buffer" "Base 5.2.5" [Memory]
        "gives two mapped pages, each from its beginning, for shadow doorbells and event indices";
    HOST_MEMORY "host-memory" "Base 5.1.25.2.4" [Structures, Memory]
        "lends mapped memory in whole pages as a Host Memory Buffer, and leaves it alone until it \
         has taken it back";

    // Data pointers.
    PRP1_OFFSET "prp1-offset" "Base 4.3.1" [Memory]
        "has PRP1 at a multiple of 4";
    PRP2_OFFSET "prp2-offset" "Base 4.3.1" [Memory]
        "has PRP2, where it is data, at the beginning of a page";
    PRP_LIST_OFFSET "prp-list-offset" "Base 4.3.1" [Memory]
        "has PRP2, where it is a list, at a multiple of 8";
    PRP_ENTRY_OFFSET "prp-entry-offset" "Base 4.3.1" [Memory]
        "has each entry of a PRP list at the beginning of a page";
    PRP_CHAIN_OFFSET "prp-chain-offset" "Base 4.3.1" [Memory]
        "continues a PRP list at the beginning of a page";
    MPTR_OFFSET "mptr-offset" "Base 4.1.1" [Memory]
        "has MPTR at a multiple of 4";
    SGL_DESCRIPTOR "sgl-descriptor" "Base 4.3.2" [Memory]
        "uses SGL descriptors that are known, where they may stand, with what is reserved 0";
    SGL_LENGTH "sgl-length" "Base 4.3.2" [Structures, Memory]
        "describes by an SGL as many bytes as the command moves";
    SGL_SEGMENT "sgl-segment" "Base 4.3.2" [Memory]
        "has SGL segments at multiples of 8, of whole descriptors, of which the last one leads on \
         in all but the last segment";
    DATA_UNMAPPED "data-unmapped" "Base 4.3" [Memory]
        "has its data in memory that the controller reaches until the command completes";
    DATA_IN_QUEUE "data-in-queue" "Base 3.3.1" [Admin, Memory]
        "has its data outside of the memory of live queues";
}
