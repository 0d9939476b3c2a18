// SPDX-License-Identifier: MIT

//! Drivers that are wrong in what a command says, and in where its data is.

use std::time::Duration;

use nvme_fault_controller::namespace::Namespace;
use nvme_fault_controller::settings::Settings;
use nvme_proto::command::{Cns, Command};
use nvme_proto::feature::FeatureId;
use nvme_proto::register::{offset, Cc};
use nvme_proto::sgl::{Descriptor, DescriptorType};

use super::driver::data::Shape;
use super::driver::heap::BASE;
use super::driver::{nameless, Driver, Setup};
use super::{assert_names_only, prepared, seeded, spoilt_read, NOWHERE};
use super::{LISTED, SEGMENTED};

/// A controller that moves 8 KiB at most.
fn short_transfers() -> Driver {
    let settings = Settings {
        mdts: 1,
        ..Settings::default()
    };
    Driver::start(Setup {
        settings,
        ..Setup::default()
    })
}

/// A controller without SGLs.
fn without_sgls() -> Driver {
    let settings = Settings {
        sgl: false,
        ..Settings::default()
    };
    Driver::start(Setup {
        settings,
        ..Setup::default()
    })
}

seeded! {
    "opcode-unsupported" an_opcode_that_is_none_is_sent(Driver::usual) |driver| {
        let mut command = Command::flush(1);
        command.opcode = 0x7f;
        driver.send(1, command);
    }

    "opcode-unsupported" a_command_is_sent_that_oacs_has_not(Driver::usual) |driver| {
        let mut command = Command::delete_io_sq(1);
        command.opcode = 0x80;
        driver.send(0, command);
    }

    "reserved-bits" a_reserved_dword_is_not_zero(Driver::usual) |driver| {
        let mut command = Command::flush(1);
        command.cdw13 = 1.into();
        driver.send(1, command);
    }

    "reserved-bits" a_command_without_data_has_a_data_pointer(Driver::usual) |driver| {
        driver.send(1, Command::flush(1).with_data(BASE, 0));
    }

    "reserved-bits" reserved_flags_are_set(Driver::usual) |driver| {
        let mut command = Command::flush(1);
        command.flags = 1 << 3;
        driver.send(1, command);
    }

    "fuse-unsupported" a_command_is_fused(Driver::usual) |driver| {
        let mut command = Command::flush(1);
        command.flags = 1;
        driver.send(1, command);
    }

    "psdt-reserved" psdt_is_11b(Driver::usual) |driver| {
        spoilt_read(driver, 1, Shape::PLAIN, |_, command| command.flags = 0xc0);
    }

    "sgl-admin" an_admin_command_has_an_sgl(Driver::usual) |driver| {
        let addr = driver.heap.take(1);
        let kind = DescriptorType::DataBlock;
        let sgl = Descriptor { addr, len: 4096, kind };
        driver.send(0, Command::identify(0, Cns::Controller, 0).with_sgl(sgl));
    }

    "sgl-unsupported" metadata_has_an_sgl(Driver::usual) |driver| {
        let shape = Shape { sgl: true, ..Shape::PLAIN };
        spoilt_read(driver, 1, shape, |_, command| command.flags = 0x80);
    }

    "nsid-invalid" namespace_0_is_read(Driver::usual) |driver| {
        spoilt_read(driver, 1, Shape::PLAIN, |_, command| command.nsid = 0.into());
    }

    "nsid-invalid" a_namespace_above_nn_is_read(Driver::usual) |driver| {
        spoilt_read(driver, 1, Shape::PLAIN, |_, command| command.nsid = 257.into());
    }

    "nsid-unused" an_abort_names_a_namespace(Driver::usual) |driver| {
        let mut command = Command::abort(1, 5);
        command.nsid = 1.into();
        driver.send(0, command);
    }

    "mdts-exceeded" a_read_is_longer_than_mdts(short_transfers) |driver| {
        spoilt_read(driver, 3, Shape::PLAIN, |_, _| {});
    }

    "lba-range" a_read_goes_past_the_end(Driver::usual) |driver| {
        spoilt_read(driver, 2, Shape::PLAIN, |_, command| command.cdw10 = 1023.into());
    }

    "lba-range" a_read_goes_round_the_end_of_64_bits(Driver::usual) |driver| {
        spoilt_read(driver, 2, Shape::PLAIN, |_, command| {
            command.cdw10 = u32::MAX.into();
            command.cdw11 = u32::MAX.into();
        });
    }

    "event-requests" more_events_are_asked_for_than_aerl_allows(Driver::usual) |driver| {
        for _ in 0..5 {
            driver.submit(0, Command::async_event_request());
        }
        driver.ring(0);
    }

    "aborts" more_is_aborted_at_once_than_acl_allows(Driver::usual) |driver| {
        for cid in 0..5 {
            driver.submit(0, Command::abort(1, cid));
        }
        driver.ring(0);
    }

    "log-offset" a_log_page_is_read_from_its_second_byte_on(Driver::usual) |driver| {
        driver.fetch(Command::get_log_page(0xffff_ffff, 2, 4, 2, true), 16);
    }

    "feature-value" a_reserved_bit_of_a_feature_is_set(Driver::usual) |driver| {
        driver.send(0, Command::set_features(FeatureId::VolatileWriteCache, 2));
    }

    "feature-value" all_queues_that_can_be_counted_are_asked_for(prepared) |driver| {
        driver.write32(offset::CC, Cc::enabled(12).raw());
        driver.send(0, Command::set_features(FeatureId::NumberOfQueues, 0xffff_ffff));
    }

    "feature-save" a_feature_is_asked_for_in_a_way_that_is_none(Driver::usual) |driver| {
        let mut command = Command::get_features(FeatureId::NumberOfQueues);
        command.cdw10 = (command.cdw10.get() | (7 << 8)).into();
        driver.send(0, command);
    }

    "sgl-unsupported" an_sgl_is_sent_to_a_controller_without(without_sgls) |driver| {
        let shape = Shape {
            sgl: true,
            ..Shape::PLAIN
        };
        spoilt_read(driver, 1, shape, |_, _| {});
    }

    "shadow-buffer" shadow_doorbells_are_in_the_middle_of_a_page(Driver::usual) |driver| {
        let (shadow, event) = (driver.heap.take(1), driver.heap.take(1));
        driver.send(0, Command::doorbell_buffer_config(shadow + 64, event));
    }

    "shadow-buffer" event_indices_are_where_no_memory_is(Driver::usual) |driver| {
        let shadow = driver.heap.take(1);
        driver.send(0, Command::doorbell_buffer_config(shadow, NOWHERE));
    }

    "lost-wakeup" a_doorbell_is_forgotten_beside_its_shadow(Driver::usual) |driver| {
        let (shadow, event) = (driver.heap.take(1), driver.heap.take(1));
        driver.send(0, Command::doorbell_buffer_config(shadow, event));
        driver.shadow = Some((shadow, event));
        driver.send(1, Command::flush(1));
        driver.submit(1, Command::flush(1));
        driver.heap.write(shadow + 8, &2u32.to_le_bytes());
        driver.advance(Duration::ZERO);
        driver.advance(Duration::from_secs(6));
    }

    "host-memory" memory_is_lent_that_is_not_there(Driver::usual) |driver| {
        let list = driver.heap.take(1);
        driver.heap.write(list, &NOWHERE.to_le_bytes());
        driver.heap.write(list + 8, &1024u32.to_le_bytes());
        let mut command = Command::set_features(FeatureId::HostMemoryBuffer, 1);
        command.cdw12 = 1024.into();
        command.cdw13 = ((list & 0xffff_ffff) as u32).into();
        command.cdw14 = ((list >> 32) as u32).into();
        command.cdw15 = 1.into();
        driver.send(0, command);
    }

    "prp1-offset" data_begins_at_an_odd_place(Driver::usual) |driver| {
        spoilt_read(driver, 1, Shape::PLAIN, |_, command| {
            command.prp1 = (command.prp1.get() + 2).into();
        });
    }

    "mptr-offset" tuples_begin_at_an_odd_place(Driver::usual) |driver| {
        let namespace = Namespace::new(3, 1 << 20, 9, nameless(), 0)
            .and_then(|plain| plain.with_tuples(1, nameless()))
            .expect("a namespace");
        driver.controller.namespaces.insert(3, namespace);
        let (data, tuples) = (driver.heap.take(1), driver.heap.take(1));
        let command = Command::read(3, 0, 0).with_metadata(tuples + 2);
        driver.send(1, command.with_data(data, 0));
    }

    "prp2-offset" the_second_page_has_an_offset(Driver::usual) |driver| {
        spoilt_read(driver, 2, Shape::SCATTERED, |_, command| {
            command.prp2 = (command.prp2.get() + 512).into();
        });
    }

    "prp-list-offset" a_list_begins_at_an_odd_place(Driver::usual) |driver| {
        spoilt_read(driver, 3, LISTED, |_, command| {
            command.prp2 = (command.prp2.get() + 4).into();
        });
    }

    "prp-entry-offset" a_page_in_a_list_has_an_offset(Driver::usual) |driver| {
        spoilt_read(driver, 3, LISTED, |driver, command| {
            let list = command.prp2.get();
            let page = driver.heap.take(1);
            driver.heap.write(list + 8, &(page + 512).to_le_bytes());
        });
    }

    "prp-chain-offset" a_list_goes_on_within_a_page(Driver::usual) |driver| {
        spoilt_read(driver, 5, LISTED, |driver, command| {
            let chain = command.prp2.get() + 8;
            let next = driver.heap.take(1);
            driver.heap.write(chain, &(next + 8).to_le_bytes());
        });
    }

    "sgl-descriptor" a_descriptor_has_a_type_that_is_none(Driver::usual) |driver| {
        spoilt_read(driver, 1, Shape { sgl: true, ..Shape::PLAIN }, |_, command| {
            command.prp2 = (command.prp2.get() | (0x60 << 56)).into();
        });
    }

    "sgl-descriptor" a_descriptor_has_reserved_bits(Driver::usual) |driver| {
        spoilt_read(driver, 1, Shape { sgl: true, ..Shape::PLAIN }, |_, command| {
            command.prp2 = (command.prp2.get() | (1 << 40)).into();
        });
    }

    "sgl-length" an_sgl_describes_less_than_the_command_moves(Driver::usual) |driver| {
        spoilt_read(driver, 1, Shape { sgl: true, ..Shape::PLAIN }, |_, command| {
            command.prp2 = (command.prp2.get() - 512).into();
        });
    }

    "sgl-segment" a_segment_ends_within_a_descriptor(Driver::usual) |driver| {
        spoilt_read(driver, 2, SEGMENTED, |_, command| {
            command.prp2 = (command.prp2.get() - 8).into();
        });
    }

    "sgl-segment" a_segment_that_is_not_the_last_leads_nowhere(Driver::usual) |driver| {
        spoilt_read(driver, 2, SEGMENTED, |_, command| {
            // Last Segment, 3h, becomes Segment, 2h.
            command.prp2 = (command.prp2.get() ^ (0x10 << 56)).into();
        });
    }

    "data-unmapped" data_is_where_no_memory_is(Driver::usual) |driver| {
        spoilt_read(driver, 1, Shape::PLAIN, |_, command| command.prp1 = NOWHERE.into());
    }

    "data-unmapped" the_data_of_a_write_is_unmapped(Driver::usual) |driver| {
        let command = Command::write(2, 0, 0, false).with_data(NOWHERE, 0);
        driver.send(1, command);
    }

    "data-in-queue" data_is_read_into_a_queue(Driver::usual) |driver| {
        let place = driver.queue(2).sq;
        spoilt_read(driver, 1, Shape::PLAIN, |_, command| command.prp1 = place.into());
    }
}
