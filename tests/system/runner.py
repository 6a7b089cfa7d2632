#!/usr/bin/python3
"""The runner and what outlives it: claim, exit record, spool, further attempts (promises.md, R2 to R9).

NOWCAST_TEST_BINARY names the program. The tests have a directory, a configuration and a broker's door of
their own, as those of the contract have (worker_contract.py); RealSystem has the daemons.
"""
import contextlib
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import time
import unittest

import yaml

import harness
import worker_contract
from worker_contract import LAUNCH, Broker, is_running, wait_for

OTHER = "01a20eef-0000-729d-bbad-58403315bdaa"


class Runner(worker_contract.Contract):
    def names(self, folder):
        """Names in a folder of the state directory."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(os.listdir(self.path(f"state/{folder}")))
        return []

    def assert_only_the_log_is_kept(self):
        [launch] = self.names("launches")
        self.assertEqual([name.endswith(".log") for name in self.names(f"launches/{launch}")], [True])

    def claim(self, launch=LAUNCH):
        """Who holds the claim: "none", "runner", "worker" (without a runner), "free"."""
        try:
            fd = os.open(self.path(f"state/claims/{launch}"), os.O_RDONLY)
        except FileNotFoundError:
            return "none"
        try:
            for byte, owner in ((0, "runner"), (1, "worker")):
                asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
                answer = struct.unpack("hhqqi4x", fcntl.fcntl(fd, 36, asked))  # F_OFD_GETLK
                if answer[0] != fcntl.F_UNLCK:
                    return owner
            return "free"
        finally:
            os.close(fd)

    def finals(self):
        return [message for message in self.broker.received if "report" in message]

    def lines(self, pattern):
        return re.findall(pattern, self.log(), re.MULTILINE)

    def wait_for_file(self, name):
        return wait_for(lambda: os.path.exists(self.path(name)) and self.read(name), f"the file {name}")

    def open_broker(self):
        broker = Broker(self.path("state/broker.sock"))
        self.addCleanup(broker.close)
        return broker

    def kill_at_end(self, process):
        def kill():
            process.kill()
            with contextlib.suppress(ValueError):  # it was read before
                process.communicate()

        self.addCleanup(kill)
        return process

    HOLDING = """\
        echo $$ >>ran
        while ! test -e go; do sleep 0.02; done
        """


class Claims(Runner):
    def test_r3_a_second_runner_of_a_launch_does_nothing(self):
        self.write("worker.sh", self.HOLDING)
        first = self.kill_at_end(self.start_launch(LAUNCH))
        self.wait_for_file("ran")
        self.assertEqual(self.claim(), "runner")
        self.assertEqual(self.end(self.start_launch(LAUNCH)), 0)
        self.assertEqual(self.out + self.err, "")
        self.assertIn(f" DEBUG [make_plots] launch {LAUNCH} is another runner's already", self.log())
        self.write("go", "")
        self.assertEqual(self.end(first), 0)
        # One that comes when all is over finds the claim, too.
        self.assertEqual(self.claim(), "free")
        self.assertEqual(self.end(self.start_launch(LAUNCH)), 0)
        self.assertEqual(len(self.read("ran").splitlines()), 1)
        self.assertEqual([message["type"] for message in self.finals()], ["success"])
        self.assertEqual([m["event"] for m in self.broker.received if "event" in m], ["started"])

    def test_r3_of_many_runners_of_a_launch_one_starts_the_worker(self):
        self.write("worker.sh", "echo $$ >>ran\n")
        runners = [self.start_launch(LAUNCH) for _ in range(8)]
        self.assertEqual([self.end(runner) for runner in runners], [0] * 8)
        self.assertEqual(len(self.read("ran").splitlines()), 1)
        self.assertEqual(len(self.finals()), 1)

    def test_r3_a_launch_that_cannot_be_claimed_is_not_started(self):
        self.write("state/claims", "a file in the way")
        self.write("worker.sh", "echo ran >ran\n")
        self.assertEqual(self.end(self.start_launch(LAUNCH)), 1)
        self.assertEqual(self.end(self.start()), 1)
        self.assertIn("not started: cannot create a claim", self.err)
        self.assertEqual(len(self.lines(r" CRITICAL \[make_plots\] the launch .* cannot be claimed")), 2)
        self.assertFalse(os.path.exists(self.path("ran")))
        self.assertEqual(self.broker.received, [])

    def test_r4_when_the_runner_is_killed_the_worker_dies_and_the_claim_is_free(self):
        self.write("worker.sh", "echo $$ >pid; exec sleep 60\n")
        runner = self.kill_at_end(self.start_launch(LAUNCH))
        pid = int(self.wait_for_file("pid"))
        begin = time.monotonic()
        runner.kill()
        wait_for(lambda: self.claim() == "free", "the claim is free")
        self.assertFalse(is_running(pid))
        self.assertLess(time.monotonic() - begin, 1)
        self.assertEqual((self.names("ends"), self.names("spool")), ([], []))
        self.assertEqual(self.end(self.start_launch(LAUNCH)), 0)
        self.assertEqual(self.finals(), [])

    def test_r4_what_the_worker_started_can_be_told_from_a_runner_that_lives(self):
        self.write("worker.sh", "sleep 60 & echo $! >child; echo $$ >pid; wait\n")
        runner = self.kill_at_end(self.start_launch(LAUNCH))
        self.wait_for_file("pid")
        child = int(self.read("child"))
        self.strays.append(child)
        runner.kill()
        wait_for(lambda: self.claim() != "runner", "the end of the runner")
        self.assertEqual(self.claim(), "worker")
        self.assertTrue(is_running(child))
        os.kill(child, signal.SIGKILL)
        wait_for(lambda: self.claim() == "free", "the claim is free")

    def test_a_launch_by_hand_leaves_nothing_when_it_is_delivered(self):
        self.assertEqual(self.run_worker("exit 3\n"), 3)
        self.assertEqual([self.names(name) for name in ("claims", "ends", "spool")], [[]] * 3)
        self.assert_only_the_log_is_kept()

    def test_debug_claims_nothing(self):
        self.assertEqual(self.run_worker("exit 0\n", "--debug"), 0)
        self.assertEqual(os.listdir(self.path("state")), ["broker.sock"])


class Kept(Runner):
    def test_r6_message_and_exit_record_are_there_before_it_is_sent(self):
        seen = []

        def look(message):
            if "report" in message:
                seen.append((self.read(f"state/spool/{LAUNCH}"), self.read(f"state/ends/{LAUNCH}")))
            return self.broker.acknowledge(message)

        self.broker.answer = look
        self.write("worker.sh", 'echo \'{"type": "failure nowcast", "payload": [1]}\' >&3; exit 3\n')
        self.assertEqual(self.end(self.start_launch(LAUNCH)), 3)
        [(spool, record)] = seen
        [final] = self.finals()
        self.assertEqual(yaml.safe_load(spool), final)
        record = json.loads(record)
        self.assertEqual({key: record[key] for key in ("launch", "worker", "type", "status", "signal", "reason")}, {
            "launch": LAUNCH, "worker": "make_plots", "type": "failure nowcast", "status": 3, "signal": None,
            "reason": None})
        self.assertEqual(record["report"]["wall seconds"], final["report"]["wall seconds"])
        self.assertEqual((self.names("ends"), self.names("spool")), ([], []))
        self.assertEqual(self.names("claims"), [LAUNCH])

    def test_r4_a_crash_is_reported_at_once(self):
        self.write("worker.sh", "date +%s.%N >when; kill -SEGV $$\n")
        came = []

        def note(message):
            if message.get("type") == "crash":
                came.append(time.time())
            return self.broker.acknowledge(message)

        self.broker.answer = note
        self.end(self.start_launch(LAUNCH))
        self.assertLess(came[0] - float(self.read("when")), 1)

    def test_r4_the_exit_record_of_a_crash_has_signal_and_reason(self):
        seen = []

        def look(message):
            if "report" in message:
                seen.append(json.loads(self.read(f"state/ends/{LAUNCH}")))
            return self.broker.acknowledge(message)

        self.broker.answer = look
        self.write("worker.sh", "echo before; kill -SEGV $$\n")
        self.end(self.start_launch(LAUNCH))
        [record] = seen
        self.assertEqual((record["type"], record["status"], record["signal"]), ("crash", None, signal.SIGSEGV))
        self.assertIn("SIGSEGV", record["reason"])
        self.assertEqual(record["report"]["output"], ["before"])

    def test_r6_a_killed_runner_leaves_the_message_in_the_spool(self):
        self.broker.answer = lambda message: None if "report" in message else self.broker.acknowledge(message)
        self.write("worker.sh", "exit 0\n")
        runner = self.kill_at_end(self.start_launch(LAUNCH))
        wait_for(self.finals, "the message")
        runner.kill()
        wait_for(lambda: self.claim() == "free", "the claim is free")
        self.assertEqual(yaml.safe_load(self.read(f"state/spool/{LAUNCH}")), self.finals()[0])
        self.assertEqual(self.names("ends"), [LAUNCH])

    def test_r20_without_room_for_them_it_is_delivered_all_the_same(self):
        self.write("state/spool", "a file in the way")
        self.write("state/ends", "a file in the way")
        self.write("worker.sh", "exit 3\n")
        self.assertEqual(self.end(self.start_launch(LAUNCH)), 3)
        self.assertEqual([message["type"] for message in self.finals()], ["failure"])
        self.assertEqual(len(self.lines(r" ERROR \[make_plots\] message \(failure\) is not in the spool")), 1)
        self.assertEqual(len(self.lines(r" ERROR \[make_plots\] the exit record was not written")), 1)

    def test_r20_when_there_is_room_again_it_is_kept(self):
        self.write("state/spool", "a file in the way")
        self.broker.answer = lambda m: {"type": "retry later" if "report" in m else "ack", "payload": None}
        self.write("worker.sh", "exit 3\n")
        runner = self.kill_at_end(self.start_launch(LAUNCH))
        wait_for(lambda: "it is NOT in the spool" in self.log(), "a try")
        os.unlink(self.path("state/spool"))
        wait_for(lambda: "there is room again" in self.log(), "another try")
        runner.kill()
        self.assertEqual(yaml.safe_load(self.read(f"state/spool/{LAUNCH}")), self.finals()[0])

    def test_r7_a_stale_message_is_logged_and_not_kept(self):
        self.broker.answer = lambda message: {"type": "stale" if "report" in message else "ack", "payload": None}
        self.write("worker.sh", "exit 0\n")
        self.assertEqual(self.end(self.start_launch(LAUNCH)), 7)
        self.assertEqual([message["type"] for message in self.finals()], ["success"])
        self.assertEqual(len(self.lines(r" ERROR \[make_plots\] the manager refused the last message: stale")), 1)
        self.assertEqual((self.names("ends"), self.names("spool")), ([], []))

    def test_retry_later_keeps_the_message_until_it_is_taken(self):
        answers = iter([{"type": "retry later", "payload": "no room"}] * 2)
        kept = []

        def later(message):
            if "report" in message:
                kept.append(self.names("spool"))
                return next(answers, {"type": "ack", "payload": None})
            return self.broker.acknowledge(message)

        self.broker.answer = later
        self.write("worker.sh", "exit 0\n")
        self.assertEqual(self.end(self.start_launch(LAUNCH)), 0)
        self.assertEqual(kept, [[LAUNCH]] * 3)
        self.assertEqual(len({message["id"] for message in self.finals()}), 1)
        self.assertIn("it is kept in the spool, and sent again until it is", self.log())


class KeptWithoutSystem(Runner):
    """Nobody answers at first."""

    broker = "none"

    def test_r6_a_runner_of_the_managers_waits_for_it_and_delivers_once(self):
        self.write("worker.sh", 'echo \'{"type": "success", "payload": 1}\' >&3\n')
        runner = self.kill_at_end(self.start_launch(LAUNCH))
        wait_for(lambda: self.names("ends"), "the end of the worker")
        # As long as one by hand would have waited, and more.
        with self.assertRaises(subprocess.TimeoutExpired):
            runner.wait(11)
        spooled = yaml.safe_load(self.read(f"state/spool/{LAUNCH}"))
        self.broker = self.open_broker()
        begin = time.monotonic()
        self.assertEqual(self.end(runner), 0)
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual(self.finals(), [spooled])
        self.assertEqual((self.names("ends"), self.names("spool")), ([], []))

    def test_r6_TERM_ends_the_wait_and_the_message_is_kept(self):
        self.write("worker.sh", "exit 4\n")
        runner = self.kill_at_end(self.start_launch(LAUNCH))
        wait_for(lambda: "is not delivered yet" in self.log(), "a try")
        runner.terminate()
        self.assertEqual(self.end(runner), 5)
        self.assertEqual(yaml.safe_load(self.read(f"state/spool/{LAUNCH}"))["type"], "failure")
        self.assertIn("message (failure) is kept, and will be delivered when the manager is back", self.log())


class Retry(Runner):
    def retry(self, after=(75, "crash"), times=3, wait="50 ms", **entry):
        self.configure({"retry": {"times": times, "wait": wait, "after": list(after)}, **entry})

    COUNTING = "echo x >>tries; n=$(wc -l <tries)\n"

    def attempts(self):
        return [m["payload"]["attempt"] for m in self.broker.received if m.get("event") == "started"]

    def test_75_is_tried_again_and_only_the_last_result_is_sent(self):
        self.retry()
        status = self.run_worker(self.COUNTING + "echo \"try $n\"; test $n -ge 3 || exit 75\n")
        self.assertEqual(status, 0, self.log())
        [final] = self.finals()
        self.assertEqual((final["type"], final["report"]["attempt"]), ("success", 3))
        self.assertEqual(final["report"]["output"], ["try 3"])
        self.assertEqual(self.attempts(), [1, 2, 3])
        self.assertEqual(
            self.lines(r" WARNING \[make_plots\] (attempt .*)"),
            [
                "attempt 1: exit status 75; trying again in 0.05 s, at most 3 more times",
                "attempt 2: exit status 75; trying again in 0.1 s, at most 2 more times",
            ],
        )
        self.assertEqual(self.lines(r" INFO \[make_plots\] (attempt \d)"), ["attempt 2", "attempt 3"])
        self.assert_only_the_log_is_kept()

    def test_when_it_never_works_it_is_a_failure_of_the_last_attempt(self):
        self.retry(times=2)
        self.assertEqual(self.run_worker(self.COUNTING + "exit 75\n"), 75)
        self.assertEqual(self.read("tries"), "x\n" * 3)
        [final] = self.finals()
        self.assertEqual((final["type"], final["report"]["attempt"]), ("failure", 3))

    def test_what_is_not_listed_is_not_tried_again(self):
        self.retry(after=[75])
        for body, status in (("exit 3\n", 3), ("kill -KILL $$\n", 137), ("exit 0\n", 0), ("exit 77\n", 77)):
            self.write("tries", "")
            self.assertEqual(self.run_worker(self.COUNTING + body), status)
            self.assertEqual(self.read("tries"), "x\n")
        self.retry(after=["crash"])
        self.write("tries", "")
        self.assertEqual(self.run_worker(self.COUNTING + "exit 75\n"), 75)
        self.assertEqual(self.read("tries"), "x\n")

    def test_a_failure_is_tried_again_when_it_is_listed(self):
        self.retry(after=["failure"], times=1)
        for first in (3, 75):
            self.write("tries", "")
            self.assertEqual(self.run_worker(self.COUNTING + f"test $n -ge 2 || exit {first}\n"), 0)

    def test_r9_each_attempt_has_the_time_limit_for_itself(self):
        self.retry(after=["crash"], **{"time limit": "1 s"})
        status = self.run_worker(self.COUNTING + "test $n -ge 2 || sleep 60\nsleep 0.3\n")
        self.assertEqual(status, 0, self.log())
        self.assertIn("attempt 1: timed out; trying again", self.log())
        self.assertEqual([m["type"] for m in self.finals()], ["success"])

    def test_a_command_that_is_not_there_yet_is_tried_again(self):
        self.retry(after=["crash"], command=["./late"])
        process = self.start()
        wait_for(lambda: "trying again" in self.log(), "the first attempt")
        self.write("late", "#!/bin/sh\nexit 0\n", 0o755)
        self.assertEqual(self.end(process), 0, self.log())

    def test_r8_nothing_of_an_attempt_is_left_when_the_next_one_begins(self):
        self.retry()
        status = self.run_worker(
            self.COUNTING
            + """\
            if test $n -ge 2; then
                kill -0 $(cat child) 2>/dev/null && exit 9
                exit 0
            fi
            sh -c 'trap "" TERM; echo $$ >child; while :; do sleep 0.05; done' &
            while ! test -s child; do sleep 0.01; done
            exit 75
            """
        )
        self.strays.append(int(self.read("child")))
        self.assertEqual(status, 0, self.log())

    def test_what_an_attempt_has_said_is_forgotten(self):
        self.retry()
        self.run_worker(
            self.COUNTING + "test $n -ge 2 || { echo '{\"type\": \"success nowcast\"}' >&3; exit 75; }\n"
        )
        self.assert_final("success")

    def test_the_waits_double_up_to_at_most(self):
        self.configure({"retry": {"times": 4, "wait": "50 ms", "at most": "120 ms", "after": [75]}})
        self.assertEqual(self.run_worker("exit 75\n"), 75)
        self.assertEqual(self.lines(r"trying again in (\S+) s"), ["0.05", "0.1", "0.12", "0.12"])

    def test_TERM_between_two_attempts_reports_the_last_one(self):
        self.retry(wait="1 h")
        self.write("worker.sh", self.COUNTING + "exit 75\n")
        process = self.start()
        wait_for(lambda: "trying again" in self.log(), "the first attempt")
        process.terminate()
        self.assertEqual(self.end(process), 128 + signal.SIGTERM)
        [final] = self.finals()
        self.assertEqual((final["type"], final["report"]["exit status"]), ("failure", 75))
        self.assertEqual(self.read("tries"), "x\n")

    def test_TERM_within_an_attempt_ends_them(self):
        self.retry(after=["crash"], wait="1 h")
        self.write("worker.sh", self.COUNTING + "exec sleep 60\n")
        process = self.start()
        self.wait_for_file("tries")
        process.terminate()
        self.assertEqual(self.end(process), 128 + signal.SIGTERM)
        self.assertEqual([m["type"] for m in self.finals()], ["crash"])

    def test_r6_attempts_go_on_while_nobody_answers(self):
        self.broker.close()
        os.unlink(self.path("state/broker.sock"))
        self.retry()
        self.write("worker.sh", self.COUNTING + "test $n -ge 4 || exit 75\n")
        runner = self.kill_at_end(self.start_launch(LAUNCH))
        wait_for(lambda: self.names("ends"), "the last attempt")
        self.broker = self.open_broker()
        self.assertEqual(self.end(runner), 0)
        self.assertEqual([m["report"]["attempt"] for m in self.finals()], [4])
        self.assertEqual(self.attempts(), [4])  # the earlier ones have nothing more to say


class Answers(Runner):
    """What the manager says to the registration."""

    def answer_started(self, *replies):
        """These to `started`, the last one for ever."""
        left = list(replies)

        def answer(message):
            if message.get("event") == "started":
                return left.pop(0) if len(left) > 1 else left[0]
            return self.broker.acknowledge(message)

        self.broker.answer = answer

    def test_r3_a_stale_launch_is_ended(self):
        self.configure({"retry": {"times": 3, "wait": "50 ms", "after": ["crash"]}})
        self.answer_started({"type": "stale", "payload": None})
        self.write("worker.sh", "exec sleep 60\n")
        self.assertEqual(self.end(self.start_launch(LAUNCH)), 128 + signal.SIGTERM)
        [final] = self.finals()
        self.assertEqual(final["report"]["reason"], "the manager said that this launch is stale")
        self.assertEqual(final["report"]["attempt"], 1)

    def test_r3_a_stale_launch_is_not_tried_again(self):
        self.configure({"retry": {"times": 3, "wait": "1 h", "after": [75, "crash"]}})
        self.broker.answer = lambda message: None
        self.write("worker.sh", "exit 75\n")
        runner = self.kill_at_end(self.start_launch(LAUNCH))
        wait_for(lambda: "trying again" in self.log(), "the first attempt")
        self.answer_started({"type": "stale", "payload": None})
        self.assertEqual(self.end(runner), 75)

    def test_by_hand_a_refusal_is_told_in_the_words_of_the_manager(self):
        self.answer_started({"type": "bad message", "payload": "process 4711 runs it already"})
        self.assertEqual(self.run_worker("echo ran >ran\n"), 7)
        self.assertIn("does not take this launch: bad message: process 4711 runs it already\n", self.err)
        self.assertFalse(os.path.exists(self.path("ran")))
        self.assertEqual(self.names("claims"), [])

    def test_by_hand_the_policy_of_the_worker_stops_a_second_copy(self):
        running = [{"pid": 4711, "since": 1795500000}]
        self.answer_started({"type": "ack", "payload": {"running": running, "refused": True}})
        self.assertEqual(self.run_worker("echo ran >ran\n"), 7)
        self.assertIn("not started: it runs already with the same arguments\n", self.err)
        self.assertIn("already running: process 4711", self.err)
        self.assertFalse(os.path.exists(self.path("ran")))
        self.assertEqual((self.names("claims"), self.finals()), ([], []))

    def test_by_hand_INT_ends_the_wait_for_a_copy(self):
        self.answer_started({"type": "retry later", "payload": {"running": [{"pid": 4711, "since": 1795500000}]}})
        self.write("worker.sh", "echo ran >ran\n")
        process = self.kill_at_end(self.start())
        wait_for(lambda: "waiting for the end of another copy" in self.log(), "the wait")
        process.send_signal(signal.SIGINT)
        self.assertEqual(self.end(process), 128 + signal.SIGINT)
        self.assertFalse(os.path.exists(self.path("ran")))
        self.assertEqual(self.names("claims"), [])

    def test_by_hand_it_waits_for_a_copy_as_long_as_the_manager_says(self):
        wait = {"type": "retry later", "payload": {"running": [{"pid": 4711, "since": 1795500000}]}}
        # Longer than the 2 s that it would have waited for an answer.
        self.answer_started(wait, wait, wait, wait, {"type": "ack", "payload": None})
        self.assertEqual(self.run_worker("exit 0\n"), 0)
        self.assertEqual(self.err.count("waiting for the end of: process 4711"), 1)
        self.assertNotIn("no answer", self.err)
        self.assertEqual([m["type"] for m in self.finals()], ["success"])

    def test_versions_that_differ_are_named(self):
        self.answer_started({"type": "ack", "payload": {"version": "0.0.2"}})
        self.write("worker.sh", "exit 0\n")
        self.assertEqual(self.end(self.start_launch(LAUNCH, version="0.0.1")), 0)
        self.assertIn("the manager that made this launch is of version 0.0.1, and this program", self.log())
        self.assertIn("the manager that runs is of version 0.0.2, and this program", self.log())
        self.assertEqual(self.run_worker("exit 0\n"), 0)
        self.assertIn("the manager that runs is of version 0.0.2", self.err)

    def test_a_launch_of_a_form_that_is_not_known_is_refused_with_words(self):
        self.write("worker.sh", "echo ran >ran\n")
        original = self.launch_file

        def other_form(header, text):
            fd = original(header, text)
            data = os.pread(fd, 1 << 20, 0).replace(b"nowcast launch 1 ", b"nowcast launch 2 ", 1)
            os.close(fd)
            fd = os.memfd_create("launch", os.MFD_ALLOW_SEALING)
            os.write(fd, data)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 15)
            return fd

        self.launch_file = other_form
        self.assertEqual(self.end(self.start_launch(LAUNCH)), 1)
        self.assertIn("is of another version than this program", self.err)
        self.assertFalse(os.path.exists(self.path("ran")))


class RealSystem(harness.Story):
    """R5, R6: the daemons are killed while a worker runs."""

    def configure(self, **sections):
        self.system.configure(
            workers={"hold": {"checklist key": "held", "success": "s", "failure": "f", "crash": "c"}},
            programs={"hold": {"command": ["sh", "hold.sh"]}}, **sections)
        self.system.write(
            "hold.sh",
            """\
            echo $$ >>ran
            while ! test -e go; do sleep 0.02; done
            echo '{"type": "success", "payload": {"done": true}}' >&3
            """,
        )

    def kill(self, *processes):
        for process in processes:
            process.send_signal(signal.SIGKILL)
        for process in processes:
            process.wait()

    def end_worker(self, launch):
        """Let it end while nobody hears of it."""
        self.system.write("go", "")
        harness.wait_until(lambda: os.path.exists(self.system.path(f"state/ends/{launch}")), "the exit record",
                           explain=self.system.tail)
        self.assertNotIn("held", self.system.checklist())

    def running_launch(self):
        harness.wait_until(lambda: self.system.read("ran"), "the worker", explain=self.system.tail)
        return max(os.listdir(self.system.path("state/launches")))  # the latest

    def test_r6_a_message_outlives_broker_and_manager_and_is_applied_once(self):
        self.configure()
        daemons = self.system.start_all("message_broker", "manager")
        runner = self.system.run_in_background("hold")
        launch = self.running_launch()
        self.kill(daemons["message_broker"], daemons["manager"])
        self.end_worker(launch)
        self.system.start_all("message_broker", "manager")
        self.assertEqual(runner.wait(), 0)
        self.system.wait_for_checklist("held", {"done": True})
        self.assertEqual(len(re.findall(r"received message from hold: \(success\)", self.system.log())), 1)
        self.assertEqual(os.listdir(self.system.path("state/spool")), [])
        self.assertEqual(self.system.read("ran").count("\n"), 1)

    def test_r5_a_launch_of_the_managers_outlives_it_and_the_supervisor(self):
        self.configure(rules={"awaken": [{"on": "success", "launch": "hold"}]})
        supervisor = self.system.start_supervisor()
        self.assertEqual(self.system.run("awaken").returncode, 0)
        launch = self.running_launch()
        pids = [self.system.pid_of(name) for name in harness.DAEMONS]
        self.kill(supervisor)
        for pid in filter(None, pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        harness.wait_until(lambda: not any(is_running(pid) for pid in pids), "the end of the daemons")
        self.end_worker(launch)
        after = self.system.mark()
        self.system.start_supervisor()
        self.system.wait_for_checklist("held", {"done": True})
        self.system.wait_for_line(r"received message from hold: \(success\)", after)
        harness.wait_until(lambda: not os.listdir(self.system.path("state/spool")), "the spool is empty")
        self.assertEqual(self.system.read("ran").count("\n"), 1)

    def runner_of(self, launch):
        """The process of the runner: the one that the claim says holds it."""
        with open(f"/proc/{self.system.read('ran').split()[0]}/stat", encoding="ascii") as stat:
            return int(stat.read().rpartition(") ")[2].split()[1])

    HOLD_WITH_CHILD = """\
        sleep 300 &
        echo $! >child
        echo $$ >>ran
        wait
        """

    def start_hold(self):
        """A launch of the manager's, whose worker has started something: (launch, its runner, what it started)."""
        self.configure(rules={"awaken": [{"on": "success", "launch": "hold"}]})
        self.system.write("hold.sh", self.HOLD_WITH_CHILD)
        daemons = self.system.start_all("message_broker", "manager")
        self.assertEqual(self.system.run("awaken").returncode, 0)
        launch = self.running_launch()
        return daemons, self.runner_of(launch), int(self.system.read("child"))

    def test_r4_r8_a_killed_runner_is_reported_and_nothing_is_left(self):
        _, runner, child = self.start_hold()
        after = self.system.mark()
        os.kill(runner, signal.SIGKILL)
        self.system.wait_for_line(r"hold.*crash|crash.*hold", after)
        harness.wait_until(lambda: not is_running(child), "the end of what the worker started", 15)

    def test_r4_r8_so_is_one_that_is_killed_with_its_manager(self):
        daemons, runner, child = self.start_hold()
        self.kill(daemons["manager"])
        os.kill(runner, signal.SIGKILL)
        harness.wait_until(lambda: not is_running(runner), "the end of the runner")
        self.assertTrue(is_running(child))
        after = self.system.mark()
        self.system.start("manager")
        self.system.wait_for_line(r"hold.*runner killed|runner killed.*hold", after)
        harness.wait_until(lambda: not is_running(child), "the end of what the worker started", 15)

    def test_r6_what_was_kept_without_a_system_is_taken_when_it_is_back(self):
        self.configure()
        self.system.write("go", "")
        self.assertEqual(self.system.run("hold").returncode, 5)
        self.assertEqual(len(os.listdir(self.system.path("state/spool"))), 1)
        self.system.start_all("message_broker", "manager")
        self.system.wait_for_checklist("held", {"done": True})
        harness.wait_until(lambda: not os.listdir(self.system.path("state/spool")), "the spool is empty")
        self.assertEqual(len(re.findall(r"received message from hold: \(success\)", self.system.log())), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
