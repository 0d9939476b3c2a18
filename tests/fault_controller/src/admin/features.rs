// SPDX-License-Identifier: MIT

//! Set Features and Get Features (Base 5.1.25, 5.1.11): values that are checked, kept, saved, and
//! given back with their defaults and capabilities.
//!
//! A value is found by the feature's identifier and what else it depends on: a namespace, an interrupt
//! vector, which threshold. Features with data beside their value are in `features/data.rs`, the Host
//! Memory Buffer in `host_memory.rs`.

use std::collections::BTreeMap;

use nvme_proto::command::NSID_ALL;
use nvme_proto::feature::FeatureId;
use nvme_proto::status::Status;

use crate::admin::host_memory::HostMemory;
use crate::admin::logs::put;
use crate::admin::power;
use crate::controller::{Answer, Controller, Taken};
use crate::fault::Hook;
use crate::pci::VECTORS;

mod data;

/// Temperature Threshold.
pub const TEMPERATURE_THRESHOLD: u8 = FeatureId::TemperatureThreshold as u8;
/// Error Recovery.
pub const ERROR_RECOVERY: u8 = 0x05;
/// Interrupt Vector Configuration.
pub const VECTOR_CONFIGURATION: u8 = 0x09;
/// Write Atomicity Normal.
pub const WRITE_ATOMICITY: u8 = 0x0a;
/// Host Identifier.
pub const HOST_IDENTIFIER: u8 = 0x81;
/// Reservation Notification Mask.
pub const RESERVATION_MASK: u8 = 0x82;
/// Reservation Persistence.
pub const RESERVATION_PERSISTENCE: u8 = 0x83;
/// Namespace Write Protection Config.
pub const WRITE_PROTECTION: u8 = 0x84;

/// What else a Temperature Threshold depends on: the one below which it is too cold.
pub const UNDER: u32 = 1;

/// Composite temperature at which it gets too warm, in kelvins (WCTEMP).
pub const WARM: u16 = 343;

/// Composite temperature that is critical (CCTEMP).
pub const HOT: u16 = 353;

/// CDW10 of Set Features: Save.
const SAVE: u32 = 1 << 31;

/// What a feature is.
struct Feature {
    id: u8,
    default: u32,
    saveable: bool,
    /// Whether each namespace has its own.
    of_namespace: bool,
    changeable: bool,
}

const fn feature(id: u8, default: u32) -> Feature {
    Feature {
        id,
        default,
        saveable: false,
        of_namespace: false,
        changeable: true,
    }
}

const fn saved(id: u8, default: u32) -> Feature {
    Feature {
        saveable: true,
        ..feature(id, default)
    }
}

const fn of_namespace(id: u8) -> Feature {
    Feature {
        of_namespace: true,
        ..feature(id, 0)
    }
}

/// All features.
const FEATURES: [Feature; 18] = [
    saved(FeatureId::Arbitration as u8, 3),
    saved(FeatureId::PowerManagement as u8, 0),
    saved(TEMPERATURE_THRESHOLD, WARM as u32),
    of_namespace(ERROR_RECOVERY),
    saved(FeatureId::VolatileWriteCache as u8, 1),
    feature(FeatureId::NumberOfQueues as u8, 0),
    saved(FeatureId::InterruptCoalescing as u8, 0),
    saved(VECTOR_CONFIGURATION, 0),
    saved(WRITE_ATOMICITY, 0),
    saved(FeatureId::AsyncEventConfiguration as u8, 0),
    feature(FeatureId::AutonomousPowerStateTransition as u8, 0),
    feature(FeatureId::HostMemoryBuffer as u8, 0),
    feature(FeatureId::Timestamp as u8, 0),
    feature(FeatureId::HostBehaviorSupport as u8, 0),
    feature(HOST_IDENTIFIER, 0),
    of_namespace(RESERVATION_MASK),
    of_namespace(RESERVATION_PERSISTENCE),
    of_namespace(WRITE_PROTECTION),
];

/// How many I/O queues of each kind the host was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Submission queues.
    pub submission: u32,
    /// Completion queues.
    pub completion: u32,
}

impl Granted {
    /// By the result of Set Features, in which both count from 0.
    fn new(result: u64) -> Self {
        Self {
            submission: (result & 0xffff) as u32 + 1,
            completion: ((result >> 16) & 0xffff) as u32 + 1,
        }
    }
}

/// What is set until the next reset.
#[derive(Default)]
pub struct Features {
    values: BTreeMap<(u8, u32), u32>,
    /// The transitions of Autonomous Power State Transition, as they were written.
    transitions: Vec<u8>,
    /// The data of Host Behavior Support.
    behaviour: Vec<u8>,
    /// Timestamp: what was set, and when in milliseconds since the start.
    timestamp: Option<(u64, u64)>,
    /// Host Identifier.
    pub host: u128,
    /// Number of Queues, as it was granted.
    pub granted: Option<Granted>,
    /// The Host Memory Buffer.
    pub memory: HostMemory,
}

