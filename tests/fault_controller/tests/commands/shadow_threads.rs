// SPDX-License-Identifier: MIT

//! Shadow doorbells between two threads: a host and a controller that look at the same memory at the
//! same time lose nothing.

use std::sync::atomic::{fence, Ordering};
use std::sync::mpsc::{channel, Sender};
use std::thread;
use std::time::{Duration, Instant};

use nvme_fault_controller::memory::Memory;
use nvme_proto::command::Command;
use nvme_proto::register::offset;
use nvme_proto::shadow::{entry_offset, must_ring};
use zerocopy::IntoBytes as _;

use super::shadow::configure;
use super::Driver;

/// Commands in all.
const COMMANDS: u32 = 20_000;

/// The queue that they go through, which nobody has used before, and its entries.
const QID: u16 = 2;
const ENTRIES: u32 = 16;

/// Bytes from one doorbell to the next.
const STRIDE: usize = 4;

/// Without a completion for so long, one is lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// A doorbell with its shadow and its event index.
struct Doorbell {
    shadow: u64,
    event: u64,
    register: usize,
    told: u16,
    rung: u32,
}

impl Doorbell {
    fn new(completion: bool, (shadow, event): (u64, u64)) -> Self {
        let entry = entry_offset(QID, STRIDE, completion);
        Self {
            shadow: shadow + entry as u64,
            event: event + entry as u64,
            register: offset::DOORBELLS + entry,
            told: 0,
            rung: 0,
        }
    }

    /// Tells the controller, by the register only if it asks for that.
    fn tell(&mut self, memory: &Memory, wire: &Sender<(usize, u32)>, value: u32) {
        memory.store32(self.shadow, value).expect("the shadow");
        fence(Ordering::SeqCst);
        let event = memory.load32(self.event).expect("the event index");
        let old = std::mem::replace(&mut self.told, value as u16);
        if must_ring(event, old, value as u16) {
            self.rung += 1;
            wire.send((self.register, value)).expect("a controller");
        }
    }
}

#[test]
fn a_host_on_another_cpu_loses_nothing() {
    let mut driver = Driver::usual();
    configure(&mut driver);
    let shadow = driver.shadow.expect("shadows");
    let (sq, cq) = (driver.queue(QID).sq, driver.queue(QID).cq);
    let memory = driver.controller.memory.clone();
    let Driver { mut controller, .. } = driver;
    let (wire, doorbells) = channel::<(usize, u32)>();
    let device = thread::spawn(move || {
        for (register, value) in doorbells {
            controller.write(register, &value.to_le_bytes());
            controller.tick();
        }
        controller
    });

    let mut tail = Doorbell::new(false, shadow);
    let mut head = Doorbell::new(true, shadow);
    let (mut sent, mut done, mut last) = (0, 0, Instant::now());
    while done < COMMANDS {
        if sent < COMMANDS && sent - done < ENTRIES - 1 {
            let command = Command::flush(1).with_cid((sent % 4096) as u16);
            let slot = sq + u64::from(sent % ENTRIES) * 64;
            memory.write(slot, command.as_bytes()).expect("a slot");
            sent += 1;
            tail.tell(&memory, &wire, sent % ENTRIES);
        }
        let entry = cq + u64::from(done % ENTRIES) * 16;
        let status = memory.load32(entry + 12).expect("an entry");
        if ((status >> 16) & 1 == 1) == (done / ENTRIES % 2 == 0) {
            assert_eq!(status & 0xffff, done % 4096, "in order, each once");
            done += 1;
            last = Instant::now();
            // Slots are given back late, so that completions have to wait for room.
            if done % 5 == 0 {
                head.tell(&memory, &wire, done % ENTRIES);
            }
        } else {
            let rung = (tail.rung, head.rung);
            assert!(
                last.elapsed() < PATIENCE,
                "{sent} sent, {done} done, rung {rung:?}"
            );
            thread::yield_now();
        }
    }
    drop(wire);
    let controller = device.join().expect("the controller's thread");
    println!(
        "{COMMANDS} commands: {} and {} doorbells",
        tail.rung, head.rung
    );
    assert_eq!(controller.judge.complaints(), 0);
}
