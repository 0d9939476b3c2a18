// SPDX-License-Identifier: MIT

//! Faults of what is handed out: identify data, lists, log pages.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nvme_proto::identify::IDENTIFY_BYTES;

use super::kinds::{Descriptor, Patch, Put};
use super::random::Random;
use super::{Fault, Fired, Hook, What};
use crate::controller::{Controller, Taken};
use crate::data::{self, Piece};
use crate::memory::Memory;

/// What is done with a structure beside changing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// Nothing.
    Nothing,
    /// It is changed to and fro after it was handed out.
    Rewrite(Duration),
}

/// How long a structure is changed at most.
const LONGEST: Duration = Duration::from_secs(1);

/// The size of the first namespace's NSZE and NCAP, in bytes from the start.
const SIZES: [usize; 2] = [0, 8];

impl Controller {
    /// Before a structure is handed out: its bytes can be changed.
    pub(crate) fn structure_fault(
        &mut self,
        fired: Fired,
        what: What,
        taken: &Taken,
        bytes: &mut Vec<u8>,
    ) -> Afterwards {
        let asked = taken.command.nsid.get();
        match fired.kind.fault {
            Fault::Fill(byte) => bytes.fill(byte),
            Fault::Random => Random::new(fired.dice).fill(bytes),
            Fault::Patch(patches) => {
                for patch in patches {
                    apply(patch, fired.argument, bytes);
                }
            }
            Fault::Changing { at, bytes: count } => {
                let digits = format!("{:0count$}", fired.count);
                overwrite(bytes, at, digits.as_bytes());
            }
            Fault::Short => bytes.truncate(usize::try_from(fired.argument).unwrap_or(usize::MAX)),
            Fault::RewrittenWhileRead => return Afterwards::Rewrite(fired.wait().min(LONGEST)),
            Fault::SizeShrinks => shrink(bytes, fired.count),
            Fault::SameNames => self.share_names(what, bytes),
            Fault::ListEndless => number(bytes, asked.saturating_add(1)),
            Fault::ListRepeated => number(bytes, 1),
            Fault::ListUnsorted => relist(bytes, |list| list.reverse()),
            Fault::ListDuplicate => relist(bytes, |list| {
                *list = list.iter().flat_map(|&nsid| [nsid, nsid]).collect();
            }),
            Fault::ListInvalid => relist(bytes, |list| {
                list.splice(0..0, [0xffff_fffe, 0xffff_ffff]);
                list.resize(IDENTIFY_BYTES / 4, 0xffff_ffff);
            }),
            Fault::ListBeyond => {
                let most = self.settings.most_namespaces;
                relist(bytes, |list| {
                    list.extend((1..9).map(|n| most.saturating_add(n)))
                });
            }
            Fault::ListShrinks if fired.count > 1 => relist(bytes, |list| {
                list.pop();
            }),
            Fault::Descriptor(descriptor) => describe(descriptor, fired.argument, bytes),
            Fault::ChangedAbsurd => absurd(fired.dice, bytes),
            _ => {}
        }
        Afterwards::Nothing
    }

    /// What is handed out for a log page that the controller does not have, where a fault is to change it.
    pub(crate) fn invented_page(&self, taken: &Taken) -> Option<Vec<u8>> {
        let wanted = self.faults.await_such(Hook::Structure, &taken.occasion());
        wanted.then(|| vec![0; IDENTIFY_BYTES])
    }

    /// The names of the first namespace instead of another's.
    fn share_names(&self, what: What, bytes: &mut [u8]) {
        let Some(first) = self.namespaces.values().next() else {
            return;
        };
        match what {
            What::Identify(0) => {
                overwrite(bytes, 104, &first.nguid);
                overwrite(bytes, 120, &first.eui64);
            }
            _ => {
                let mut at = 0;
                for (kind, name) in [
                    (1, first.eui64.as_slice()),
                    (2, &first.nguid),
                    (3, &first.uuid),
                ] {
                    overwrite(bytes, at, &[kind, name.len() as u8, 0, 0]);
                    overwrite(bytes, at + 4, name);
                    at += 4 + name.len();
                }
            }
        }
    }

    /// Changes a structure to and fro between what it is and all ones, until the host does anything
    /// or the time is over.
    pub(crate) fn rewrite(&mut self, lasts: Duration, pieces: Vec<Piece>, right: Vec<u8>) {
        let stop = Arc::new(AtomicBool::new(false));
        self.lies.rewriting = Some(stop.clone());
        let memory = self.memory.clone();
        self.beside(move || rewrite(&memory, lasts, &pieces, &right, &stop));
    }
}

