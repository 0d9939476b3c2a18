// SPDX-License-Identifier: MIT

//! What each command has where: the bits of its dwords that mean something, whether it has data, and
//! what it does with NSID. All other bits are reserved.

/// What a command does with NSID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nsid {
    /// Nothing: it is 0.
    Unused,
    /// One namespace.
    One,
    /// One, or all by FFFFFFFFh.
    OneOrAll,
    /// That depends: 0, one, or all.
    Any,
}

/// Where a command has its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// Nowhere: the data pointer is reserved.
    None,
    /// PRP1 names a place; PRP2 is reserved.
    One,
    /// PRP1 and PRP2 name two places.
    Two,
    /// The data pointer tells.
    Pointer,
}

/// A command's fields.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) opcode: u8,
    pub(super) name: &'static str,
    /// The bit of OACS or ONCS that says whether it is there; `None` if it always is.
    pub(super) optional: Option<u8>,
    pub(super) nsid: Nsid,
    pub(super) data: Data,
    /// What of CDW10 to CDW15 is not reserved.
    pub(super) dwords: [u32; 6],
    /// Words for CDW10 to CDW15.
    pub(super) words: [&'static str; 6],
}

impl Fields {
    /// What a dword holds in this command; empty if that is nothing of its own.
    pub(super) fn meaning(&self, dword: usize) -> &'static str {
        dword
            .checked_sub(10)
            .and_then(|index| self.words.get(index).copied())
            .unwrap_or("")
    }
}

/// The fields of a command, if it is known.
pub(super) fn of(sqid: u16, opcode: u8) -> Option<&'static Fields> {
    let table = if sqid == 0 { ADMIN } else { NVM };
    table.iter().find(|fields| fields.opcode == opcode)
}

const ALL: u32 = 0xffff_ffff;
const SLBA: [&str; 2] = ["SLBA 31:0", "SLBA 63:32"];

