#!/usr/bin/python3
"""Daemons that end, die or are told to reload while workers work, and files that change or are damaged. What the
supervisor does by itself is in supervisor.py.

NOWCAST_TEST_BINARY names the program.
"""
import os
import signal
import socket
import subprocess
import time
import unittest

import harness

BAD_CONFIG = 8
TRY_AGAIN = 75
STATE_DAMAGED = 78
BACK_S = 2

# `first` waits at the gate; then `awaken` and `third` follow.
RULES = {"first": [{"on": "success", "launch": "awaken"}], "awaken": [{"on": "success", "launch": "third"}]}


class Story(harness.Story):
    def setUp(self):
        super().setUp()
        self.gate = self.system.path("gate")
        os.mkfifo(self.gate)
        self.system.write("first.sh", f"echo waits; read -r word < {self.gate}; echo \"got $word\"\n")
        self.system.write("third.sh", "echo third ran\n")
        self.configure()

    def configure(self, rules=RULES, extra=None):
        registry = {name: {"checklist key": name, "success": "well", "failure": "badly"}
                    for name in ("first", "third")}
        self.system.configure(
            workers={**registry, **(extra or {})}, rules=rules,
            programs={name: {"command": ["sh", f"{name}.sh"]} for name in ("first", "third")})

    def start_first(self):
        """`first`, by hand, until it waits at the gate."""
        mark = self.system.mark()
        process = self.system.run_in_background("first")
        self.system.wait_for_line(r"\[first\] waits", mark)
        return process

    def open_gate(self):
        with open(self.gate, "w", encoding="ascii") as gate:
            gate.write("go\n")

    def assert_chain_ends_well(self, first, mark):
        self.assertEqual(first.wait(), 0, first.output())
        self.system.wait_for_line(r"\[manager\] received message from third: \(success\)", mark)
        log = self.system.log()[mark:]
        for name in ("awaken", "third"):
            self.assertEqual(log.count(f"[manager] launching {name}\n"), 1, log)

    def pids(self):
        return {name: self.system.pid_of(name) for name in harness.DAEMONS}

    def wait_back(self, name, old, mark):
        harness.wait_until(lambda: self.system.pid_of(name) not in (None, old), f"a new {name}", BACK_S,
                           self.system.tail)
        self.system.wait_for_line(rf"\[supervisor\] {name} is ready", mark)
        if name != "scheduler":
            self.system.wait_for_line(r"\[message_broker\] the manager is connected", mark)


