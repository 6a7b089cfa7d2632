#!/usr/bin/python3
"""The manager (nowcast-manager(8)) behind a real broker: what it answers to whom, what it keeps and writes down,
and what it does when something is wrong with its files.

The test plays the runners, at the broker's local door. NOWCAST_TEST_BINARY names the program.
"""
import os
import re
import signal
import stat
import unittest
import uuid

import yaml

import harness

BAD_CONFIG = 8
EXIT_DONE = 0

RULES = {
    "sleep": [{"on": "success", "launch": "awaken"}],
    "awaken": [{"on": "failure", "launch": "sleep <payload[run date]>"},
               {"on": "success", "launch": "<payload[next]>"}],
    "far": [{"on": ["success", "crash"], "launch": ["far", "far"], "on host": "west.example"}],
}
WORKERS = {
    "far": {"checklist key": "far", "success": "far away"},
    "keyless": {"success": "there is no checklist key", "crash": "keyless crashed"},
    "asker": {"checklist key": "answers", "success": "has asked", "need": "wants a part of the checklist"},
}


def an_id():
    return str(uuid.uuid4())


class Story(harness.Story):
    def setUp(self):
        super().setUp()
        self.system.configure(workers=WORKERS, rules=RULES)

    def begin(self):
        self.daemons = self.system.start_all("message_broker", "manager")
        self.manager = self.daemons["manager"]
        return self.manager

    def tell(self, source, type_, payload=None, **more):
        """The manager's reply: (type, payload)."""
        reply = self.system.ask({"source": source, "type": type_, "payload": payload, **more})
        self.assertEqual(reply["source"], "manager")
        return reply["type"], reply["payload"]

    def launched(self, mark=0):
        return re.findall(r" INFO \[manager\] launching (.*)$", self.system.log()[mark:], re.MULTILINE)

    def assert_lives(self):
        self.assertTrue(harness.is_running(self.manager.pid))
        self.assertEqual(self.tell("keyless", "success"), ("ack", None))


class Replies(Story):
    def setUp(self):
        super().setUp()
        self.begin()

    def test_a_success_is_acknowledged_kept_and_followed(self):
        self.assertEqual(self.tell("sleep", "success", {"sleep time": 3}), ("ack", None))
        self.system.wait_for_line(r"received message from awaken: \(success\)")
        self.system.assert_checklist({"sleepyhead": {"sleep time": 3, "awoke": True}})
        self.assertEqual(self.launched()[0], "awaken")
        self.system.wait_for_line(r" DEBUG \[manager\] received message from sleep: \(success\) sleep worker slept well$")
        self.system.wait_for_line(r" INFO \[manager\] checklist updated with \[sleepyhead\] items from sleep worker$")

    def test_whom_it_does_not_know_is_told_so_and_changes_nothing(self):
        self.assertEqual(self.tell("nobody", "success", {"a": 1})[0], "unregistered worker")
        self.assertEqual(self.tell("sleep", "sucess", {"a": 1})[0], "unregistered message type")
        self.system.wait_for_line(r" ERROR \[manager\] message received from unregistered worker: nobody$")
        self.system.wait_for_line(r" ERROR \[manager\] unregistered message type received from sleep worker: sucess$")
        self.system.assert_checklist({})
        self.assertEqual(self.launched(), [])

    def test_a_bad_message_is_told_why(self):
        kind, why = self.tell("sleep", ["success"])
        self.assertEqual(kind, "bad message")
        self.assertIn("`type` of a message must be a text", why)

    def test_need_is_answered_with_the_part_or_with_the_keys_there_are(self):
        self.assertEqual(self.tell("asker", "need", "far"),
                         ("no such checklist key", "the checklist has no key `far`; it is empty"))
        self.tell("asker", "success", [1, "012", None])
        self.assertEqual(self.tell("asker", "need", "answers"), ("ack", [1, "012", None]))
        self.assertEqual(self.tell("asker", "need", "far"),
                         ("no such checklist key", "the checklist has no key `far`; it has answers"))
        self.system.wait_for_line(r" WARNING \[manager\] asker needs what it cannot have")

    def test_clear_empties_the_checklist_after_it_is_written_down(self):
        self.tell("asker", "success", {"a": {"b": [1, 2]}})
        self.assertEqual(self.tell("clear_checklist", "clear checklist"), ("checklist cleared", None))
        self.system.assert_checklist({})
        self.assertRegex(self.system.read("checklist.log"),
                         r"INFO \[checklist\] checklist:\nanswers:\n  a:\n    b:\n    - 1\n    - 2\n")

    def test_a_payload_without_a_checklist_key_is_said_to_be_dropped(self):
        self.assertEqual(self.tell("keyless", "success", {"a": 1}), ("ack", None))
        self.system.wait_for_line(r" WARNING \[manager\] the payload from keyless is dropped")
        self.system.assert_checklist({})

    def test_r2_a_message_that_comes_again_is_done_once(self):
        message = yaml.safe_dump({"source": "sleep", "type": "success", "payload": {"n": 1}, "id": an_id()})
        for _ in range(5):
            self.assertEqual(self.system.ask(message)["type"], "ack")
        self.system.wait_for_line(r"received message from awaken: \(success\)")
        self.assertEqual(self.launched(), ["awaken"])
        self.assertEqual(self.system.ask(message.replace("n: 1", "n: 2"))["type"], "bad message")
        self.system.assert_checklist({"sleepyhead": {"n": 1, "awoke": True}})

    def test_r7_another_token_than_that_of_the_launch_is_stale(self):
        launch = an_id()
        started = {"source": "asker", "event": "started", "launch": launch, "token": "t",
                   "payload": {"arguments": ["x"], "host": "localhost", "pid": 1, "by hand": True}}
        self.assertEqual(self.system.ask(started)["payload"]["running"], [])
        self.assertEqual(self.tell("asker", "success", {"a": 1}, launch=launch, token="u")[0], "stale")
        self.system.assert_checklist({})
        # A copy with the same arguments hears of the first one, until that has ended.
        second = {**started, "launch": an_id(), "token": "v"}
        (copy,) = self.system.ask(second)["payload"]["running"]
        self.assertEqual((copy["launch"], copy["worker"], copy["by hand"]), (launch, "asker", True))
        self.assertEqual(self.tell("asker", "success", launch=launch, token="t", report={"end": "exit status 0"})[0],
                         "ack")
        self.assertEqual(self.system.ask({**second, "launch": an_id()})["payload"]["running"][0]["launch"],
                         second["launch"])

    def test_r18_a_slot_that_is_due_twice_is_launched_once(self):
        due = {"source": "scheduler", "event": "due",
               "payload": {"worker": "sleep", "arguments": ["--sleep-time", "0"], "schedule": "s",
                           "slot": "2026-11-24T04:00"}}
        for _ in range(2):
            self.assertEqual(self.system.ask(due)["type"], "ack")
        self.system.wait_for_line(r"received message from awaken: \(success\)")
        self.assertEqual(self.launched(), ["sleep --sleep-time 0", "awaken"])


