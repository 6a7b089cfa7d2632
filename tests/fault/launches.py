#!/usr/bin/python3
"""What must not be forgotten (promises.md, R3, R4, R6, R8, R22), each with the faults that would make one forget it, at
the very moment that matters. The kill sweep and the soak try all moments; these name one.

NOWCAST_TEST_BINARY names the program.
"""
import contextlib
import os
import pathlib
import signal
import sqlite3
import sys
import time
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import load  # noqa: E402

STATE_DAMAGED = 78


class Story(harness.Story):
    RULES = {}

    def setUp(self):
        super().setUp()
        self.ledger = load.Ledger(self.system.path("ledger"))
        self.addCleanup(self.ledger.close)
        self.system.configure(workers=load.registry(), rules={**load.rules(), **self.RULES},
                              programs=load.programs(self.system, self.ledger.path))
        load.write_worker(self.system)
        self.daemons = self.system.start_all("message_broker", "manager")
        self.addCleanup(load.end_those_left_behind, self.system)

    def want(self, kind, number=7):
        """Sent again, as runners do, while there is no manager."""
        message, replies = load.Message(number, kind), []

        def is_answered():
            replies.append(self.system.ask(message.bytes))
            return replies[-1]["type"] != "retry later"
        harness.wait_until(is_answered, f"{kind} {number} is answered", explain=self.system.tail)
        self.assertEqual(replies[-1]["type"], "ack")

    def kill(self, name):
        self.daemons[name].stop(signal.SIGKILL)

    def start(self, name):
        self.daemons[name] = self.system.start(name)

    def seen(self, kind, type_, number=7):
        def look():
            return [words for words in self.ledger.lines("seen") if words[1:4] == [kind, type_, str(number)]]
        harness.wait_until(look, f"{type_} of {kind} is told", explain=self.system.tail)
        self.assertEqual(len(look()), 1, self.system.tail())

    def started(self, kind):
        return [words for words in self.ledger.lines("start") if words[1] == kind]

    def pids(self, part, kind):
        """Of the runner, or the worker, of that kind."""
        found = []
        for pid in self.system.own_pids():
            words = load.role_of(pid) or []
            if (part == "runner" and words[1:2] == [kind]) or (part == "worker" and words[3:4] == [kind]):
                found.append(pid)
        return found