class DuringAChain(Story):
    def check_each(self, signo, words):
        self.system.start_supervisor()
        for name in harness.DAEMONS:
            with self.subTest(name):
                before, mark = self.pids(), self.system.mark()
                first = self.start_first()
                os.kill(before[name], signo)
                ended = self.system.wait_for_line(rf"\[supervisor\] {name} ended: (.*);", mark)[1]
                self.assertEqual(ended, words)
                self.wait_back(name, before[name], mark)
                self.open_gate()
                self.assert_chain_ends_well(first, mark)
                after = self.pids()
                self.assertEqual({other for other in after if after[other] != before[other]}, {name})

    def test_each_daemon_ends_cleanly_by_TERM_is_back_and_the_chain_goes_on(self):
        self.check_each(signal.SIGTERM, "exit status 0")

    def test_each_daemon_that_is_killed_is_back_and_the_chain_goes_on(self):
        self.check_each(signal.SIGKILL, "killed by signal 9 (SIGKILL)")

    def check_message_while_away(self, name):
        self.system.start_supervisor()
        before, mark = self.pids(), self.system.mark()
        first = self.start_first()
        os.kill(before[name], signal.SIGKILL)
        harness.wait_until(lambda: not harness.is_running(before[name]), f"the end of {name}")
        self.open_gate()
        self.assert_chain_ends_well(first, mark)
        self.assertEqual(self.system.log()[mark:].count("received message from first: (success)"), 1)

    def test_a_message_while_the_broker_is_away_arrives_once(self):
        self.check_message_while_away("message_broker")

    def test_a_message_while_the_manager_is_away_arrives_once(self):
        self.check_message_while_away("manager")

    def test_a_worker_that_the_manager_launched_reports_past_a_killed_broker(self):
        self.configure(rules={"awaken": [{"on": "success", "launch": "first"}],
                              "first": [{"on": "success", "launch": "third"}]})
        self.system.start_supervisor()
        self.assertEqual(self.system.run("awaken").returncode, 0)
        self.system.wait_for_line(r"\[first\] waits")
        os.kill(self.system.pid_of("message_broker"), signal.SIGKILL)
        self.open_gate()
        self.system.wait_for_line(r"\[manager\] received message from third: \(success\)")
        self.assertEqual(self.system.log().count("[manager] launching third\n"), 1)

    def test_the_manager_ends_cleanly_while_a_worker_of_its_own_runs(self):
        self.configure(rules={"awaken": [{"on": "success", "launch": "first"}]})
        self.system.start_supervisor()
        self.assertEqual(self.system.run("awaken").returncode, 0)
        self.system.wait_for_line(r"\[first\] waits")
        manager, mark = self.system.pid_of("manager"), self.system.mark()
        os.kill(manager, signal.SIGTERM)
        self.system.wait_for_line(r"\[supervisor\] manager ended: exit status 0;", mark)
        self.wait_back("manager", manager, mark)
        self.open_gate()
        self.system.wait_for_line(r"\[manager\] received message from first: \(success\)", mark)

    def test_workers_outlive_a_killed_supervisor_and_the_next_one_hears_them(self):
        supervisor = self.system.start_supervisor()
        before, mark = self.pids(), self.system.mark()
        first = self.start_first()
        supervisor.stop(signal.SIGKILL)
        self.system.start_supervisor()
        self.assertFalse(set(before.values()) & set(self.pids().values()))
        self.assertIsNone(first.popen.poll())
        self.open_gate()
        self.assert_chain_ends_well(first, mark)

    def test_a_worker_outlives_the_stop_of_the_whole_system(self):
        supervisor = self.system.start_supervisor()
        first = self.start_first()
        self.assertEqual(supervisor.stop(), 0)
        self.assertIsNone(first.popen.poll())
        mark = self.system.mark()
        self.system.start_supervisor()
        self.open_gate()
        self.assert_chain_ends_well(first, mark)


class BetweenBrokerAndManager(Story):
    """Who leaves before a word was said makes neither side deaf."""

    def setUp(self):
        super().setUp()
        self.address = self.system.path("state/manager.ipc")

    def connections(self):
        """How many the broker has, accepted or not, and its listening one."""
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
            return sum(line.rstrip("\n").endswith(" " + self.address) for line in file)

    def assert_connected_soon(self, mark):
        self.system.wait_for_line(r"\[message_broker\] the manager is connected", mark, BACK_S)
        self.assertEqual(self.system.ask({"source": "sleep", "type": "success", "payload": None}, BACK_S)["type"], "ack")

    def test_the_broker_outlives_peers_that_connect_and_leave(self):
        self.system.start("message_broker")
        for _ in range(1000):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(self.address)
        mark = self.system.mark()
        self.system.start("manager")
        self.assert_connected_soon(mark)

    def test_the_broker_outlives_managers_that_are_killed_while_they_connect(self):
        self.system.start("message_broker")
        alone = self.connections()
        for _ in range(20):
            manager = self.system.start("manager", wait=False)
            end = time.monotonic() + harness.DEADLINE_S
            while self.connections() == alone and time.monotonic() < end:
                pass  # a look each 10 ms would be too late
            manager.stop(signal.SIGKILL)
            harness.wait_until(lambda: self.connections() == alone, "the end of its connection")
        manager = self.system.start("manager")
        message = {"source": "sleep", "type": "success", "payload": None}
        harness.wait_until(lambda: self.system.ask(message)["type"] == "ack", "an answer", BACK_S, self.system.tail)
        # And it has not lost count of them.
        mark = self.system.mark()
        manager.stop(signal.SIGKILL)
        self.system.wait_for_line(r"\[message_broker\] the manager is gone", mark, BACK_S)

    def test_the_manager_outlives_a_broker_that_leaves_when_it_connects(self):
        os.makedirs(self.system.path("state"), mode=0o700, exist_ok=True)
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as listener:
                listener.settimeout(harness.DEADLINE_S)
                listener.bind(self.address)
                listener.listen()
                manager = self.system.start("manager", wait=False)
                for _ in range(3):
                    listener.accept()[0].close()
            os.unlink(self.address)
            mark = self.system.mark()
            broker = self.system.start("message_broker")
            self.assert_connected_soon(mark)
            manager.stop()
            broker.stop()


