// SPDX-License-Identifier: MIT

//! Features that have data beside their value: transitions between power states, the time, how the
//! host behaves, who it is, and the Host Memory Buffer.

use nvme_proto::feature::{FeatureId, HOST_BEHAVIOR_BYTES};
use nvme_proto::status::Status;

use super::HOST_IDENTIFIER;
use crate::admin::power;
use crate::controller::{Answer, Controller, Taken};
use crate::data::number;

const TRANSITIONS: u8 = FeatureId::AutonomousPowerStateTransition as u8;
const MEMORY: u8 = FeatureId::HostMemoryBuffer as u8;
const TIMESTAMP: u8 = FeatureId::Timestamp as u8;
const BEHAVIOUR: u8 = FeatureId::HostBehaviorSupport as u8;
const QUEUES: u8 = FeatureId::NumberOfQueues as u8;

/// Bytes of the table of Autonomous Power State Transition: a word a power state.
const TRANSITION_BYTES: usize = 256;

/// The 48 bits of a Timestamp that count milliseconds.
const MILLISECONDS: u64 = (1 << 48) - 1;

/// Timestamp Origin 001b: the host has set it.
const SET_BY_HOST: u64 = 1 << 49;

/// Host Identifier: an extended one, of 128 bits.
const EXTENDED: u32 = 1;

impl Controller {
    /// Takes the data of a Set Features, for features that have any; the answer to the command.
    pub(super) fn set_data(&mut self, taken: &Taken, id: u8, value: u32) -> Result<Answer, Answer> {
        match id {
            TRANSITIONS => {
                let table = self.take_data(taken, TRANSITION_BYTES)?;
                let possible = |word: &[u8]| power::is_target((number(word) >> 3) as u8 & 0x1f);
                let entries = table.chunks_exact(8).take(power::STATES);
                let idle = |word: &&[u8]| (number(word) >> 8) & 0xff_ffff != 0;
                if !entries.filter(idle).all(possible) {
                    return Err(Answer::refused(Status::INVALID_FIELD));
                }
                self.admin.features.transitions = table;
            }
            TIMESTAMP => {
                let set = number(&self.take_data(taken, 8)?) & MILLISECONDS;
                let now = self.milliseconds();
                self.admin.features.timestamp = Some((set, now));
            }
            BEHAVIOUR => {
                let data = self.take_data(taken, HOST_BEHAVIOR_BYTES)?;
                if data.first().is_some_and(|acre| *acre > 1) {
                    return Err(Answer::refused(Status::INVALID_FIELD));
                }
                self.admin.features.behaviour = data;
            }
            HOST_IDENTIFIER => self.set_host(taken, value)?,
            MEMORY => return self.set_host_memory(taken, value),
            QUEUES => return Ok(self.set_queues(taken, value)),
            _ => {}
        }
        Ok(Answer::DONE)
    }

    /// Host Identifier: once it is set it stays until a reset.
    fn set_host(&mut self, taken: &Taken, value: u32) -> Result<(), Answer> {
        let bytes = self.take_data(taken, if value & EXTENDED != 0 { 16 } else { 8 })?;
        let mut whole = [0; 16];
        crate::admin::logs::put(&mut whole, 0, &bytes);
        let host = u128::from_le_bytes(whole);
        let old = self.admin.features.host;
        if old != 0 && old != host {
            return Err(Answer::refused(Status::COMMAND_SEQUENCE_ERROR));
        }
        self.admin.features.host = host;
        Ok(())
    }

    /// Hands out the data of a Get Features, for features that have any; the answer to the command.
    pub(super) fn get_data(&mut self, taken: &Taken, id: u8, value: u32, current: bool) -> Answer {
        let features = &self.admin.features;
        let mut bytes = match id {
            TRANSITIONS => features.transitions.clone(),
            BEHAVIOUR => features.behaviour.clone(),
            TIMESTAMP => {
                let time = features.timestamp.map_or(0, |(set, at)| {
                    let passed = self.milliseconds().saturating_sub(at);
                    (set.wrapping_add(passed) & MILLISECONDS) | SET_BY_HOST
                });
                time.to_le_bytes().to_vec()
            }
            HOST_IDENTIFIER => features.host.to_le_bytes().to_vec(),
            MEMORY => features.memory.attributes(),
            _ => return Answer::with(value.into()),
        };
        let extended = taken.command.cdw11.get() & EXTENDED != 0;
        let length = match id {
            TRANSITIONS => TRANSITION_BYTES,
            BEHAVIOUR => HOST_BEHAVIOR_BYTES,
            HOST_IDENTIFIER if extended => 16,
            MEMORY => 4096,
            _ => 8,
        };
        if !current {
            bytes.clear();
        }
        bytes.resize(length, 0);
        let result = match id {
            MEMORY => value & 1,
            HOST_IDENTIFIER | TIMESTAMP | BEHAVIOUR => 0,
            _ => value,
        };
        let answer = self.hand_out(taken, &bytes);
        Answer {
            result: if answer.status.is_success() {
                result.into()
            } else {
                0
            },
            ..answer
        }
    }

    fn milliseconds(&self) -> u64 {
        self.now().as_millis() as u64
    }

    /// Whether the host honours the time that a completion asks it to wait (ACRE).
    pub fn host_waits(&self) -> bool {
        let behaviour = &self.admin.features.behaviour;
        behaviour.first().is_some_and(|acre| *acre == 1)
    }
}