class Launches(Story):
    def test_r3_one_whose_runner_could_not_claim_it_is_started_by_the_next_manager(self):
        claims = self.system.path("state/claims")
        if os.path.isdir(claims):
            os.rmdir(claims)
        with open(claims, "w", encoding="ascii"):
            pass  # a file in the place of the directory: nothing can be claimed
        self.want("fails")
        self.system.wait_for_line(r"\[manager\] launching fails 7$")
        harness.wait_until(lambda: not self.pids("runner", "fails"), "the runner has given up")
        self.kill("manager")
        self.assertEqual(self.started("fails"), [])
        os.unlink(claims)
        self.start("manager")
        self.seen("fails", "failure")
        self.assertEqual(len(self.started("fails")), 1)

    def test_r4_a_runner_that_is_killed_while_the_manager_is_away_is_a_crash(self):
        self.want("works")
        harness.wait_until(lambda: self.started("works"), "the worker runs")
        self.kill("manager")
        for pid in self.pids("runner", "works"):
            os.kill(pid, signal.SIGKILL)
        before = time.monotonic()
        self.start("manager")
        self.seen("works", "crash")
        self.assertLess(time.monotonic() - before, 5)
        self.assertEqual(len(self.started("works")), 1)

    def test_r5_one_that_goes_on_without_the_manager_is_not_started_again(self):
        self.want("works")
        harness.wait_until(lambda: self.started("works"), "the worker runs")
        self.kill("manager")
        self.start("manager")
        self.seen("works", "success")
        self.assertEqual(len(self.started("works")), 1)

    def test_r6_the_message_of_a_runner_that_is_gone_is_taken_out_of_the_spool(self):
        self.want("works")
        harness.wait_until(lambda: self.started("works"), "the worker runs")
        self.kill("manager")
        self.kill("message_broker")
        spool = self.system.path("state/spool")
        # Its file has another name until it is whole.
        harness.wait_until(lambda: os.path.isdir(spool) and any(len(name) == 36 for name in os.listdir(spool)),
                           "the message is kept")
        for pid in self.pids("runner", "works"):
            os.kill(pid, signal.SIGKILL)
        self.start("message_broker")
        self.start("manager")
        self.seen("works", "success")
        harness.wait_until(lambda: not os.listdir(spool), "the spool is empty")

    def test_r7_one_that_is_over_says_nothing_more(self):
        speaker = {"source": "works", "launch": str(uuid.uuid4()), "token": "0123456789abcdef" * 2}

        def say(**words):
            return self.system.ask({**speaker, "payload": None, "id": str(uuid.uuid4()), **words})["type"]
        self.assertEqual(say(event="started", payload={"arguments": ["7"], "pid": os.getpid(), "by hand": True}), "ack")
        self.assertEqual(say(type="failure", report={"exit status": 1}), "ack")
        self.assertEqual(say(type="success"), "stale")
        self.seen("works", "failure")
        self.assertEqual(len(self.ledger.lines("seen")), 1)

    def test_r8_what_the_worker_of_a_killed_runner_had_started_goes_too(self):
        self.system.write("worker.sh", load.WORKER.replace("works) sleep 2", "works) leave_behind 9000; sleep 1000"), 0o755)
        left = self.system.path(load.LEFT_BEHIND)

        def is_there():
            return any((load.role_of(pid) or [""])[0] == left for pid in self.system.own_pids())
        self.want("works")
        harness.wait_until(is_there, "something is left behind")
        for pid in self.pids("runner", "works"):
            os.kill(pid, signal.SIGKILL)
        self.seen("works", "crash")
        harness.wait_until(lambda: not is_there(), "it is gone", 5, self.system.tail)


class Groups(Story):
    RULES = {
        "feed": [{"on": "success", "hold until all have ended": ["succeeds", "fails"]},
                 {"on": "success succeeds", "launch": "succeeds 1"},
                 {"on": "success fails", "launch": "fails 2"}],
        "succeeds": [{"on": "success", "launch": "seen succeeds success 7"}],
        "fails": [],
    }

    def test_r1_a_group_outlives_the_manager(self):
        self.assertEqual(self.system.ask(load.Message(7, None).bytes)["type"], "ack")
        self.want("succeeds")
        self.system.wait_for_line("seen is held")
        self.kill("manager")
        self.start("manager")
        self.assertEqual(self.ledger.lines("seen"), [])
        self.want("fails", 8)
        self.seen("succeeds", "success")


class State(Story):
    def test_r22_a_state_that_is_missing_is_not_replaced_by_an_empty_one(self):
        self.want("fails")
        self.seen("fails", "failure")
        self.daemons["manager"].stop()
        for name in os.listdir(self.system.path("state")):
            if name.startswith("state.db"):
                os.rename(self.system.path(f"state/{name}"), self.system.path(f"moved.{name}"))
        manager = self.system.start("manager", wait=False)
        self.assertEqual(manager.wait(), STATE_DAMAGED)
        self.assertFalse(os.path.exists(self.system.path("state/state.db")))

    def test_r22_a_state_that_is_damaged_is_named_and_not_touched(self):
        self.want("fails")
        self.seen("fails", "failure")
        self.daemons["manager"].stop()
        path = self.system.path("state/state.db")
        with contextlib.closing(sqlite3.connect(path)) as database:
            # A page that nobody reads at the start but to look whether it is whole.
            page = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'messages_received'").fetchone()[0]
            size = database.execute("PRAGMA page_size").fetchone()[0]
        with open(path, "r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xff" * 100)
        with open(path, "rb") as file:
            before = file.read()
        manager = self.system.start("manager", wait=False)
        self.assertEqual(manager.wait(), STATE_DAMAGED)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), before)


if __name__ == "__main__":
    unittest.main()
