#!/usr/bin/python3
"""The scheduler (nowcast-scheduler(8)): which slots it tells the manager of, when, and how often.

NOWCAST_TEST_BINARY names the program. Its clock is set by NOWCAST_TEST_CLOCK_OFFSET_S to some seconds before
a slot; its zone is one that changes clocks, named so that no zone files are needed.
"""
import datetime
import os
import re
import signal
import time
import unittest
import uuid

import harness
from harness import wait_until

VANCOUVER = "PST8PDT,M3.2.0,M11.1.0"
PST, PDT = (datetime.timezone(datetime.timedelta(hours=hours)) for hours in (-8, -7))
ACK = {"type": "ack"}


def daily(at, options="--sleep-time 0", worker="sleep"):
    return {worker: {"every": "day", "at": at, "cmd line opts": options}}


class Schedule(harness.Story):
    def start_scheduler(self, local):
        """With a clock that shows `local` (with its zone) now."""
        offset = round(local.timestamp() - time.time())
        return self.system.start("scheduler", environment={
            "TZ": VANCOUVER, "NOWCAST_TEST_CLOCK_OFFSET_S": str(offset)})

    def play_broker(self, *answers):
        """A broker that gives these answers, and the last of them for ever."""
        left = list(answers)
        os.makedirs(self.system.path("state"), 0o700, exist_ok=True)
        server = harness.DoorServer(self.system.path("state/broker.sock"),
                                    lambda _: left.pop(0) if len(left) > 1 else left[0])
        self.addCleanup(server.close)
        return server

    def wait_for_messages(self, broker, count):
        wait_until(lambda: len(broker.received) >= count, f"message {count}", explain=self.system.tail)
        self.assertEqual(len(broker.received), count)

    def told(self):
        """The slots that the manager has been told of: (time of the line, slot, schedule)."""
        return re.findall(r"^\S+ (\S+) INFO \[scheduler\] told the manager: the slot (\S+) of (.*)$",
                          self.system.log(), re.MULTILINE)


class Slots(Schedule):
    def test_a_slot_is_told_at_its_time_once(self):
        self.system.configure(schedules=[daily("04:00", "--sleep-time 12 2.5km")])
        broker = self.play_broker(ACK)
        scheduler = self.start_scheduler(datetime.datetime(2026, 11, 24, 3, 59, 58, tzinfo=PST))
        self.assertEqual(self.told(), [])
        self.system.wait_for_line("told the manager")
        (at, slot, _), = self.told()
        self.assertEqual(slot, "2026-11-24T04:00")
        self.assertRegex(at, r"^04:00:00,")
        message, = broker.received
        self.assertEqual(set(message), {"source", "event", "payload", "id"})
        self.assertEqual((message["source"], message["event"]), ("scheduler", "due"))
        uuid.UUID(message["id"])
        self.assertEqual(message["payload"], {
            "worker": "sleep", "arguments": ["--sleep-time", "12", "2.5km"], "slot": "2026-11-24T04:00",
            "schedule": "sleep --sleep-time 12 2.5km every day at 04:00"})
        self.assertEqual(scheduler.stop(), 0)
        self.assertEqual(len(broker.received), 1)

    def test_two_slots_of_one_minute_are_told_in_their_order(self):
        self.system.configure(schedules=[daily("04:00", "--sleep-time 1"), daily("04:00", "", "awaken"),
                                         daily("04:01")])
        broker = self.play_broker(ACK)
        self.start_scheduler(datetime.datetime(2026, 11, 24, 3, 59, 59, tzinfo=PST))
        self.wait_for_messages(broker, 2)
        self.assertEqual([message["payload"]["worker"] for message in broker.received], ["sleep", "awaken"])

    def test_a_slot_that_has_passed_is_one_of_tomorrow(self):
        self.system.configure(schedules=[daily("04:00")])
        self.play_broker(ACK)
        self.start_scheduler(datetime.datetime(2026, 11, 24, 4, 0, 1, tzinfo=PST))
        self.system.wait_for_line(r"scheduled sleep --sleep-time 0 every day at 04:00; next at 2026-11-25T04:00$")
        self.assertEqual(self.told(), [])

    def test_a_time_in_a_gap_comes_right_after_the_gap(self):
        self.system.configure(schedules=[daily("02:30")])
        broker = self.play_broker(ACK)
        self.start_scheduler(datetime.datetime(2026, 3, 8, 1, 59, 58, tzinfo=PST))
        self.wait_for_messages(broker, 1)
        self.system.wait_for_line("told the manager")
        self.assertRegex(self.told()[0][0], r"^03:00:00,")
        self.assertEqual(broker.received[0]["payload"]["slot"], "2026-03-08T02:30")

    def test_a_doubled_time_comes_the_first_time_only(self):
        self.system.configure(schedules=[daily("01:30")])
        broker = self.play_broker(ACK)
        first = self.start_scheduler(datetime.datetime(2026, 11, 1, 1, 29, 58, tzinfo=PDT))
        self.wait_for_messages(broker, 1)
        first.stop()
        mark = self.system.mark()
        self.start_scheduler(datetime.datetime(2026, 11, 1, 1, 29, 58, tzinfo=PST))
        self.system.wait_for_line("next at 2026-11-02T01:30$", mark)

    def test_without_schedules_it_stays_and_says_so(self):
        scheduler = self.start_scheduler(datetime.datetime(2026, 11, 24, tzinfo=PST))
        self.system.wait_for_line(r"INFO \[scheduler\] no workers are scheduled$")
        self.assertEqual(scheduler.stop(), 0)


