// SPDX-License-Identifier: MIT

//! What each command says: opcode, reserved fields, namespace, length and range.

use std::collections::BTreeMap;

use nvme_proto::command::{Cns, Command, NSID_ALL};
use nvme_proto::identify::IdentifyController;

use super::fields::{self, Data, Fields, Nsid};
use super::{features, queues, rules, Broken};
use crate::controller::{Controller, Taken};

/// The checks of a command by what it says.
pub(super) fn check(
    this: &Controller,
    taken: &Taken,
    most_blocks: &BTreeMap<u32, u64>,
    broken: &mut Vec<Broken>,
) {
    let command = &taken.command;
    let admin = taken.sqid == 0;
    let id = this.identify_controller();
    let Some(fields) = fields::of(taken.sqid, command.opcode) else {
        let seen = format!("opcode {:02x}h is none that is known", command.opcode);
        broken.push((rules::OPCODE_UNSUPPORTED, seen));
        return;
    };
    let (name, word) = match admin {
        true => ("OACS", id.oacs.get()),
        false => ("ONCS", id.oncs.get()),
    };
    if fields.optional.is_some_and(|bit| word & (1 << bit) == 0) {
        let seen = format!("{} with {name} {word:04x}h", fields.name);
        broken.push((rules::OPCODE_UNSUPPORTED, seen));
        return;
    }
    broken.extend(flags(command, admin, &id));
    broken.extend(reserved(command, admin, fields));
    broken.extend(nsid(this, command, admin, fields));
    if admin {
        broken.extend(queues::check(this, taken));
        broken.extend(features::check(this, command, &id));
    }
    broken.extend(length(this, command, admin));
    if !admin {
        broken.extend(range(this, command, most_blocks));
    }
}

/// FUSE and PSDT.
fn flags(command: &Command, admin: bool, id: &IdentifyController) -> Vec<Broken> {
    let (fuse, psdt, sgls) = (command.flags & 3, command.flags >> 6, id.sgls.get());
    let mut broken = Vec::new();
    if fuse != 0 && id.fuses.get() == 0 {
        let seen = format!("FUSE {fuse} with FUSES 0");
        broken.push((rules::FUSE_UNSUPPORTED, seen));
    }
    // PSDT 10b has the metadata described by an SGL as well: SGLS bit 19.
    let offered = match psdt {
        1 => sgls & 3 != 0,
        _ => sgls & 3 != 0 && sgls & (1 << 19) != 0,
    };
    let seen = format!("PSDT {psdt:02b}b with SGLS {sgls:08x}h");
    match psdt {
        0 => {}
        3 => broken.push((rules::PSDT_RESERVED, seen)),
        _ if admin => broken.push((rules::SGL_ADMIN, seen)),
        _ if !offered => broken.push((rules::SGL_UNSUPPORTED, seen)),
        _ => {}
    }
    broken
}

/// What is reserved, and not 0.
fn reserved(command: &Command, admin: bool, fields: &Fields) -> Option<Broken> {
    let mut seen = Vec::new();
    let mut must_be_zero = |name: &str, value: u64| {
        if value != 0 {
            seen.push(format!("{name} has {value:#x}"));
        }
    };
    must_be_zero("CDW0 bits 13:10", u64::from(command.flags & 0x3c) >> 2);
    // Reference tags of 64-bit guards begin in CDW2 and CDW3, where they are checked.
    const PRINFO: u32 = 0xf << 26;
    let tagged = !admin && command.cdw12.get() & PRINFO != 0;
    if !tagged {
        must_be_zero("CDW2", command.cdw2.get().into());
        must_be_zero("CDW3", command.cdw3.get().into());
    }
    if admin || fields.data == Data::None {
        must_be_zero("MPTR", command.mptr.get());
    }
    if fields.data == Data::None {
        must_be_zero("PRP1", command.prp1.get());
    }
    if matches!(fields.data, Data::None | Data::One) {
        must_be_zero("PRP2", command.prp2.get());
    }
    let dwords = [
        command.cdw10,
        command.cdw11,
        command.cdw12,
        command.cdw13,
        command.cdw14,
        command.cdw15,
    ];
    for (number, (dword, mask)) in (10..).zip(dwords.iter().zip(fields.dwords)) {
        let rest = dword.get() & !mask;
        must_be_zero(&format!("CDW{number}"), rest.into());
    }
    (!seen.is_empty()).then(|| {
        let seen = format!("{}: reserved {}", fields.name, seen.join(", "));
        (rules::RESERVED_BITS, seen)
    })
}

fn nsid(this: &Controller, command: &Command, admin: bool, fields: &Fields) -> Option<Broken> {
    let nsid = command.nsid.get();
    let last = this.settings.most_namespaces;
    let seen = format!("{} with NSID {nsid:#x}, NN is {last}", fields.name);
    let of_controller =
        admin && fields.opcode == 0x06 && command.cdw10.get() & 0xff == Cns::Controller as u32;
    let known = (1..=last).contains(&nsid);
    match fields.nsid {
        Nsid::Unused if nsid != 0 => Some((rules::NSID_UNUSED, seen)),
        Nsid::Any if of_controller && nsid != 0 => Some((rules::NSID_UNUSED, seen)),
        Nsid::One if !known => Some((rules::NSID_INVALID, seen)),
        Nsid::OneOrAll if !known && nsid != NSID_ALL => Some((rules::NSID_INVALID, seen)),
        Nsid::Any if !known && nsid != NSID_ALL && nsid != 0 => Some((rules::NSID_INVALID, seen)),
        _ => None,
    }
}

/// Whether a command of the NVM Command Set has SLBA and NLB.
fn has_range(opcode: u8) -> bool {
    matches!(opcode, 0x01 | 0x02 | 0x04 | 0x05 | 0x08 | 0x0c)
}

/// The bytes that a command moves, against MDTS.
fn length(this: &Controller, command: &Command, admin: bool) -> Option<Broken> {
    let bytes = match (admin, command.opcode) {
        (true, 0x02) => {
            let low = command.cdw10.get() >> 16;
            let high = command.cdw11.get() & 0xffff;
            (u64::from(low | (high << 16)) + 1) * 4
        }
        (false, 0x01 | 0x02 | 0x05) => {
            let namespace = this.namespaces.get(&command.nsid.get())?;
            (u64::from(command.cdw12.get() & 0xffff) + 1) << namespace.lbads
        }
        _ => return None,
    };
    let most = u64::from(nvme_proto::PAGE) << this.settings.mdts;
    (this.settings.mdts != 0 && bytes > most).then(|| {
        let seen = format!("{bytes} bytes, MDTS allows {most}");
        (rules::MDTS_EXCEEDED, seen)
    })
}

/// The blocks of a command, against the namespace's.
fn range(this: &Controller, command: &Command, most_blocks: &BTreeMap<u32, u64>) -> Option<Broken> {
    if !has_range(command.opcode) {
        return None;
    }
    let nsid = command.nsid.get();
    let namespace = this.namespaces.get(&nsid)?;
    let before = most_blocks.get(&nsid).copied().unwrap_or(0);
    let blocks = namespace.blocks.max(before);
    let first = u64::from(command.cdw10.get()) | (u64::from(command.cdw11.get()) << 32);
    let count = u64::from(command.cdw12.get() & 0xffff) + 1;
    let inside = first.checked_add(count).is_some_and(|end| end <= blocks);
    (!inside).then(|| {
        let seen = format!("{count} blocks from {first} on, the namespace has {blocks}");
        (rules::LBA_RANGE, seen)
    })
}