class RuleErrors(Story):
    def setUp(self):
        super().setUp()
        self.begin()

    def test_a_rule_that_fails_launches_nothing_is_critical_and_the_worker_gets_its_ack(self):
        self.assertEqual(self.tell("awaken", "failure", {"a": 1}), ("ack", None))
        self.system.wait_for_line(r" CRITICAL \[manager\] nothing was launched after the message \(failure\) from awaken: "
                                  r".*next_workers\.yaml:\d+:\d+: <payload\[run date\]> finds nothing")
        self.assertEqual(self.launched(), [])
        self.system.assert_checklist({"sleepyhead": {"a": 1}})
        self.assert_lives()

    def test_a_message_cannot_name_an_entry_point_that_is_no_worker_of_the_system(self):
        for name in ("supervisor", "check", "../sleep", "-h", ""):
            mark = self.system.mark()
            self.assertEqual(self.tell("awaken", "success", {"next": name}), ("ack", None))
            self.system.wait_for_line(r" CRITICAL \[manager\] nothing was launched .* is not in the message registry \(rule 2 of awaken\)$", mark)
        self.assertEqual(self.launched(), [])
        self.assertEqual(self.tell("awaken", "success", {"next": "rotate_logs"}), ("ack", None))
        self.system.wait_for_line(r"launching rotate_logs$")

    def test_launches_for_another_host_are_crashes_and_come_to_an_end(self):
        self.assertEqual(self.tell("far", "success"), ("ack", None))
        self.system.wait_for_line(r" CRITICAL \[manager\] far on west\.example was not launched: .*not possible yet")
        self.system.wait_for_line(r" CRITICAL \[manager\] far crashed: .*not possible yet")
        self.system.wait_for_line(r" CRITICAL \[manager\] more than 20 launches could not be made")
        self.assert_lives()
        self.assertLess(self.system.log().count("was not launched"), 100)
        self.assertEqual(self.launched(), [])