class Asking(Schedule):
    BEFORE = datetime.datetime(2026, 11, 24, 3, 59, 59, tzinfo=PST)

    def setUp(self):
        super().setUp()
        self.system.configure(schedules=[daily("04:00"), daily("04:00", "", "awaken")])

    def test_it_asks_again_with_the_same_id_until_it_is_answered(self):
        broker = self.play_broker({"type": "retry later"}, "close", ACK)
        self.start_scheduler(self.BEFORE)
        self.wait_for_messages(broker, 4)
        first = broker.received[0]
        self.assertEqual(broker.received[1:3], [first, first])
        self.assertEqual(broker.received[3]["payload"]["worker"], "awaken")
        self.assertNotEqual(broker.received[3]["id"], first["id"])
        self.system.wait_for_line("the manager did not answer about the slot .*; asking again in 2 s$")
        self.system.wait_for_line("the manager did not answer about the slot .*; asking again in 4 s$")
        wait_until(lambda: len(self.told()) == 2, "both told", explain=self.system.tail)

    def test_a_broker_that_comes_later_is_found(self):
        self.start_scheduler(self.BEFORE)
        self.system.wait_for_line("the manager did not answer about the slot .*; asking again in 2 s$")
        broker = self.play_broker(ACK)
        self.wait_for_messages(broker, 2)

    def test_a_refusal_is_logged_and_holds_up_nobody(self):
        broker = self.play_broker({"type": "unregistered worker"}, ACK)
        self.start_scheduler(self.BEFORE)
        self.wait_for_messages(broker, 2)
        self.system.wait_for_line(r" ERROR \[scheduler\] the manager refused the slot 2026-11-24T04:00 of "
                                  r"sleep --sleep-time 0 every day at 04:00: unregistered worker$")

    def test_what_it_could_not_tell_is_named_at_its_end(self):
        scheduler = self.start_scheduler(self.BEFORE)
        self.system.wait_for_line("the manager did not answer")
        self.assertEqual(scheduler.stop(), 0)
        self.assertEqual(len(re.findall(r" WARNING \[scheduler\] stopped before the manager was told of the slot ",
                                        self.system.log())), 2)


class Reload(Schedule):
    def hang_up(self, scheduler):
        mark = self.system.mark()
        scheduler.send_signal(signal.SIGHUP)
        self.system.wait_for_line(r"\[scheduler\] read config from", mark)

    def test_schedules_come_and_go_with_the_file(self):
        self.system.configure(schedules=[daily("04:00", "--sleep-time 1")])
        broker = self.play_broker(ACK)
        scheduler = self.start_scheduler(datetime.datetime(2026, 11, 24, 3, 59, 55, tzinfo=PST))
        self.system.configure()
        self.hang_up(scheduler)
        self.hang_up(scheduler)
        self.system.configure(schedules=[daily("04:00", "--sleep-time 2")])
        self.hang_up(scheduler)
        self.wait_for_messages(broker, 1)
        self.assertEqual(broker.received[0]["payload"]["arguments"], ["--sleep-time", "2"])

    def test_a_slot_that_comes_with_the_hangup_is_told_once(self):
        self.system.configure(schedules=[daily("04:00")])
        broker = self.play_broker(ACK)
        before = datetime.datetime(2026, 11, 24, 3, 59, 58, tzinfo=PST)
        started = time.time()
        scheduler = self.start_scheduler(before)
        # It wakes up after 04:00 to find both.
        scheduler.send_signal(signal.SIGSTOP)
        scheduler.send_signal(signal.SIGHUP)
        wait_until(lambda: time.time() > started + 3, "04:00 on its clock")
        scheduler.send_signal(signal.SIGCONT)
        self.system.wait_for_line(r"\[scheduler\] read config from .*(?s:.*)\[scheduler\] told the manager: the slot "
                                  r"2026-11-24T04:00")
        self.system.wait_for_line(r"next at 2026-11-25T04:00$")
        self.assertEqual(scheduler.stop(), 0)
        self.assertEqual(len(broker.received), 1)


class WithTheManager(Schedule):
    def test_the_manager_launches_what_is_due_once(self):
        self.system.configure(schedules=[daily("04:00", "--sleep-time 0")])
        self.system.start_all("message_broker", "manager")
        self.start_scheduler(datetime.datetime(2026, 11, 24, 3, 59, 59, tzinfo=PST))
        self.system.wait_for_checklist("sleepyhead", {"sleep time": 0})
        # A second scheduler, or the same after a restart, tells of the same slot.
        again = {"source": "scheduler", "event": "due", "id": str(uuid.uuid4()), "payload": {
            "worker": "sleep", "arguments": ["--sleep-time", "0"], "slot": "2026-11-24T04:00",
            "schedule": "sleep --sleep-time 0 every day at 04:00"}}
        self.assertEqual(self.system.ask(again)["type"], "ack")
        other = {**again, "id": str(uuid.uuid4()), "payload": {**again["payload"], "slot": "2026-11-25T04:00"}}
        self.assertEqual(self.system.ask(other)["type"], "ack")
        wait_until(lambda: len(re.findall(r"\[sleep\] slept for", self.system.log())) == 2, "two sleeps",
                   explain=self.system.tail)
        self.assertEqual(len(re.findall(r"\[manager\] launching sleep --sleep-time 0$", self.system.log(),
                                        re.MULTILINE)), 2)


if __name__ == "__main__":
    unittest.main()
