// SPDX-License-Identifier: MIT

//! Get Log Page (Base 5.1.12) and the pages there are.
//!
//! A page is made whole at each read; what lies behind its end reads as zeros.

use std::collections::VecDeque;

use nvme_proto::command::{AdminOpcode, NvmOpcode, NSID_ALL};
use nvme_proto::status::Status;

use crate::admin::{features, opcode};
use crate::controller::{Answer, Controller, Taken};
use crate::fault::What;
use crate::io::opcode as io_opcode;

/// Log page identifiers.
pub mod lid {
    /// Supported Log Pages.
    pub const SUPPORTED: u8 = 0x00;
    /// Error Information.
    pub const ERRORS: u8 = 0x01;
    /// SMART / Health Information.
    pub const HEALTH: u8 = 0x02;
    /// Firmware Slot Information.
    pub const FIRMWARE: u8 = 0x03;
    /// Changed Attached Namespace List.
    pub const CHANGED_NAMESPACES: u8 = 0x04;
    /// Commands Supported and Effects.
    pub const EFFECTS: u8 = 0x05;
    /// Feature Identifiers Supported and Effects.
    pub const FEATURES: u8 = 0x12;
    /// NVMe-MI Commands Supported and Effects.
    pub const MANAGEMENT: u8 = 0x13;
    /// Reservation Notification.
    pub const RESERVATIONS: u8 = 0x80;
}

/// All that there are.
const PAGES: [u8; 9] = [
    lid::SUPPORTED,
    lid::ERRORS,
    lid::HEALTH,
    lid::FIRMWARE,
    lid::CHANGED_NAMESPACES,
    lid::EFFECTS,
    lid::FEATURES,
    lid::MANAGEMENT,
    lid::RESERVATIONS,
];

/// Entries of the Error Information log (ELPE + 1).
pub const ERROR_ENTRIES: usize = 64;

/// Bytes that one Get Log Page can move at most: more is a driver that asks for nonsense.
const LONGEST: u64 = 1 << 20;

/// CDW10: Retain Asynchronous Event.
const RETAIN: u32 = 1 << 15;

/// CDW14: the offset counts entries, not bytes.
const OFFSET_IS_INDEX: u32 = 1 << 23;

/// The status field's More.
const MORE: u16 = 1 << 13;

/// An entry of the Error Information log (Base 5.1.12.1.2).
#[derive(Clone, Copy, Debug)]
pub struct ErrorEntry {
    /// Counts all errors, so that no two entries are the same.
    pub count: u64,
    /// The command, with its queue.
    pub taken: Taken,
    /// What was answered.
    pub status: Status,
}

impl ErrorEntry {
    fn bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        let command = &self.taken.command;
        let io = self.taken.sqid != 0;
        let lba = u64::from(command.cdw10.get()) | (u64::from(command.cdw11.get()) << 32);
        put(&mut bytes, 0, &self.count.to_le_bytes());
        put(&mut bytes, 8, &self.taken.sqid.to_le_bytes());
        put(&mut bytes, 10, &command.cid.get().to_le_bytes());
        put(&mut bytes, 12, &(self.status.raw() << 1).to_le_bytes());
        // Which byte of the command is at fault is not said.
        put(&mut bytes, 14, &[0xff, 0xff]);
        if io {
            put(&mut bytes, 16, &lba.to_le_bytes());
        }
        put(&mut bytes, 24, &command.nsid.get().to_le_bytes());
        // TRTYPE: PCIe; OPC; the page's version.
        put(&mut bytes, 29, &[3, 0, command.opcode]);
        put(&mut bytes, 63, &[1]);
        bytes
    }
}

/// Puts `what` at `at`; what does not fit is left out.
pub(crate) fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    for (place, byte) in bytes.iter_mut().skip(at).zip(what) {
        *place = *byte;
    }
}

/// The entries since the last reset, newest first.
pub type ErrorLog = VecDeque<ErrorEntry>;

impl Controller {
    /// An answer on its way out: an error gets an entry in the log, and says that it has.
    pub(crate) fn recorded(&mut self, taken: &Taken, answer: Answer) -> Answer {
        let silent =
            taken.sqid == 0 && taken.command.opcode == AdminOpcode::AsyncEventRequest as u8;
        if answer.status.is_success() || silent {
            return answer;
        }
        self.kept.errors += 1;
        if answer.status.sct() == 2 {
            self.kept.health.media_errors += 1;
        }
        let status = Status::from_raw(answer.status.raw() | MORE);
        self.admin.errors.push_front(ErrorEntry {
            count: self.kept.errors,
            taken: *taken,
            status,
        });
        self.admin.errors.truncate(ERROR_ENTRIES);
        Answer { status, ..answer }
    }

    /// Critical Warning: what was told, and the temperature against its thresholds.
    pub fn critical_warning(&self) -> u8 {
        let kelvins = u32::from(self.kept.health.temperature);
        let over = self.feature(features::TEMPERATURE_THRESHOLD, 0) & 0xffff;
        let under = self.feature(features::TEMPERATURE_THRESHOLD, features::UNDER) & 0xffff;
        let beyond = kelvins >= over || kelvins <= under;
        self.kept.health.warning | (u8::from(beyond) << 1)
    }