impl Controller {
    /// The value of a feature now.
    pub fn feature(&self, id: u8, of: u32) -> u32 {
        let current = self.admin.features.values.get(&(id, of));
        current.copied().unwrap_or_else(|| self.saved(id, of))
    }

    /// The value that the next reset brings.
    fn saved(&self, id: u8, of: u32) -> u32 {
        let saved = self.kept.saved.get(&(id, of)).copied();
        saved.unwrap_or_else(|| default(id, of))
    }

    /// Number of Queues: what is asked for, up to what there is; both count from 0.
    fn grant_queues(&mut self, taken: &Taken, asked: u32) -> Answer {
        let most = u32::from(self.settings.queues - 1);
        let granted = (asked & 0xffff).min(most) | ((asked >> 16).min(most) << 16);
        match self.fault(Hook::Grant, &taken.occasion()) {
            Some(fired) => self.grant_fault(fired, granted),
            None => Answer::with(granted.into()),
        }
    }

    /// Grants queues, which the host can then create: as many as it is told, be it a lie.
    fn set_queues(&mut self, taken: &Taken, asked: u32) -> Answer {
        let answer = self.grant_queues(taken, asked);
        self.admin.features.granted = Some(Granted::new(answer.result));
        answer
    }

    /// The largest identifier that an I/O queue can have for the host: what it was granted, or if it
    /// has not asked, what there is.
    pub fn last_queue(&self, completion: bool) -> u32 {
        match self.admin.features.granted {
            Some(granted) if completion => granted.completion,
            Some(granted) => granted.submission,
            None => self.settings.queues.into(),
        }
    }

    /// What else the feature of a command depends on. An error if it names nothing that is there.
    fn depends_on(&self, taken: &Taken, feature: &Feature, set: bool) -> Result<u32, Status> {
        let command = &taken.command;
        let (nsid, value) = (command.nsid.get(), command.cdw11.get());
        if feature.of_namespace {
            return match nsid {
                NSID_ALL if set => Ok(NSID_ALL),
                nsid if self.namespaces.contains_key(&nsid) => Ok(nsid),
                _ => Err(Status::INVALID_NAMESPACE_OR_FORMAT),
            };
        }
        if set && self.namespaces.contains_key(&nsid) {
            return Err(Status::FEATURE_NOT_NAMESPACE_SPECIFIC);
        }
        match feature.id {
            TEMPERATURE_THRESHOLD => {
                let (sensor, which) = ((value >> 16) & 0xf, (value >> 20) & 3);
                // There is the composite temperature alone, and it is all of them.
                let known = sensor == 0 || (set && sensor == 0xf);
                (known && which <= 1)
                    .then_some(which)
                    .ok_or(Status::INVALID_FIELD)
            }
            VECTOR_CONFIGURATION => {
                let vector = value & 0xffff;
                (vector < VECTORS.into())
                    .then_some(vector)
                    .ok_or(Status::INVALID_FIELD)
            }
            _ => Ok(0),
        }
    }

    /// Set Features.
    pub(super) fn set_features(&mut self, taken: &Taken) -> Answer {
        let cdw10 = taken.command.cdw10.get();
        let Some(feature) = find((cdw10 & 0xff) as u8) else {
            return Answer::refused(Status::INVALID_FIELD);
        };
        let of = match self.depends_on(taken, feature, true) {
            Ok(of) => of,
            Err(status) => return Answer::refused(status),
        };
        if cdw10 & SAVE != 0 && !feature.saveable {
            return Answer::refused(Status::FEATURE_NOT_SAVEABLE);
        }
        if !feature.changeable {
            return Answer::refused(Status::FEATURE_NOT_CHANGEABLE);
        }
        let value = taken.command.cdw11.get();
        if let Some(status) = self.check_feature(feature.id, value) {
            return Answer::refused(status);
        }
        let before = self.critical_warning();
        let answer = match self.set_data(taken, feature.id, value) {
            Ok(answer) => answer,
            Err(answer) => return answer,
        };
        for of in self.each(of) {
            if feature.id == WRITE_PROTECTION {
                if let Err(status) = self.protect(of, value & 7) {
                    return Answer::refused(status);
                }
            }
            if feature.id == RESERVATION_PERSISTENCE {
                if let Some(namespace) = self.namespaces.get_mut(&of) {
                    namespace.reservation.persists = value & 1 != 0;
                }
            }
            self.admin.features.values.insert((feature.id, of), value);
            if cdw10 & SAVE != 0 {
                self.kept.saved.insert((feature.id, of), value);
            }
        }
        self.health_changed(before);
        answer
    }

