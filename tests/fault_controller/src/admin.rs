// SPDX-License-Identifier: MIT

//! Admin commands (Base 5).

pub mod features;
pub mod identify;
pub mod queues;

use nvme_proto::command::AdminOpcode;
use nvme_proto::status::Status;

use crate::controller::{Answer, Controller, Taken};
use crate::data;
use crate::fault::{Hook, Occasion, What};
use crate::settings::Settings;

/// What admin commands keep until the next reset.
#[derive(Default)]
pub struct State {
    /// Asynchronous Event Requests that wait for an event.
    pub events: Vec<Taken>,
    /// What Set Features keeps: the values by the features' identifiers.
    pub features: std::collections::BTreeMap<u8, u32>,
}

impl State {
    /// What holds after a reset.
    pub fn new(_settings: &Settings) -> Self {
        Self::default()
    }
}

/// Asynchronous Event Requests that are taken at once (AERL + 1).
pub const EVENT_REQUESTS: usize = 4;

impl Controller {
    /// Executes an admin command. `None` if it stays outstanding.
    pub fn admin_command(&mut self, taken: &Taken) -> Option<Answer> {
        use AdminOpcode as Op;
        let opcode = taken.command.opcode;
        let answer = if opcode == Op::DeleteIoSq as u8 {
            self.delete_io_sq(taken)
        } else if opcode == Op::CreateIoSq as u8 {
            self.create_io_sq(taken)
        } else if opcode == Op::DeleteIoCq as u8 {
            self.delete_io_cq(taken)
        } else if opcode == Op::CreateIoCq as u8 {
            self.create_io_cq(taken)
        } else if opcode == Op::GetLogPage as u8 {
            self.get_log_page(taken)
        } else if opcode == Op::Identify as u8 {
            self.identify(taken)
        } else if opcode == Op::Abort as u8 {
            // Nothing that could be aborted waits here: not aborted.
            Answer::with(1)
        } else if opcode == Op::SetFeatures as u8 {
            self.set_features(taken)
        } else if opcode == Op::GetFeatures as u8 {
            self.get_features(taken)
        } else if opcode == Op::AsyncEventRequest as u8 {
            if self.admin.events.len() < EVENT_REQUESTS {
                self.admin.events.push(*taken);
                return None;
            }
            Answer::refused(Status::ASYNC_EVENT_LIMIT_EXCEEDED)
        } else {
            Answer::refused(Status::INVALID_OPCODE)
        };
        Some(answer)
    }

    /// Hands a structure to the host, `bytes` of it at most.
    pub fn give(&mut self, taken: &Taken, what: What, mut bytes: Vec<u8>) -> Answer {
        let occasion = Occasion {
            what: Some(what),
            ..taken.occasion()
        };
        if let Some(fired) = self.fault(Hook::Structure, &occasion) {
            self.structure_fault(fired, taken, &mut bytes);
        }
        let pieces = match data::pieces(&self.memory, &taken.command, bytes.len()) {
            Ok(pieces) => pieces,
            Err(fault) => return self.pointer_fault(taken, fault),
        };
        match data::scatter(&self.memory, &pieces, &bytes) {
            Ok(()) => Answer::DONE,
            Err(fault) => self.pointer_fault(taken, fault.into()),
        }
    }

    /// The host's data pointer was wrong.
    pub fn pointer_fault(&mut self, taken: &Taken, fault: data::PointerFault) -> Answer {
        self.judge.pointer(taken, &fault, &mut self.log);
        Answer::refused(match fault {
            data::PointerFault::Memory(_) => Status::DATA_TRANSFER_ERROR,
            data::PointerFault::Offset(..) | data::PointerFault::Unused(_) => {
                Status::PRP_OFFSET_INVALID
            }
            data::PointerFault::Descriptor(_) => Status::SGL_DESCRIPTOR_TYPE_INVALID,
            data::PointerFault::Length(..) => Status::DATA_SGL_LENGTH_INVALID,
            data::PointerFault::SegmentLength(_) => Status::INVALID_SGL_SEGMENT_DESCRIPTOR,
            data::PointerFault::Psdt(_) => Status::INVALID_FIELD,
        })
    }

    /// Get Log Page (Base 5.1.12): every page is as long as it is asked for, and empty.
    fn get_log_page(&mut self, taken: &Taken) -> Answer {
        let command = &taken.command;
        let dwords = (command.cdw10.get() >> 16) | (command.cdw11.get() << 16);
        let bytes = (u64::from(dwords) + 1).saturating_mul(4).min(1 << 20) as usize;
        let lid = (command.cdw10.get() & 0xff) as u8;
        match lid {
            0x01..=0x05 => self.give(taken, What::Log(lid), vec![0; bytes]),
            _ => Answer::refused(Status::INVALID_LOG_PAGE),
        }
    }
}