/// A row: opcode, name, its bit, NSID, data, dwords with their words.
const fn row(
    opcode: u8,
    name: &'static str,
    optional: Option<u8>,
    nsid: Nsid,
    data: Data,
    dwords: [u32; 6],
    words: [&'static str; 6],
) -> Fields {
    Fields {
        opcode,
        name,
        optional,
        nsid,
        data,
        dwords,
        words,
    }
}

/// The admin command set.
#[rustfmt::skip]
const ADMIN: &[Fields] = &[
    row(0x00, "Delete I/O Submission Queue", None, Nsid::Unused, Data::None,
        [0xffff, 0, 0, 0, 0, 0], ["QID 15:0", "", "", "", "", ""]),
    row(0x01, "Create I/O Submission Queue", None, Nsid::Unused, Data::One,
        [ALL, 0xffff_0007, 0xffff, 0, 0, 0],
        ["QSIZE 31:16, QID 15:0", "CQID 31:16, QPRIO 2:1, PC 0", "NVMSETID 15:0", "", "", ""]),
    row(0x02, "Get Log Page", None, Nsid::Any, Data::Pointer,
        [ALL, ALL, ALL, ALL, 0xff80_007f, 0],
        ["NUMDL 31:16, RAE 15, LSP 14:8, LID 7:0", "LSI 31:16, NUMDU 15:0", "LPOL", "LPOU",
         "CSI 31:24, OT 23, UIDX 6:0", ""]),
    row(0x04, "Delete I/O Completion Queue", None, Nsid::Unused, Data::None,
        [0xffff, 0, 0, 0, 0, 0], ["QID 15:0", "", "", "", "", ""]),
    row(0x05, "Create I/O Completion Queue", None, Nsid::Unused, Data::One,
        [ALL, 0xffff_0003, 0, 0, 0, 0],
        ["QSIZE 31:16, QID 15:0", "IV 31:16, IEN 1, PC 0", "", "", "", ""]),
    row(0x06, "Identify", None, Nsid::Any, Data::Pointer,
        [0xffff_00ff, 0xff00_ffff, 0, 0, 0x7f, 0],
        ["CNTID 31:16, CNS 7:0", "CSI 31:24, CNSSID 15:0", "", "", "UIDX 6:0", ""]),
    row(0x08, "Abort", None, Nsid::Unused, Data::None,
        [ALL, 0, 0, 0, 0, 0], ["CID 31:16, SQID 15:0", "", "", "", "", ""]),
    row(0x09, "Set Features", None, Nsid::Any, Data::Pointer,
        [0x8000_00ff, ALL, ALL, ALL, ALL, ALL],
        ["SV 31, FID 7:0", "the feature's", "the feature's", "the feature's", "the feature's",
         "the feature's"]),
    row(0x0a, "Get Features", None, Nsid::Any, Data::Pointer,
        [0x7ff, ALL, ALL, ALL, ALL, ALL],
        ["SEL 10:8, FID 7:0", "the feature's", "the feature's", "the feature's", "UIDX 6:0",
         "the feature's"]),
    row(0x0c, "Asynchronous Event Request", None, Nsid::Unused, Data::None,
        [0; 6], [""; 6]),
    row(0x10, "Firmware Commit", Some(2), Nsid::Unused, Data::None,
        [0x8000_003f, 0, 0, 0, 0, 0], ["BPID 31, CA 5:3, FS 2:0", "", "", "", "", ""]),
    row(0x11, "Firmware Image Download", Some(2), Nsid::Unused, Data::Pointer,
        [ALL, ALL, 0, 0, 0, 0], ["NUMD", "OFST", "", "", "", ""]),
    row(0x7c, "Doorbell Buffer Config", Some(8), Nsid::Unused, Data::Two,
        [0; 6], [""; 6]),
    row(0x80, "Format NVM", Some(1), Nsid::OneOrAll, Data::None,
        [0x3fff, 0, 0, 0, 0, 0],
        ["LBAFU 13:12, SES 11:9, PIL 8, PI 7:5, MSET 4, LBAFL 3:0", "", "", "", "", ""]),
];

/// The NVM Command Set.
#[rustfmt::skip]
const NVM: &[Fields] = &[
    row(0x00, "Flush", None, Nsid::OneOrAll, Data::None, [0; 6], [""; 6]),
    row(0x01, "Write", None, Nsid::One, Data::Pointer,
        [ALL, ALL, 0xfdff_ffff, 0xffff_00ff, ALL, ALL],
        [SLBA[0], SLBA[1],
         "LR 31, FUA 30, PRINFO 29:26, STC 24, DTYPE 23:20, CETYPE 19:16, NLB 15:0",
         "DSPEC 31:16, DSM 7:0", "LBST, ILBRT", "LBATM 31:16, LBAT 15:0"]),
    row(0x02, "Read", None, Nsid::One, Data::Pointer,
        [ALL, ALL, 0xfd0f_ffff, 0xffff_00ff, ALL, ALL],
        [SLBA[0], SLBA[1],
         "LR 31, FUA 30, PRINFO 29:26, STC 24, CETYPE 19:16, NLB 15:0",
         "CEV 31:16, DSM 7:0", "ELBST, EILBRT", "ELBATM 31:16, ELBAT 15:0"]),
    row(0x04, "Write Uncorrectable", Some(1), Nsid::One, Data::None,
        [ALL, ALL, 0x00ff_ffff, 0xffff_0000, 0, 0],
        [SLBA[0], SLBA[1], "DTYPE 23:20, NLB 15:0", "DSPEC 31:16", "", ""]),
    row(0x05, "Compare", Some(0), Nsid::One, Data::Pointer,
        [ALL, ALL, 0xfd0f_ffff, 0xffff_ffff, ALL, ALL],
        [SLBA[0], SLBA[1],
         "LR 31, FUA 30, PRINFO 29:26, STC 24, CETYPE 19:16, NLB 15:0",
         "CEV", "ELBST, EILBRT", "ELBATM 31:16, ELBAT 15:0"]),
    row(0x08, "Write Zeroes", Some(3), Nsid::One, Data::None,
        [ALL; 6],
        [SLBA[0], SLBA[1],
         "LR 31, FUA 30, PRINFO 29:26, DEAC 25, STC 24, DTYPE 23:20, CETYPE 19:16, NLB 15:0",
         "DSPEC 31:16", "LBST, ILBRT", "LBATM 31:16, LBAT 15:0"]),
    row(0x09, "Dataset Management", Some(2), Nsid::One, Data::Pointer,
        [0xff, 7, 0, 0, 0, 0], ["NR 7:0", "AD 2, IDW 1, IDR 0", "", "", "", ""]),
    row(0x0c, "Verify", Some(7), Nsid::One, Data::None,
        [ALL, ALL, 0xfd0f_ffff, 0xffff_ffff, ALL, ALL],
        [SLBA[0], SLBA[1],
         "LR 31, FUA 30, PRINFO 29:26, STC 24, CETYPE 19:16, NLB 15:0",
         "CEV", "ELBST, EILBRT", "ELBATM 31:16, ELBAT 15:0"]),
    row(0x0d, "Reservation Register", Some(5), Nsid::One, Data::Pointer,
        [0xc000_000f, 0, 0, 0, 0, 0], ["CPTPL 31:30, IEKEY 3, RREGA 2:0", "", "", "", "", ""]),
    row(0x0e, "Reservation Report", Some(5), Nsid::One, Data::Pointer,
        [ALL, 1, 0, 0, 0, 0], ["NUMD", "EDS 0", "", "", "", ""]),
    row(0x11, "Reservation Acquire", Some(5), Nsid::One, Data::Pointer,
        [0xff1f, 0, 0, 0, 0, 0], ["RTYPE 15:8, IEKEY 3, RACQA 2:0", "", "", "", "", ""]),
    row(0x15, "Reservation Release", Some(5), Nsid::One, Data::Pointer,
        [0xff1f, 0, 0, 0, 0, 0], ["RTYPE 15:8, IEKEY 3, RRELA 2:0", "", "", "", "", ""]),
    row(0x19, "Copy", Some(8), Nsid::One, Data::Pointer,
        [ALL; 6],
        ["SDLBA 31:0", "SDLBA 63:32",
         "LR 31, FUA 30, PRINFOW 29:26, PRINFOR 15:12, DESFMT 11:8, NR 7:0", "DSPEC 31:16",
         "LBST, ILBRT", "LBATM 31:16, LBAT 15:0"]),
];