    /// All namespaces, if `of` says so.
    fn each(&self, of: u32) -> Vec<u32> {
        if of == NSID_ALL {
            self.namespaces.keys().copied().collect()
        } else {
            vec![of]
        }
    }

    /// Whether a feature can have a value.
    fn check_feature(&self, id: u8, value: u32) -> Option<Status> {
        const POWER: u8 = FeatureId::PowerManagement as u8;
        const QUEUES: u8 = FeatureId::NumberOfQueues as u8;
        const CACHE: u8 = FeatureId::VolatileWriteCache as u8;
        let bad = match id {
            POWER => value & 0x1f >= power::STATES as u32,
            QUEUES => {
                if self.submission.len() > 1 || self.completion.len() > 1 {
                    return Some(Status::COMMAND_SEQUENCE_ERROR);
                }
                value & 0xffff == 0xffff || value >> 16 == 0xffff
            }
            CACHE => !self.settings.cache,
            // Unwritten blocks read as zeros here, they give no errors (DULBE).
            ERROR_RECOVERY => value & (1 << 16) != 0,
            WRITE_PROTECTION => value & 7 > 3,
            _ => false,
        };
        bad.then_some(Status::INVALID_FIELD)
    }

    /// Protects a namespace from writes, or no longer.
    fn protect(&mut self, nsid: u32, state: u32) -> Result<(), Status> {
        let namespace = self
            .namespaces
            .get_mut(&nsid)
            .ok_or(Status::INVALID_NAMESPACE_OR_FORMAT)?;
        // What lasts until the power goes, or for ever, cannot be taken back.
        if namespace.protection > 1 && state != namespace.protection {
            return Err(Status::FEATURE_NOT_CHANGEABLE);
        }
        let changed = namespace.protection != state;
        namespace.protection = state;
        if changed {
            self.namespace_changed(nsid);
        }
        Ok(())
    }

    /// Get Features.
    pub(super) fn get_features(&mut self, taken: &Taken) -> Answer {
        let cdw10 = taken.command.cdw10.get();
        let Some(feature) = find((cdw10 & 0xff) as u8) else {
            return Answer::refused(Status::INVALID_FIELD);
        };
        let id = feature.id;
        let select = (cdw10 >> 8) & 7;
        if select == 3 {
            let bits = u64::from(feature.saveable)
                | (u64::from(feature.of_namespace) << 1)
                | (u64::from(feature.changeable) << 2);
            return Answer::with(bits);
        }
        let of = match self.depends_on(taken, feature, false) {
            Ok(of) => of,
            Err(status) => return Answer::refused(status),
        };
        let value = match select {
            0 => self.feature(id, of),
            1 => default(id, of),
            2 => self.saved(id, of),
            _ => return Answer::refused(Status::INVALID_FIELD),
        };
        if id == FeatureId::NumberOfQueues as u8 {
            return self.grant_queues(taken, value);
        }
        // What a namespace keeps itself.
        let namespace = self.namespaces.get(&of).filter(|_| select == 0);
        match id {
            WRITE_PROTECTION => {
                return Answer::with(namespace.map_or(0, |ns| ns.protection.into()))
            }
            RESERVATION_PERSISTENCE => {
                let persists = namespace.is_some_and(|ns| ns.reservation.persists);
                return Answer::with(persists.into());
            }
            _ => {}
        }
        self.get_data(taken, id, value, select == 0)
    }
}

fn find(id: u8) -> Option<&'static Feature> {
    FEATURES.iter().find(|feature| feature.id == id)
}

fn default(id: u8, of: u32) -> u32 {
    match id {
        TEMPERATURE_THRESHOLD if of == UNDER => 0,
        VECTOR_CONFIGURATION => of,
        _ => find(id).map_or(0, |feature| feature.default),
    }
}

/// Feature Identifiers Supported and Effects (Base 5.1.12.1.18).
pub(super) fn effects() -> Vec<u8> {
    const SUPPORTED: u32 = 1;
    /// The scope: a namespace, or the controller.
    const NAMESPACE: u32 = 1 << 20;
    const CONTROLLER: u32 = 1 << 21;
    let mut bytes = vec![0; 1024];
    for feature in &FEATURES {
        let scope = if feature.of_namespace {
            NAMESPACE
        } else {
            CONTROLLER
        };
        let entry = SUPPORTED | scope;
        put(
            &mut bytes,
            4 * usize::from(feature.id),
            &entry.to_le_bytes(),
        );
    }
    bytes
}