/// Writes all ones and what is right in turn; what is right stays.
fn rewrite(memory: &Memory, lasts: Duration, pieces: &[Piece], right: &[u8], stop: &AtomicBool) {
    let (end, ones) = (Instant::now() + lasts, vec![0xff; right.len()]);
    while !stop.load(Ordering::Acquire) && Instant::now() < end {
        for bytes in [&ones, right] {
            if data::scatter(memory, pieces, bytes).is_err() {
                return;
            }
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (place, byte) in bytes.iter_mut().skip(at).zip(with) {
        *place = *byte;
    }
}

fn apply(patch: &Patch, argument: u64, bytes: &mut [u8]) {
    let places = bytes.iter_mut().skip(patch.at).take(patch.bytes);
    match patch.put {
        Put::Argument => {
            for (place, byte) in places.zip(argument.to_le_bytes()) {
                *place = byte;
            }
        }
        Put::Or(bits) => {
            for (place, byte) in places.zip(bits.to_le_bytes()) {
                *place |= byte;
            }
        }
        Put::Fill => places.for_each(|place| *place = (argument & 0xff) as u8),
    }
}

/// Sizes of half as many blocks each time, one at least.
fn shrink(bytes: &mut [u8], count: u64) {
    for at in SIZES {
        let old = data::number(bytes.get(at..).unwrap_or_default());
        let times = u32::try_from(count - 1).unwrap_or(u32::MAX);
        let new = old.checked_shr(times).unwrap_or(0).max(1);
        overwrite(bytes, at, &new.to_le_bytes());
    }
}

/// A full list from an identifier on.
fn number(bytes: &mut [u8], first: u32) {
    for (place, index) in bytes.chunks_exact_mut(4).zip(0..) {
        overwrite(place, 0, &first.wrapping_add(index).to_le_bytes());
    }
}

/// The list with something else in it.
fn relist(bytes: &mut Vec<u8>, change: impl FnOnce(&mut Vec<u32>)) {
    let length = bytes.len();
    let mut list: Vec<u32> = bytes
        .chunks_exact(4)
        .map(|word| {
            word.iter()
                .rev()
                .fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
        })
        .take_while(|&nsid| nsid != 0)
        .collect();
    change(&mut list);
    *bytes = list.iter().flat_map(|nsid| nsid.to_le_bytes()).collect();
    bytes.resize(length, 0);
}

/// Something wrong with the namespace identification descriptors.
fn describe(descriptor: Descriptor, argument: u64, bytes: &mut Vec<u8>) {
    const CSI: u8 = 4;
    let length = bytes.len();
    let mut front = |header: &[u8], value: u8, count: usize| {
        let mut with = header.to_vec();
        with.resize(with.len() + count, value);
        bytes.splice(0..0, with);
    };
    match descriptor {
        Descriptor::ZeroLength => front(&[2, 0, 0, 0], 0, 0),
        Descriptor::WrongLength => front(&[2, 4, 0, 0], 0xaa, 4),
        Descriptor::Repeated => front(&[1, 8, 0, 0], 0x55, 8),
        Descriptor::Unknown => {
            front(&[0x7f, 5, 0, 0], 0xaa, 5);
            front(&[0xff, 255, 0, 0], 0xaa, 255);
        }
        Descriptor::Overlong => {
            bytes.clear();
            // Unknown ones as long as they can be, up to a last header that ends with the page.
            let end = length.saturating_sub(4);
            while bytes.len() + 4 < end {
                let count = (end - bytes.len() - 4).min(252);
                bytes.extend([0x7f, count as u8, 0, 0]);
                bytes.resize(bytes.len() + count, 0xaa);
            }
            bytes.extend([2, 16, 0, 0]);
        }
        Descriptor::WrongCsi => {
            let found = bytes
                .windows(5)
                .position(|header| header.starts_with(&[CSI, 1, 0, 0]));
            if let Some(at) = found {
                overwrite(bytes, at + 4, &[(argument & 0xff) as u8]);
            }
        }
    }
    bytes.resize(length, 0);
}

/// A full list without order, with repeats, of identifiers that there are not.
fn absurd(dice: u64, bytes: &mut [u8]) {
    let mut random = Random::new(dice);
    for place in bytes.chunks_exact_mut(4) {
        let nsid = 0x1000 + (random.below(64) as u32) * 0x0100_0000;
        overwrite(place, 0, &nsid.to_le_bytes());
    }
}
