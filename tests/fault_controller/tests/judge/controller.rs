// SPDX-License-Identifier: MIT

//! Drivers that are wrong with doorbells, rings, registers and queues.

use nvme_proto::command::{Cns, Command};
use nvme_proto::feature::{number_of_queues_request, FeatureId};
use nvme_proto::register::{offset, Cc};

use super::driver::heap::{BASE, PAGE_BYTES};
use super::driver::queue::Queue;
use super::driver::Driver;
use super::{assert_names_only, prepared, seeded, slow, with_a_queue_left, NOWHERE};

seeded! {
    "doorbell-unknown" a_doorbell_without_a_queue_is_rung(Driver::usual) |driver| {
        let at = driver.doorbell_at(9, false);
        driver.write32(at, 1);
    }

    "doorbell-deleted" the_doorbell_of_a_deleted_queue_is_rung(Driver::usual) |driver| {
        driver.delete_queue(2);
        let at = driver.doorbell_at(2, true);
        driver.write32(at, 1);
    }

    "doorbell-width" a_doorbell_is_written_by_halves(Driver::usual) |driver| {
        driver.submit(1, Command::flush(1));
        let at = driver.doorbell_at(1, false);
        driver.controller.write(at, &[1, 0]);
    }

    "doorbell-width" two_doorbells_are_written_at_once(Driver::usual) |driver| {
        driver.submit(1, Command::flush(1));
        let at = driver.doorbell_at(1, false);
        driver.write64(at, 1);
    }

    "doorbell-value" a_doorbell_is_told_a_slot_that_is_none(Driver::usual) |driver| {
        let at = driver.doorbell_at(1, false);
        driver.write32(at, 16);
    }

    "doorbell-unchanged" a_doorbell_is_rung_twice_for_one_command(Driver::usual) |driver| {
        driver.send(1, Command::flush(1));
        let at = driver.doorbell_at(1, false);
        driver.write32(at, 1);
    }

    "doorbell-not-ready" commands_come_before_the_controller_is_ready(slow) |driver| {
        driver.set_admin_queues();
        driver.write32(offset::CC, Cc::enabled(12).raw());
        driver.submit(0, Command::identify(0, Cns::Controller, 0).with_data(BASE, 0));
        driver.ring(0);
    }

    "doorbell-not-ready" commands_come_after_a_reset(Driver::usual) |driver| {
        driver.disable();
        let at = driver.doorbell_at(1, false);
        driver.write32(at, 1);
    }

    "doorbell-shutdown" commands_come_after_the_shutdown(Driver::usual) |driver| {
        assert!(driver.shut_down());
        driver.submit(0, Command::get_features(FeatureId::NumberOfQueues));
        driver.ring(0);
    }

    "tail-overrun" a_ring_is_overrun(Driver::usual) |driver| {
        // A completion queue that is soon full keeps the controller from telling how far it is.
        driver.delete_queue(1);
        let queue = Queue::new(1, 16, &mut driver.heap);
        driver.send(0, Command::create_io_cq(1, 4, queue.cq, Some(1)));
        driver.send(0, Command::create_io_sq(1, 16, queue.sq, 1));
        driver.queues.insert(1, queue);
        for cid in 0..15 {
            driver.submit_as(1, Command::flush(1).with_cid(cid));
        }
        driver.ring(1);
        // Three were told of: one of these has no room.
        for cid in [15, 0, 1, 2] {
            driver.submit_as(1, Command::flush(1).with_cid(cid));
        }
        driver.ring(1);
    }

    "head-beyond-tail" slots_are_given_back_before_their_entries_came(Driver::usual) |driver| {
        let at = driver.doorbell_at(1, true);
        driver.write32(at, 3);
    }

    "head-backwards" a_head_goes_back(Driver::usual) |driver| {
        for _ in 0..5 {
            driver.send(1, Command::flush(1));
        }
        let at = driver.doorbell_at(1, true);
        driver.write32(at, 4);
    }

    "phase-not-cleared" a_completion_queue_is_full_of_old_entries(Driver::usual) |driver| {
        driver.delete_queue(1);
        let queue = Queue::new(1, 16, &mut driver.heap);
        driver.heap.write(queue.cq, &[0xff; 256]);
        driver.send(0, Command::create_io_cq(1, 16, queue.cq, Some(1)));
        driver.send(0, Command::create_io_sq(1, 16, queue.sq, 1));
        driver.queues.insert(1, queue);
        driver.submit(1, Command::flush(1));
        driver.ring(1);
    }

    "cid-in-use" an_identifier_is_given_twice(Driver::usual) |driver| {
        let cid = driver.submit(0, Command::async_event_request());
        driver.ring(0);
        let second = Command::get_features(FeatureId::NumberOfQueues);
        driver.submit_as(0, second.with_cid(cid));
        driver.ring(0);
    }

    "register-read-only" the_version_is_written(Driver::usual) |driver| {
        driver.write32(offset::VS, 0x0001_0000);
    }

    "register-read-only" a_register_that_is_none_is_written(Driver::usual) |driver| {
        driver.write32(0xe00, 1);
    }

    "register-read-only" the_status_is_written(Driver::usual) |driver| {
        driver.write32(offset::CSTS, 1);
    }

    "cmb-unsupported" a_memory_buffer_that_is_none_is_enabled(Driver::usual) |driver| {
        driver.write64(offset::CMBMSC, 3);
    }

    "register-width" a_byte_of_a_register_is_written(Driver::usual) |driver| {
        driver.controller.write(offset::AQA, &[7]);
    }

    "register-width" a_byte_of_a_register_is_read(Driver::usual) |driver| {
        driver.controller.read(offset::CSTS, &mut [0]);
    }

    "interrupt-mask" the_mask_for_pins_is_used_with_messages(Driver::usual) |driver| {
        driver.write32(offset::INTMS, 1);
    }

    "enable-before-stopped" a_reset_does_not_wait_for_the_controller_to_stop(slow) |driver| {
        driver.bring_up();
        driver.write32(offset::CC, Cc::enabled(12).without_enable().raw());
        driver.write32(offset::CC, Cc::enabled(12).raw());
    }

    "disable-before-ready" a_reset_does_not_wait_for_the_controller_to_start(slow) |driver| {
        driver.set_admin_queues();
        driver.write32(offset::CC, Cc::enabled(12).raw());
        driver.write32(offset::CC, Cc::enabled(12).without_enable().raw());
    }

    "cc-reserved" a_reserved_bit_of_cc_is_set(prepared) |driver| {
        driver.write32(offset::CC, 1 << 31);
    }

    "cc-unsupported" pages_of_8_kib_are_chosen(prepared) |driver| {
        driver.write32(offset::CC, Cc::enabled(13).raw());
    }

    "cc-live" the_page_size_changes_while_enabled(Driver::usual) |driver| {
        driver.write32(offset::CC, Cc::enabled(13).raw());
    }

    "cc-live" the_entry_size_changes_while_there_are_queues(Driver::usual) |driver| {
        driver.write32(offset::CC, Cc::enabled(12).raw() ^ (1 << 16));
    }

    "admin-queue-live" the_admin_queue_moves_while_enabled(Driver::usual) |driver| {
        let page = driver.heap.take(1);
        driver.write64(offset::ASQ, page);
    }

    "admin-queue-size" an_admin_queue_has_one_entry(prepared) |driver| {
        driver.write32(offset::AQA, 7);
        driver.write32(offset::CC, Cc::enabled(12).raw());
    }

    "admin-queue-base" an_admin_queue_begins_within_a_page(prepared) |driver| {
        let page = driver.heap.take(1);
        driver.write64(offset::ACQ, page + 16);
        driver.write32(offset::CC, Cc::enabled(12).raw());
    }

    "queue-unmapped" a_queue_is_where_no_memory_is(with_a_queue_left) |driver| {
        driver.send(0, Command::create_io_cq(3, 16, NOWHERE, Some(3)));
    }

    "queue-unmapped" a_queue_is_unmapped_while_it_lives(Driver::usual) |driver| {
        driver.submit(1, Command::flush(1));
        let sq = driver.queue(1).sq;
        driver.controller.memory.unmap(sq, PAGE_BYTES);
        driver.ring(1);
    }

    "queue-overlap" two_queues_have_the_same_memory(with_a_queue_left) |driver| {
        let place = driver.queue(1).sq;
        driver.send(0, Command::create_io_cq(3, 16, place, Some(3)));
    }

    "queue-overlap" the_admin_queues_have_the_same_memory(prepared) |driver| {
        let sq = driver.queue(0).sq;
        driver.write64(offset::ACQ, sq);
        driver.write32(offset::CC, Cc::enabled(12).raw());
    }

    "queue-not-granted" more_queues_are_created_than_granted(Driver::usual) |driver| {
        let page = driver.heap.take(1);
        driver.send(0, Command::create_io_cq(3, 16, page, Some(3)));
    }

    "queue-id" the_admin_queue_is_created(Driver::usual) |driver| {
        let page = driver.heap.take(1);
        driver.send(0, Command::create_io_cq(0, 16, page, Some(0)));
    }

    "queue-id" a_queue_is_created_twice(Driver::usual) |driver| {
        let page = driver.heap.take(1);
        driver.send(0, Command::create_io_cq(1, 16, page, Some(1)));
    }

    "queue-size" a_queue_is_longer_than_mqes(with_a_queue_left) |driver| {
        let pages = driver.heap.take(5);
        driver.send(0, Command::create_io_cq(3, 1025, pages, Some(3)));
    }

    "queue-base" a_queue_begins_within_a_page(with_a_queue_left) |driver| {
        let page = driver.heap.take(1);
        driver.send(0, Command::create_io_cq(3, 16, page + 64, Some(3)));
    }

    "queue-contiguous" a_queue_is_a_list_of_pages(with_a_queue_left) |driver| {
        let page = driver.heap.take(1);
        let mut command = Command::create_io_cq(3, 16, page, Some(3));
        command.cdw11 = (command.cdw11.get() & !1).into();
        driver.send(0, command);
    }

    "queue-vector" a_queue_interrupts_on_a_vector_that_is_none(with_a_queue_left) |driver| {
        let page = driver.heap.take(1);
        driver.send(0, Command::create_io_cq(3, 16, page, Some(64)));
    }

    "queue-entry-size" queues_are_created_before_the_size_of_their_entries_is_set(prepared) |driver| {
        driver.write32(offset::CC, 1);
        let page = driver.heap.take(1);
        driver.send(0, Command::create_io_cq(1, 16, page, Some(1)));
    }

    "queue-cq-missing" a_submission_queue_is_created_first(with_a_queue_left) |driver| {
        let page = driver.heap.take(1);
        driver.send(0, Command::create_io_sq(3, 16, page, 3));
    }

    "queue-cq-first" a_completion_queue_is_deleted_first(Driver::usual) |driver| {
        driver.send(0, Command::delete_io_cq(1));
    }

    "queue-delete" a_queue_that_is_none_is_deleted(Driver::usual) |driver| {
        driver.send(0, Command::delete_io_sq(9));
    }

    "queue-count-late" queues_are_asked_for_again(Driver::usual) |driver| {
        let request = number_of_queues_request(4);
        driver.send(0, Command::set_features(FeatureId::NumberOfQueues, request));
    }
}