    /// Get Log Page.
    pub(super) fn get_log_page(&mut self, taken: &Taken) -> Answer {
        let command = &taken.command;
        let cdw10 = command.cdw10.get();
        let dwords = u64::from(cdw10 >> 16) | (u64::from(command.cdw11.get() & 0xffff) << 16);
        let bytes = (dwords + 1) * 4;
        let offset = u64::from(command.cdw12.get()) | (u64::from(command.cdw13.get()) << 32);
        let lid = (cdw10 & 0xff) as u8;
        let Some(page) = self.log_page(lid).or_else(|| self.invented_page(taken)) else {
            return Answer::refused(Status::INVALID_LOG_PAGE);
        };
        let longest = self
            .settings
            .longest_transfer()
            .map_or(LONGEST, |most| most.min(LONGEST));
        let whole = matches!(command.nsid.get(), 0 | NSID_ALL);
        let wrong = offset % 4 != 0
            || offset > page.len() as u64
            || bytes > longest
            || command.cdw14.get() & OFFSET_IS_INDEX != 0
            || (lid == lid::HEALTH && !whole);
        if wrong {
            return Answer::refused(Status::INVALID_FIELD);
        }
        // Both fit: the offset is within the page, the bytes within the longest.
        let mut part: Vec<u8> = page.into_iter().skip(offset as usize).collect();
        part.resize(bytes as usize, 0);
        let answer = self.give(taken, What::Log(lid), part);
        if answer.status.is_success() && cdw10 & RETAIN == 0 {
            self.log_was_read(lid);
            if lid == lid::RESERVATIONS {
                self.reservation_log_was_read();
            }
        }
        answer
    }

    /// A page as it is now.
    fn log_page(&self, lid: u8) -> Option<Vec<u8>> {
        Some(match lid {
            lid::SUPPORTED => supported(),
            lid::ERRORS => {
                let entries = self.admin.errors.iter().flat_map(ErrorEntry::bytes);
                let mut bytes: Vec<u8> = entries.collect();
                bytes.resize(64 * ERROR_ENTRIES, 0);
                bytes
            }
            lid::HEALTH => self.health_page(),
            lid::FIRMWARE => {
                let mut bytes = vec![0; 512];
                // Slot 1 is active.
                put(&mut bytes, 0, &[1]);
                put(
                    &mut bytes,
                    8,
                    format!("{:<8}", self.kept.firmware).as_bytes(),
                );
                bytes
            }
            lid::CHANGED_NAMESPACES => self.admin.events.changed_list(),
            lid::EFFECTS => self.effects(),
            lid::FEATURES => features::effects(),
            lid::MANAGEMENT => vec![0; 4096],
            lid::RESERVATIONS => {
                let entry = self.admin.reservation_log.front();
                let waiting = self.admin.reservation_log.len().saturating_sub(1);
                let mut bytes = entry.map_or_else(|| vec![0; 64], |entry| entry.to_vec());
                put(&mut bytes, 9, &[waiting.min(255) as u8]);
                bytes
            }
            _ => return None,
        })
    }

    /// SMART / Health Information (Base 5.1.12.1.3).
    fn health_page(&self) -> Vec<u8> {
        let health = &self.kept.health;
        let mut bytes = vec![0; 512];
        put(&mut bytes, 0, &[self.critical_warning()]);
        put(&mut bytes, 1, &health.temperature.to_le_bytes());
        put(&mut bytes, 3, &[health.spare, 10, health.used]);
        let hours = self.now().as_secs() / 3600;
        // Data is counted in thousands of sectors, rounded up; then there is the busy time, of
        // minutes, and the power cycles and hours, and shutdowns that were not safe.
        let counters = [
            health.sectors_read.div_ceil(1000),
            health.sectors_written.div_ceil(1000),
            health.reads,
            health.writes,
            0,
            1,
            hours,
            0,
            health.media_errors,
            self.kept.errors,
        ];
        for (index, counter) in counters.into_iter().enumerate() {
            put(&mut bytes, 32 + 16 * index, &counter.to_le_bytes());
        }
        bytes
    }

    /// Commands Supported and Effects (Base 5.1.12.1.6): the admin commands, then the I/O commands.
    fn effects(&self) -> Vec<u8> {
        const SUPPORTED: u32 = 1;
        const CONTENT: u32 = 1 << 1;
        let mut bytes = vec![0; 4096];
        for opcode in opcode::all(&self.settings) {
            put(
                &mut bytes,
                4 * usize::from(opcode),
                &SUPPORTED.to_le_bytes(),
            );
        }
        let changes = [
            NvmOpcode::Write as u8,
            NvmOpcode::WriteUncorrectable as u8,
            NvmOpcode::WriteZeroes as u8,
            NvmOpcode::DatasetManagement as u8,
            io_opcode::COPY,
        ];
        for opcode in io_opcode::ALL {
            let content = if changes.contains(&opcode) {
                CONTENT
            } else {
                0
            };
            let entry = SUPPORTED | content;
            put(
                &mut bytes,
                1024 + 4 * usize::from(opcode),
                &entry.to_le_bytes(),
            );
        }
        bytes
    }
}

/// Supported Log Pages (Base 5.1.12.1.1).
fn supported() -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    for lid in PAGES {
        put(&mut bytes, 4 * usize::from(lid), &[1]);
    }
    bytes
}
