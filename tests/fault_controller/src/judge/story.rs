// SPDX-License-Identifier: MIT

//! A command as a story: where it lay, and its sixteen dwords taken apart.

use nvme_proto::command::Command;
use zerocopy::IntoBytes as _;

use super::fields;
use crate::controller::{Controller, Taken};
use crate::data::number;

/// The names of the dwords that mean the same in every command.
fn meaning(command: &Command, dword: usize) -> String {
    let flags = command.flags;
    match dword {
        0 => format!(
            "OPC {:02x}h, FUSE {}, PSDT {}, CID {:#06x}",
            command.opcode,
            flags & 3,
            flags >> 6,
            command.cid.get()
        ),
        1 => format!("NSID {}", command.nsid.get()),
        4 | 5 => format!("MPTR {:#x}", command.mptr.get()),
        6 | 7 if flags >> 6 == 0 => format!("PRP1 {:#x}", command.prp1.get()),
        8 | 9 if flags >> 6 == 0 => format!("PRP2 {:#x}", command.prp2.get()),
        6 | 7 => format!("SGL1 address {:#x}", command.prp1.get()),
        8 | 9 => format!("SGL1 length and type {:#018x}", command.prp2.get()),
        _ => String::new(),
    }
}

/// The lines for a command that was taken from its queue.
pub(super) fn of(this: &Controller, taken: &Taken) -> Vec<String> {
    let command = &taken.command;
    let fields = fields::of(taken.sqid, command.opcode);
    let name = fields.map_or("unknown", |fields| fields.name);
    let queue = this.submission.get(&taken.sqid).map_or_else(
        || "which is gone".to_owned(),
        |queue| {
            format!(
                "of {} entries, read up to {}, tail {}",
                queue.entries, queue.head, queue.tail
            )
        },
    );
    let mut lines = vec![format!("{name} from queue {}, {queue}", taken.sqid)];
    for (dword, bytes) in command.as_bytes().chunks_exact(4).enumerate() {
        let value = number(bytes);
        // Reserved in most commands, and nothing to tell where they are 0.
        let common = meaning(command, dword);
        let own = fields.map_or("", |fields| fields.meaning(dword));
        let text = if own.is_empty() { &common } else { own };
        lines.push(
            format!("  CDW{dword:<2} {value:08x} {text}")
                .trim_end()
                .to_owned(),
        );
    }
    lines
}
