// SPDX-License-Identifier: MIT

//! Admin commands (Base 5).

pub mod events;
pub mod features;
pub mod host_memory;
pub mod identify;
pub mod logs;
pub mod power;
pub mod queues;

use std::collections::VecDeque;

use nvme_proto::command::AdminOpcode;
use nvme_proto::status::Status;

use crate::controller::{Answer, Controller, Taken};
use crate::data;
use crate::fault::{Afterwards, Hook, Occasion, What};
use crate::settings::Settings;

/// What admin commands keep until the next reset.
#[derive(Default)]
pub struct State {
    /// What happened, and the requests that wait for it.
    pub events: events::Events,
    /// What Set Features keeps.
    pub features: features::Features,
    /// Error Information, newest first.
    pub errors: logs::ErrorLog,
    /// Reservation Notification log pages that were not read yet.
    pub reservation_log: VecDeque<[u8; 64]>,
    /// Those that there ever were.
    pub reservation_logs: u64,
}

impl State {
    /// What holds after a reset.
    pub fn new(_settings: &Settings) -> Self {
        Self::default()
    }
}

/// Opcodes of admin commands.
pub mod opcode {
    use super::{AdminOpcode as Op, Settings};

    /// What the controller executes.
    pub fn all(settings: &Settings) -> Vec<u8> {
        let mut all = vec![
            Op::DeleteIoSq as u8,
            Op::CreateIoSq as u8,
            Op::GetLogPage as u8,
            Op::DeleteIoCq as u8,
            Op::CreateIoCq as u8,
            Op::Identify as u8,
            Op::Abort as u8,
            Op::SetFeatures as u8,
            Op::GetFeatures as u8,
            Op::AsyncEventRequest as u8,
        ];
        if settings.shadow {
            all.push(Op::DoorbellBufferConfig as u8);
        }
        all
    }
}

/// The bits of a command's flags that say whether it is fused, and has an SGL.
const FUSE_AND_PSDT: u8 = 0xc3;

/// Asynchronous Event Requests that are taken at once (AERL + 1).
pub const EVENT_REQUESTS: usize = 4;

impl Controller {
    /// Executes an admin command. `None` if it stays outstanding.
    pub fn admin_command(&mut self, taken: &Taken) -> Option<Answer> {
        use AdminOpcode as Op;
        let opcode = taken.command.opcode;
        let answer = if taken.command.flags & FUSE_AND_PSDT != 0 {
            // Over PCIe admin commands have PRPs, and there are no fused operations.
            Answer::refused(Status::INVALID_FIELD)
        } else if opcode == Op::DeleteIoSq as u8 {
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
            self.abort(taken)
        } else if opcode == Op::SetFeatures as u8 {
            self.set_features(taken)
        } else if opcode == Op::GetFeatures as u8 {
            self.get_features(taken)
        } else if opcode == Op::AsyncEventRequest as u8 {
            if self.admin.events.requests.len() < EVENT_REQUESTS {
                self.admin.events.requests.push_back(*taken);
                self.send_events();
                return None;
            }
            Answer::refused(Status::ASYNC_EVENT_LIMIT_EXCEEDED)
        } else if opcode == Op::DoorbellBufferConfig as u8 && self.settings.shadow {
            self.doorbell_buffer_config(taken)
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
        let length = bytes.len();
        let afterwards = match self.fault(Hook::Structure, &occasion) {
            Some(fired) => self.structure_fault(fired, what, taken, &mut bytes),
            None => Afterwards::Nothing,
        };
        let pieces = match data::pieces(&self.memory, &taken.command, length) {
            Ok(pieces) => pieces,
            Err(fault) => return self.pointer_fault(taken, fault),
        };
        self.judge_data(taken, &pieces);
        if let Err(fault) = data::scatter(&self.memory, &pieces, &bytes) {
            return self.pointer_fault(taken, fault.into());
        }
        if let Afterwards::Rewrite(lasts) = afterwards {
            self.rewrite(lasts, pieces, bytes);
        }
        Answer::DONE
    }

    /// Hands bytes to the host, as they are.
    pub fn hand_out(&mut self, taken: &Taken, bytes: &[u8]) -> Answer {
        let pieces = match data::pieces(&self.memory, &taken.command, bytes.len()) {
            Ok(pieces) => pieces,
            Err(fault) => return self.pointer_fault(taken, fault),
        };
        self.judge_data(taken, &pieces);
        match data::scatter(&self.memory, &pieces, bytes) {
            Ok(()) => Answer::DONE,
            Err(fault) => self.pointer_fault(taken, fault.into()),
        }
    }

    /// Takes `length` bytes from the host; the answer to the command if that is not possible.
    pub fn take_data(&mut self, taken: &Taken, length: usize) -> Result<Vec<u8>, Answer> {
        let found = data::pieces(&self.memory, &taken.command, length)
            .and_then(|pieces| Ok(data::gather(&self.memory, &pieces)?));
        found.map_err(|fault| self.pointer_fault(taken, fault))
    }

    /// The host's data pointer was wrong.
    pub fn pointer_fault(&mut self, taken: &Taken, fault: data::PointerFault) -> Answer {
        self.judge_pointer(taken, &fault);
        Answer::refused(match fault {
            data::PointerFault::Memory(_) => Status::DATA_TRANSFER_ERROR,
            data::PointerFault::Offset(..) => Status::PRP_OFFSET_INVALID,
            data::PointerFault::Descriptor(_) => Status::SGL_DESCRIPTOR_TYPE_INVALID,
            data::PointerFault::Misplaced(_) | data::PointerFault::Endless(_) => {
                Status::INVALID_SGL_DESCRIPTOR_COUNT
            }
            data::PointerFault::Length(..) => Status::DATA_SGL_LENGTH_INVALID,
            data::PointerFault::Segment(..) => Status::INVALID_SGL_SEGMENT_DESCRIPTOR,
            data::PointerFault::Psdt(_) => Status::INVALID_FIELD,
        })
    }
}