class Versions(Story):
    """Two of another version say so, and do not work together (issue: a binary that was replaced on disk)."""

    def setUp(self):
        super().setUp()
        self.system.start("message_broker")

    def stand_in(self, answer):
        """A manager that answers all with this. Ends in the test's own time."""
        peer = subprocess.Popen([os.environ["NOWCAST_TEST_NET_PEER"], "--answer",
                                 f"ipc://{self.system.path('state/manager.ipc')}", "60000"],
                                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.addCleanup(peer.wait)
        self.addCleanup(peer.kill)
        peer.stdin.write(answer)
        peer.stdin.close()
        return peer

    def check(self, answer, version):
        mark = len(self.system.log())
        peer = self.stand_in(answer)
        harness.wait_until(lambda: f"the manager is of version {version}, and this message broker of version"
                           in self.system.log()[mark:], "it is noticed", explain=self.system.tail)
        reply = self.system.ask({"source": "first", "type": "success", "payload": None})
        self.assertEqual(reply["type"], "retry later")
        self.assertIn("another version", reply["payload"])
        self.assertNotIn("the manager is connected", self.system.log()[mark:])
        peer.kill()
        peer.wait()

    def test_a_manager_of_another_version_gets_nothing(self):
        self.check(b"{source: manager, type: ack, payload: {version: 0.0.1}}\n", "0.0.1")
        self.check(b"{source: manager, type: bad message, payload: there is no such event}\n", "unknown")
        self.check(b"\xff\n", "unknown")
        # One of the same version is taken.
        mark = len(self.system.log())
        self.system.start("manager")
        harness.wait_until(lambda: "the manager is connected" in self.system.log()[mark:], "it is connected",
                           explain=self.system.tail)
        self.assertEqual(self.system.ask({"source": "first", "type": "success", "payload": None})["type"], "ack")


class HangUp(Story):
    LATER = {"later": {"checklist key": "later", "success": "well"}}
    MESSAGE = {"source": "later", "type": "success", "payload": {"late": True}}

    def setUp(self):
        super().setUp()
        self.supervisor = self.system.start_supervisor()
        self.before = self.pids()

    def hang_up(self, pattern, everyone=False):
        """HUP to the supervisor, until it and each daemon has logged a line with the pattern. `everyone`: to each
        daemon too, because a supervisor that cannot use the file does not pass it on."""
        mark = self.system.mark()
        for process in (self.supervisor.pid, *(self.before.values() if everyone else ())):
            os.kill(process, signal.SIGHUP)
        for name in ("supervisor", *harness.DAEMONS):
            self.system.wait_for_line(rf"\[{name}\] {pattern}", mark)

    def test_a_good_file_is_used_and_nothing_in_flight_is_lost(self):
        mark, first = self.system.mark(), self.start_first()
        self.assertEqual(self.system.ask(self.MESSAGE)["type"], "unregistered worker")
        self.configure(extra=self.LATER)
        self.hang_up("read config from")
        self.assertEqual(self.system.ask(self.MESSAGE)["type"], "ack")
        self.system.wait_for_checklist("later", {"late": True})
        self.open_gate()
        self.assert_chain_ends_well(first, mark)
        self.assertEqual(self.pids(), self.before)

    def test_a_bad_file_is_reported_and_changes_nothing(self):
        mark, first = self.system.mark(), self.start_first()
        good = self.system.read("nowcast.yaml")
        for bad in ("{", "just words\n", good.replace("success: well", "success: [well"),
                    good + "message registry: {}\n", good.replace("level: DEBUG", "level: LOUD"), ""):
            with self.subTest(bad[-30:]):
                self.assertNotEqual(bad, good)
                self.system.write("nowcast.yaml", bad)
                self.hang_up(r"the new configuration cannot be used, the one before stays in force: .*nowcast\.yaml", True)
        self.open_gate()
        # The runner has read its configuration before; who starts after it needs a good one.
        self.system.write("nowcast.yaml", good)
        self.assert_chain_ends_well(first, mark)
        self.assertEqual(self.pids(), self.before)
        self.configure(extra=self.LATER)
        self.hang_up("read config from")
        self.assertEqual(self.system.ask(self.MESSAGE)["type"], "ack")

    def test_bad_rules_change_nothing_at_a_hangup(self):
        self.system.write("next_workers.yaml", "first: [\n")
        mark = self.system.mark()
        self.supervisor.send_signal(signal.SIGHUP)
        self.system.wait_for_line(r"CRITICAL \[manager\] the rules cannot be used: .*next_workers\.yaml:", mark)
        first = self.start_first()
        self.open_gate()
        self.assert_chain_ends_well(first, mark)
        self.assertEqual(self.pids(), self.before)


class Rules(Story):
    def launched_after_awaken(self):
        mark = self.system.mark()
        self.assertEqual(self.system.run("awaken").returncode, 0)
        return self.system.wait_for_line(r"\[manager\] launching (\S+)", mark)[1]

    def test_a_changed_file_is_used_with_the_next_message(self):
        self.system.start_supervisor()
        self.assertEqual(self.launched_after_awaken(), "third")
        self.system.write("next_workers.yaml", "awaken: [{on: success, launch: rotate_logs}]\n")
        self.assertEqual(self.launched_after_awaken(), "rotate_logs")

    def test_a_bad_change_is_said_once_and_the_old_rules_stay(self):
        self.system.start_supervisor()
        manager = self.system.pid_of("manager")
        for bad in ("awaken: [", "awaken: [{on: success, launch: no_such_worker}]\n"):
            mark = self.system.mark()
            self.system.write("next_workers.yaml", bad)
            for _ in range(3):
                self.assertEqual(self.launched_after_awaken(), "third")
            said = self.system.log()[mark:].count("CRITICAL [manager] the rules cannot be used: ")
            self.assertEqual(said, 1, bad)
        self.system.write("next_workers.yaml", "awaken: [{on: success, launch: rotate_logs}]\n")
        self.assertEqual(self.launched_after_awaken(), "rotate_logs")
        self.assertEqual(self.system.pid_of("manager"), manager)


class Checklist(Story):
    def test_a_damaged_file_is_refused_and_not_touched(self):
        self.system.start("message_broker")
        for damaged in ("a: [1, 2\n", "- a list\n", "words\n", "", "a: \0\n", "a: 1\na: 2\n", "a: !unknown x\n"):
            with self.subTest(damaged):
                self.system.write("nowcast_checklist.yaml", damaged)
                path = self.system.path("nowcast_checklist.yaml")
                before = os.stat(path)
                process = self.system.start("manager", wait=False)
                self.assertEqual(process.wait(), STATE_DAMAGED, self.system.tail())
                after = os.stat(path)
                self.assertEqual(self.system.read("nowcast_checklist.yaml"), damaged)
                self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))
                self.assertIn("nowcast_checklist.yaml", process.output())

    def test_it_is_read_again_by_the_next_manager(self):
        self.system.start_supervisor()
        self.assertEqual(self.system.run("sleep", "--sleep-time", "0").returncode, 0)
        old, mark = self.system.pid_of("manager"), self.system.mark()
        os.kill(old, signal.SIGKILL)
        self.wait_back("manager", old, mark)
        self.assertEqual(self.system.run("awaken").returncode, 0)
        self.system.wait_for_checklist("sleepyhead", {"sleep time": 0, "awoke": True})

    def test_a_second_manager_is_refused(self):
        self.system.start_supervisor()
        manager = self.system.pid_of("manager")
        began = time.monotonic()
        second = self.system.start("manager", wait=False)
        self.assertEqual(second.wait(), TRY_AGAIN)
        self.assertLess(time.monotonic() - began, BACK_S)
        self.assertIn("another manager holds the state", second.output())
        self.assertTrue(harness.is_running(manager))
        self.assertEqual(self.system.run("awaken").returncode, 0)

    def test_bad_rules_at_the_start_are_a_bad_configuration(self):
        self.system.write("next_workers.yaml", "awaken: [")
        self.assertEqual(self.system.start("manager", wait=False).wait(), BAD_CONFIG)


if __name__ == "__main__":
    unittest.main()
