// SPDX-License-Identifier: MIT

//! Features, log pages and shadow doorbells: what admin commands ask for beyond queues.

use nvme_proto::command::Command;
use nvme_proto::identify::IdentifyController;
use nvme_proto::PAGE;

use super::{rules, Broken};
use crate::controller::Controller;
use crate::pci::VECTORS;

/// ONCS bit 4: features can be saved, and saved, default and supported values asked for.
const SAVE_AND_SELECT: u16 = 1 << 4;

/// LPA bit 2: log pages have offsets, and more than 2^12 dwords.
const EXTENDED_DATA: u8 = 1 << 2;

/// Number of Queues.
const NUMBER_OF_QUEUES: u8 = 0x07;

/// The admin commands that do not create or delete queues.
pub(super) fn check(this: &Controller, command: &Command, id: &IdentifyController) -> Vec<Broken> {
    match command.opcode {
        0x02 => log(command, id).into_iter().collect(),
        0x7c => shadow(this, command).into_iter().collect(),
        0x09 => set(this, command, id),
        0x0a => get(command, id).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Get Log Page.
fn log(command: &Command, id: &IdentifyController) -> Option<Broken> {
    let offset = u64::from(command.cdw12.get()) | (u64::from(command.cdw13.get()) << 32);
    let long = command.cdw11.get() & 0xffff != 0;
    let seen = format!("offset {offset}, NUMDU {long}, LPA {:02x}h", id.lpa);
    // CDW14 bit 23 makes the offset an index.
    let index = command.cdw14.get() & (1 << 23) != 0;
    let extended = id.lpa & EXTENDED_DATA != 0;
    let wrong = !index && offset % 4 != 0 || !extended && (offset != 0 || long);
    wrong.then_some((rules::LOG_OFFSET, seen))
}

/// Set Features.
fn set(this: &Controller, command: &Command, id: &IdentifyController) -> Vec<Broken> {
    let fid = (command.cdw10.get() & 0xff) as u8;
    let mut broken = Vec::new();
    if command.cdw10.get() >> 31 != 0 && id.oncs.get() & SAVE_AND_SELECT == 0 {
        let seen = format!("feature {fid:02x}h with SV");
        broken.push((rules::FEATURE_SAVE, seen));
    }
    if fid == NUMBER_OF_QUEUES && this.submission.len().max(this.completion.len()) > 1 {
        let seen = format!("there are {} submission queues", this.submission.len());
        broken.push((rules::QUEUE_COUNT_LATE, seen));
    }
    if !settable(fid, command.cdw11.get(), id) {
        let value = command.cdw11.get();
        let seen = format!("feature {fid:02x}h gets {value:08x}h");
        broken.push((rules::FEATURE_VALUE, seen));
    }
    broken
}

/// Whether a feature can have this value in CDW11: its reserved bits, and what is out of its range.
fn settable(fid: u8, value: u32, id: &IdentifyController) -> bool {
    let bits = match fid {
        // Power Management: WH and PS.
        0x02 => 0xff,
        // Temperature Threshold: THSEL, TMPSEL, TMPTH.
        0x04 => 0x01ff_ffff,
        // Volatile Write Cache, APST: their enables.
        0x06 | 0x0c => 1,
        // Interrupt Coalescing.
        0x08 => 0xffff,
        // Interrupt Vector Configuration: CD and IV.
        0x09 => 0x0001_ffff,
        _ => u32::MAX,
    };
    let (low, high) = (value & 0xffff, value >> 16);
    let in_range = match fid {
        0x02 => value & 0x1f <= u32::from(id.npss),
        0x04 => matches!((value >> 16) & 0xf, 0..=8 | 0xf) && (value >> 20) & 3 < 2,
        NUMBER_OF_QUEUES => low != 0xffff && high != 0xffff,
        0x09 => low < u32::from(VECTORS),
        _ => true,
    };
    value & !bits == 0 && in_range
}

/// Get Features.
fn get(command: &Command, id: &IdentifyController) -> Option<Broken> {
    let sel = (command.cdw10.get() >> 8) & 7;
    let wrong = sel > 3 || sel != 0 && id.oncs.get() & SAVE_AND_SELECT == 0;
    wrong.then(|| {
        let fid = command.cdw10.get() & 0xff;
        (
            rules::FEATURE_SAVE,
            format!("feature {fid:02x}h with SEL {sel}"),
        )
    })
}

/// Doorbell Buffer Config.
fn shadow(this: &Controller, command: &Command) -> Option<Broken> {
    let page = u64::from(PAGE);
    let (shadow, event) = (command.prp1.get(), command.prp2.get());
    let good = |place: u64| place % page == 0 && this.memory.holds(place, page, true);
    let wrong = shadow == event || !good(shadow) || !good(event);
    wrong.then(|| {
        let seen = format!("shadow doorbells at {shadow:#x}, event indices at {event:#x}");
        (rules::SHADOW_BUFFER, seen)
    })
}
