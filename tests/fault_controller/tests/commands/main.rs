// SPDX-License-Identifier: MIT

//! The controller's commands, beside reads and writes: what a correct controller of NVMe 2.1 answers.

#[path = "../driver/mod.rs"]
mod driver;

mod aborts;
mod events;
mod features;
mod full;
mod host_memory;
mod identify;
mod interrupts;
mod io;
mod logs;
mod protection;
mod ranges;
mod reservations;
mod resets;
mod shadow;
mod shadow_threads;

use driver::heap::Heap;
use driver::{nameless, Driver, Setup};
use nvme_proto::command::Command;
use nvme_proto::completion::Completion;
use nvme_proto::status::Status;
use zerocopy::little_endian::U32;

/// A log page, the event of which is cleared.
fn log_page(driver: &mut Driver, lid: u8, length: usize) -> Vec<u8> {
    let command = Command::get_log_page(u32::MAX, lid, (length / 4) as u32, 0, false);
    let (completion, bytes) = driver.fetch(command, length);
    assert_eq!(completion.status, Status::SUCCESS, "{}", driver.log());
    bytes
}

/// A little-endian number of a structure.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length]
        .iter()
        .rev()
        .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// A command by its opcode and its first dwords.
fn raw(opcode: u8, nsid: u32, dwords: &[u32]) -> Command {
    let mut command = Command {
        opcode,
        nsid: nsid.into(),
        ..Command::default()
    };
    let mut places: [&mut U32; 6] = [
        &mut command.cdw10,
        &mut command.cdw11,
        &mut command.cdw12,
        &mut command.cdw13,
        &mut command.cdw14,
        &mut command.cdw15,
    ];
    for (place, dword) in places.iter_mut().zip(dwords) {
        place.set(*dword);
    }
    command
}

/// Sends a command of queue 1 with a page of data, which is returned as it is afterwards.
fn with_page(driver: &mut Driver, command: Command, data: &[u8]) -> (Completion, Vec<u8>) {
    let page = driver.heap.take(1);
    driver.heap.write(page, data);
    let completion = driver.send(1, command.with_data(page, 0));
    let bytes = driver.heap.read(page, 4096);
    driver.heap.free(page, 1);
    (completion, bytes)
}

/// The code of a status, without what is said about it.
fn code(completion: &Completion) -> Status {
    Status::from_raw(completion.status.code())
}

/// A page of the heap for something that lasts.
fn page(heap: &mut Heap) -> u64 {
    heap.take(1)
}