class Files(Story):
    def test_the_checklist_file_is_whole_and_for_people(self):
        old = os.umask(0o077)
        try:
            self.begin()
        finally:
            os.umask(old)
        before = None
        for n in range(3):
            self.tell("asker", "success", {"n": n})
            self.system.assert_checklist({"answers": {"n": n}})
            status = os.stat(self.system.path("nowcast_checklist.yaml"))
            self.assertEqual(stat.S_IMODE(status.st_mode), 0o664)
            self.assertNotEqual(status.st_ino, before)  # never written in place
            before = status.st_ino
        self.assertEqual([name for name in os.listdir(self.system.directory) if "checklist.yaml" in name],
                         ["nowcast_checklist.yaml"])

    def test_a_checklist_file_that_cannot_be_written_is_critical_once_and_written_later(self):
        self.begin()
        path = self.system.path("nowcast_checklist.yaml")
        os.mkdir(path)
        for n in range(3):
            self.assertEqual(self.tell("asker", "success", {"n": n}), ("ack", None))
        self.assertEqual(self.tell("asker", "need", "answers"), ("ack", {"n": 2}))
        self.system.wait_for_line(r" CRITICAL \[manager\] the checklist file cannot be written")
        self.assertEqual(self.system.log().count("the checklist file cannot be written"), 1)
        os.rmdir(path)
        self.system.wait_for_line(r" INFO \[manager\] the checklist file is written again")
        self.system.assert_checklist({"answers": {"n": 2}})

    def test_it_is_tried_a_last_time_at_the_end(self):
        self.begin()
        path = self.system.path("nowcast_checklist.yaml")
        os.mkdir(path)
        self.tell("asker", "success", {"n": 1})
        os.rmdir(path)
        self.assertEqual(self.manager.stop(), EXIT_DONE)
        self.system.assert_checklist({"answers": {"n": 1}})

    def test_a_large_checklist_is_read_again(self):
        self.begin()
        for n in range(20):
            self.assertEqual(self.tell("asker", "success", {f"part {n}": "x" * 900000}), ("ack", None))
        self.assertEqual(self.tell("asker", "need", "answers"),
                         ("no such checklist key", "the part `answers` of the checklist is too large for a message"))
        self.assertGreater(os.path.getsize(self.system.path("nowcast_checklist.yaml")), 16 << 20)
        self.assertEqual(self.manager.stop(), EXIT_DONE)
        self.manager = self.system.start("manager")
        self.system.wait_for_line(r" INFO \[manager\] checklist read from .*nowcast_checklist\.yaml$")

    def test_without_a_checklist_file_it_begins_with_an_empty_one_and_says_so(self):
        self.begin()
        self.system.wait_for_line(r" WARNING \[manager\] checklist load failed: .*nowcast_checklist\.yaml")
        self.system.wait_for_line(r" WARNING \[manager\] running with empty checklist$")

    def test_the_checklist_can_be_ignored(self):
        self.system.write("nowcast_checklist.yaml", "answers: 1\n")
        self.system.start("message_broker")
        self.manager = self.system.start("manager", "--ignore-checklist")
        self.system.wait_for_line(r"\[message_broker\] the manager is connected")
        self.assertEqual(self.tell("asker", "need", "answers")[0], "no such checklist key")

    def test_without_rules_it_hears_and_launches_nothing_until_there_are_some(self):
        os.unlink(self.system.path("next_workers.yaml"))
        self.begin()
        self.system.wait_for_line(r" WARNING \[manager\] there are no rules .*next_workers\.yaml")
        self.assertEqual(self.tell("sleep", "success"), ("ack", None))
        self.assertEqual(self.launched(), [])
        self.system.write("next_workers.yaml", yaml.safe_dump(RULES))
        self.assertEqual(self.tell("sleep", "success"), ("ack", None))
        self.system.wait_for_line(r"launching awaken$")

    def test_rules_that_are_away_or_empty_for_a_moment_stay_in_force(self):
        self.begin()
        path = self.system.path("next_workers.yaml")
        for spoil in (lambda: os.unlink(path), lambda: open(path, "w", encoding="ascii").close()):
            mark = self.system.mark()  # what the launches of before say may be the first that has them looked at
            spoil()
            for _ in range(3):
                self.assertEqual(self.tell("sleep", "success"), ("ack", None))
            harness.wait_until(lambda: self.launched(mark) == ["awaken"] * 3, "three launches")  # pylint: disable=W0640
            self.assertEqual(self.system.log()[mark:].count("the rules that were in force stay in force"), 1)

    def test_another_state_directory_needs_a_restart(self):
        self.begin()
        text = self.system.read("nowcast.yaml")
        self.assertIn("state directory: state\n", text)
        self.system.write("nowcast.yaml", text.replace("state directory: state\n", "state directory: other\n"))
        self.manager.send_signal(signal.SIGHUP)
        self.system.wait_for_line(r" ERROR \[manager\] another state directory \(.*other\) needs a restart")
        self.assertEqual(self.tell("sleep", "success"), ("ack", None))
        self.system.wait_for_line(r"received message from awaken: \(success\)")


if __name__ == "__main__":
    unittest.main()
