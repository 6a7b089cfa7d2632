#!/usr/bin/python3
"""The supervisor (promises.md, R10; nowcast-supervisor(8)): order, restarts, alarms, reload, stop.

NOWCAST_TEST_BINARY names the program. The class SlowTimes waits for the real 30 and 60 s of the promises.
"""
import datetime
import fcntl
import os
import re
import shutil
import signal
import struct
import time
import unittest

import harness
from harness import DAEMONS, children_of, is_running, wait_until


F_OFD_SETLK = 37


def moment_of(line):
    """The time at the beginning of a log line, in seconds."""
    return datetime.datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp()


class Supervised(harness.Story):
    def pids(self):
        return {name: self.system.pid_of(name) for name in DAEMONS}

    def wait_ready(self, name, after):
        """Until the supervisor says so: its process id."""
        return int(self.system.wait_for_line(rf"\[supervisor\] {name} is ready \(process (\d+), ", after)[1])

    def said(self, pattern, after=0):
        """The lines of the supervisor that match."""
        return [line for line in self.system.log()[after:].splitlines()
                if "[supervisor]" in line and re.search(pattern, line)]

    def assert_in_order(self, patterns, after=0):
        text, at = self.system.log()[after:], 0
        for pattern in patterns:
            found = re.compile(pattern, re.MULTILINE).search(text, at)
            self.assertIsNotNone(found, f"not there, or not in its place: {pattern}\n{text}")
            at = found.end()

    def assert_a_chain_runs(self):
        """The system works: a worker reports, and the next one is launched."""
        self.system.run("clear_checklist")
        done = self.system.run("sleep", "--sleep-time", "0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.system.wait_for_checklist("sleepyhead", {"sleep time": 0, "awoke": True})

    def configure_slow_start(self):
        self.system.configure(workers={f"worker_{number}": {"success": "well done"} for number in range(2000)})

    def stop_the_next_start(self, supervisor, name):
        """SIGSTOP the next start of a daemon before it can say that it is ready: its process id.

        Its start is long enough for that with a large file (configure_slow_start)."""
        def new_child():
            # Not before the exec: until then the supervisor waits for it (posix_spawn).
            with open(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children", encoding="ascii") as file:
                for pid in file.read().split():
                    if pid not in before:
                        with open(f"/proc/{pid}/cmdline", "rb") as command:
                            if command.read().split(b"\0")[1:2] == [name.encode()]:
                                return int(pid)
            return None

        for _ in range(4):
            before = [str(pid) for pid in children_of(supervisor.pid)]
            mark = self.system.mark()
            os.kill(self.system.pid_of(name), signal.SIGKILL)
            end, child = time.monotonic() + 20, None
            while child is None and time.monotonic() < end:
                child = new_child()
            os.kill(child, signal.SIGSTOP)
            # Two looks: what it had said may be under way.
            if not self.said(f"{name} is ready", mark) and self.system.ask({}) and \
                    not self.said(f"{name} is ready", mark):
                return child
            os.kill(child, signal.SIGCONT)
            self.wait_ready(name, mark)
        self.skipTest("this machine is too fast: it was ready before it could be stopped")


CHAIN = {"sleep": [{"on": "success", "launch": "awaken"}]}


class Start(Supervised):
    def test_each_daemon_is_started_when_the_one_before_is_ready(self):
        self.system.start_supervisor()
        self.assert_in_order([
            r"starting message_broker$", r"message_broker is ready", r"starting manager$", r"manager is ready",
            r"starting scheduler$", r"scheduler is ready", r"all 3 daemons are ready$"])
        self.assertNotIn("log_aggregator", self.system.log())

    def test_the_log_aggregator_is_the_first_where_logging_is_distributed(self):
        self.system.configure(distributed=True)
        supervisor = self.system.start_supervisor()
        self.system.wait_for_line(r"all 4 daemons are ready$")
        self.assert_in_order([r"starting log_aggregator$", r"log_aggregator is ready", r"starting message_broker$"])
        self.assertEqual(supervisor.stop(), 0)

    def test_the_daemons_are_its_children_in_groups_of_their_own(self):
        supervisor = self.system.start_supervisor()
        pids = self.pids()
        self.assertEqual(set(children_of(supervisor.pid)), set(pids.values()))
        for pid in pids.values():
            self.assertEqual(os.getpgid(pid), pid)
            self.assertEqual(os.readlink(f"/proc/{pid}/fd/0"), "/dev/null")
            with open(f"/proc/{pid}/comm", encoding="ascii") as name:
                self.assertEqual(name.read(), "nowcast\n")

    def test_a_file_that_cannot_be_used_starts_nothing(self):
        self.system.write("nowcast.yaml", "logging: no\n")
        done = self.system.run("supervisor")
        self.assertEqual(done.returncode, 8, done.stderr)
        self.assertRegex(done.stderr, r"nowcast\.yaml:1:")
        self.assertEqual(self.system.log(), "")

    def test_the_daemons_of_debug_write_to_the_console_too(self):
        supervisor = self.system.start("supervisor", "--debug")
        self.assertEqual(supervisor.stop(), 0)
        for name in ("supervisor", *DAEMONS):
            self.assertRegex(supervisor.output(), rf"\[{name}\] \*\*debug mode\*\*")
        self.assertEqual(self.system.log(), "")


class Restart(Supervised):
    def test_a_killed_daemon_is_back_within_a_second_and_the_others_go_on(self):
        self.system.configure(rules=CHAIN)
        supervisor = self.system.start_supervisor()
        for name in DAEMONS:
            with self.subTest(name):
                before, mark = self.pids(), self.system.mark()
                os.kill(before[name], signal.SIGKILL)
                back = self.wait_ready(name, mark)
                ended, = self.said(rf"{name} ended: killed by signal 9 \(SIGKILL\); starting again in 0\.5 s$", mark)
                begun, = self.said(rf"starting {name}$", mark)
                self.assertLess(moment_of(begun) - moment_of(ended), 1)
                wait_until(lambda: self.pids() == {**before, name: back}, "the others go on", 5, self.system.tail)
                if name != "scheduler":
                    self.system.wait_for_line(r"\[message_broker\] the manager is connected", mark)
                self.assert_a_chain_runs()
        states = list(children_of(supervisor.pid).values())
        self.assertEqual((len(states), states.count("Z")), (len(DAEMONS), 0), states)

    def test_an_end_with_status_0_is_no_reason_to_stay_away(self):
        self.system.start_supervisor()
        mark = self.system.mark()
        os.kill(self.system.pid_of("scheduler"), signal.SIGTERM)
        self.wait_ready("scheduler", mark)
        self.assertEqual(len(self.said(r"scheduler ended: exit status 0; starting again in 0\.5 s$", mark)), 1)

    def test_waits_double_and_the_fifth_end_is_an_alarm(self):
        self.system.start_supervisor()
        mark = self.system.mark()
        for count in range(1, 6):
            self.assertEqual(self.said(" CRITICAL ", mark), [])
            wait_until(lambda: self.system.pid_of("scheduler"), "scheduler runs")
            os.kill(self.system.pid_of("scheduler"), signal.SIGKILL)
            wait_until(lambda: len(self.said("scheduler ended", mark)) == count, f"end {count}", 5, self.system.tail)
            if count < 5:
                wait_until(lambda: len(self.said("scheduler is ready", mark)) == count, f"start {count}", 10,
                           self.system.tail)
        waits = [re.search(r"again in ([\d.]+) s", line)[1] for line in self.said("scheduler ended", mark)]
        self.assertEqual(waits, ["0.5", "1.0", "2.0", "4.0", "8.0"])
        self.assertRegex(self.said(" CRITICAL ", mark)[0], "scheduler has ended 5 times in ten minutes")
        # It was really away that long.
        ends = [moment_of(line) for line in self.said("scheduler ended", mark)]
        starts = [moment_of(line) for line in self.said("starting scheduler", mark)]
        for end, start, wait in zip(ends, starts, waits):
            self.assertAlmostEqual(start - end, float(wait), delta=0.3)

    def test_a_broken_configuration_is_an_alarm_at_once_and_a_mended_one_helps_at_once(self):
        self.system.start_supervisor()
        good, mark = self.system.read("nowcast.yaml"), self.system.mark()
        self.system.write("nowcast.yaml", good + "supervisor: no mapping\n")
        os.kill(self.system.pid_of("manager"), signal.SIGKILL)
        self.system.wait_for_line(r"manager ended: exit status 8; starting again in 60\.0 s$", mark)
        self.assertRegex(self.said(" CRITICAL ", mark)[0], "manager: its configuration cannot be used")
        self.system.write("nowcast.yaml", good)
        mark = self.system.mark()
        self.system.processes[0].send_signal(signal.SIGHUP)
        self.wait_ready("manager", mark)

    def test_damaged_state_is_an_alarm_at_once_and_holds_back_those_after_it(self):
        self.system.write("nowcast_checklist.yaml", "{")
        supervisor = self.system.start("supervisor", wait=False)
        self.system.wait_for_line(r"manager ended: exit status 78; starting again in 60\.0 s$")
        self.assertRegex(self.said(" CRITICAL ")[0], "manager: its state is damaged")
        self.assertFalse(supervisor.is_ready())
        self.assertEqual(self.said("starting scheduler"), [])
        self.assertEqual(self.system.read("nowcast_checklist.yaml"), "{")
        self.assertEqual(supervisor.stop(), 0)

    def test_a_second_supervisor_is_refused_and_harms_nobody(self):
        self.system.configure(rules=CHAIN)
        self.system.start_supervisor()
        before, mark = self.pids(), self.system.mark()
        second = self.system.start("supervisor", wait=False)
        self.assertEqual(second.wait(), 75)
        self.assertRegex(self.said(" CRITICAL ", mark)[0], "another supervisor runs for the state in .*/state; "
                         "`nowcast status` shows it, `nowcast down` ends it$")
        self.assertIn("another supervisor runs", second.output())
        self.assertEqual(self.said("starting ", mark), [])
        for name, pid in before.items():
            self.assertTrue(is_running(pid), name)
        self.assert_a_chain_runs()

    def test_of_several_that_start_at_once_one_runs(self):
        started = [self.system.start("supervisor", wait=False) for _ in range(5)]
        wait_until(lambda: sum(process.popen.poll() is not None for process in started) == 4, "the end of four", 20,
                   self.system.tail)
        left, = (process for process in started if process.popen.poll() is None)
        self.assertEqual([process.popen.poll() for process in started if process is not left], [75] * 4)
        left.wait_ready()
        self.assertEqual(len(self.said("starting message_broker$")), 1)
        self.assertEqual(left.stop(), 0)

    def test_a_process_between_fork_and_exec_holds_nobody_up(self):
        # The lock of a supervisor that was killed, in the hands of what it was starting.
        self.system.start_supervisor().stop()
        mark = self.system.mark()
        with open(self.system.path("state/supervisor.lock"), "r+b") as lock:
            fcntl.fcntl(lock, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
            supervisor = self.system.start("supervisor", wait=False)
            self.system.wait_for_line(r"\[supervisor\] read config from ", mark)
            self.assertIsNone(supervisor.popen.poll())
        supervisor.wait_ready()

    def test_a_place_that_somebody_else_holds_is_an_alarm_at_once(self):
        self.system.start("message_broker")
        mark = self.system.mark()
        self.system.start("supervisor", wait=False)
        self.system.wait_for_line(r"message_broker ended: exit status 75; starting again in 60\.0 s$", mark)
        self.assertRegex(self.said(" CRITICAL ", mark)[0], "message_broker: another one holds its place")

    def test_a_binary_that_was_replaced_on_disk_breaks_nothing(self):
        shutil.copy(harness.NOWCAST, self.system.path("nowcast"))
        self.system.start("supervisor", program=self.system.path("nowcast"))
        self.system.write("nowcast", "#!/bin/sh\nexit 1\n", mode=0o755)
        for name in DAEMONS:
            mark = self.system.mark()
            os.kill(self.system.pid_of(name), signal.SIGKILL)
            self.wait_ready(name, mark)

    def test_no_descriptor_is_lost_by_restarts(self):
        supervisor = self.system.start_supervisor()

        def descriptors():
            return len(os.listdir(f"/proc/{supervisor.pid}/fd"))
        before = descriptors()
        for name in ("scheduler", "manager", "scheduler"):
            mark = self.system.mark()
            os.kill(self.system.pid_of(name), signal.SIGKILL)
            self.wait_ready(name, mark)
        self.assertEqual(descriptors(), before)


class Stop(Supervised):
    STOPPED_IN_ORDER = [
        r"\[supervisor\] stopping scheduler$", r"scheduler ended: exit status 0$", r"stopping manager$",
        r"manager ended: exit status 0$", r"stopping message_broker$", r"message_broker ended: exit status 0$"]

    def assert_nothing_runs(self):
        self.assertEqual(self.system.own_pids(), [])

    def test_all_are_stopped_in_the_reverse_order(self):
        supervisor = self.system.start_supervisor()
        mark = self.system.mark()
        self.assertEqual(supervisor.stop(), 0)
        self.assert_in_order([r"termination signal", *self.STOPPED_IN_ORDER], mark)
        self.assert_nothing_runs()

    def test_every_state_has_a_name(self):
        supervisor = self.system.start_supervisor()
        mark = self.system.mark()
        os.kill(self.system.pid_of("manager"), signal.SIGKILL)
        self.wait_ready("manager", mark)
        self.assertEqual(supervisor.stop(), 0)
        moves = re.findall(r"DEBUG \[supervisor\] manager: (.*)$", self.system.log(), re.MULTILINE)
        self.assertEqual(moves, ["stopped -> starting", "starting -> running", "running -> backoff",
                                 "backoff -> starting", "starting -> running", "running -> stopping",
                                 "stopping -> stopped"])

    def test_control_c_in_the_terminal_reaches_the_supervisor_only(self):
        supervisor = self.system.start("supervisor", start_new_session=True)
        mark = self.system.mark()
        os.killpg(supervisor.pid, signal.SIGINT)
        self.assertEqual(supervisor.wait(), 0)
        self.assert_in_order([r"\[supervisor\] interrupt signal", *self.STOPPED_IN_ORDER], mark)
        self.assertEqual(len(re.findall("interrupt signal", self.system.log())), 1)
        self.assert_nothing_runs()

    def test_a_stop_while_it_starts_leaves_nothing(self):
        for name in DAEMONS:
            with self.subTest(name):
                mark = self.system.mark()
                supervisor = self.system.start("supervisor", wait=False)
                self.system.wait_for_line(rf"starting {name}$", mark)
                self.assertEqual(supervisor.stop(), 0)
                self.assert_nothing_runs()

    def test_one_that_waits_to_be_started_again_is_not_waited_for(self):
        supervisor = self.system.start_supervisor()
        mark = self.system.mark()
        os.kill(self.system.pid_of("manager"), signal.SIGKILL)
        self.system.wait_for_line("manager ended", mark)
        self.assertEqual(supervisor.stop(), 0)
        self.assertEqual(self.said("starting manager", mark), [])
        self.assert_nothing_runs()

    def test_one_that_ends_while_others_are_stopped_is_not_started_again(self):
        supervisor = self.system.start_supervisor()
        mark = self.system.mark()
        os.kill(self.system.pid_of("scheduler"), signal.SIGSTOP)
        supervisor.send_signal(signal.SIGTERM)
        self.system.wait_for_line("stopping scheduler", mark)
        os.kill(self.system.pid_of("message_broker"), signal.SIGKILL)
        self.system.wait_for_line(r"message_broker ended: killed by signal 9 \(SIGKILL\)$", mark)
        os.kill(self.system.pid_of("scheduler"), signal.SIGCONT)
        self.assertEqual(supervisor.wait(), 0)
        self.assertEqual(self.said("starting ", mark), [])

    def test_workers_go_on(self):
        self.system.configure(rules={"awaken": [{"on": "success", "launch": "sleep --sleep-time 30"}]})
        supervisor = self.system.start_supervisor()
        self.assertEqual(self.system.run("awaken").returncode, 0)
        worker = int(self.system.wait_for_line(r"\[sleep\] running in process (\d+)$")[1])
        self.assertEqual(supervisor.stop(), 0)
        self.assertTrue(is_running(worker))
        self.assertIn(worker, self.system.own_pids())

    def test_one_that_does_not_end_is_killed_after_ten_seconds(self):
        supervisor = self.system.start_supervisor()
        mark = self.system.mark()
        os.kill(self.system.pid_of("manager"), signal.SIGSTOP)
        self.assertEqual(supervisor.stop(), 0)
        self.assert_in_order([r"stopping manager$", r"WARNING \[supervisor\] manager does not end; it is killed$",
                              r"manager ended: killed by signal 9 \(SIGKILL\)$", r"stopping message_broker$"], mark)
        asked, = self.said(r"stopping manager$", mark)
        killed, = self.said("manager does not end", mark)
        self.assertAlmostEqual(moment_of(killed) - moment_of(asked), 10, delta=0.5)
        self.assert_nothing_runs()


class Killed(Supervised):
    """The supervisor itself gets SIGKILL."""

    GONE = r"\[{}\] the supervisor has ended without stopping this process"

    def kill(self, supervisor):
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait()

    def test_the_daemons_end_in_the_reverse_order(self):
        self.system.configure(distributed=True)
        supervisor = self.system.start_supervisor()
        names = ("log_aggregator", *DAEMONS)
        before, mark = {name: self.system.pid_of(name) for name in names}, self.system.mark()
        self.kill(supervisor)
        wait_until(lambda: not any(map(is_running, before.values())), "the end of all", 5, self.system.tail)
        # By their times: what processes say within a millisecond comes to the aggregator in any order.
        times = [self.system.wait_for_line(r"^(\S+ \S+) WARNING " + self.GONE.format(name), mark)[1]
                 for name in ("scheduler", "manager", "message_broker")]
        self.assertEqual(times, sorted(times))
        self.assertEqual(self.system.own_pids(), [])

    def test_a_new_one_takes_over_at_once(self):
        self.system.configure(rules=CHAIN)
        supervisor = self.system.start_supervisor()
        before, mark = self.pids(), self.system.mark()
        self.kill(supervisor)
        begun = time.monotonic()
        self.system.start_supervisor()
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(self.said(" ended: ", mark), [])
        self.assertFalse(any(map(is_running, before.values())))
        self.assert_a_chain_runs()

    def test_workers_go_on(self):
        self.system.configure(rules={"awaken": [{"on": "success", "launch": "sleep --sleep-time 30"}]})
        supervisor = self.system.start_supervisor()
        self.assertEqual(self.system.run("awaken").returncode, 0)
        worker = int(self.system.wait_for_line(r"\[sleep\] running in process (\d+)$")[1])
        before = self.pids()
        self.kill(supervisor)
        wait_until(lambda: not any(map(is_running, before.values())), "the end of the daemons", 5, self.system.tail)
        self.system.start_supervisor()
        self.assertTrue(is_running(worker))

    def test_programs_are_told_to_end(self):
        self.system.configure(supervisor={"programs": {"feed": {"command": ["sleep", "1000"]}}})
        supervisor = self.system.start_supervisor()
        feed = int(self.system.wait_for_line(r"\] feed is ready \(process (\d+), ")[1])
        self.kill(supervisor)
        wait_until(lambda: not is_running(feed), "the end of the program", 5)

    def start_stubborn(self):
        """With a program that takes no TERM: the supervisor, and the process id of the program."""
        self.system.write("stubborn.sh", "trap '' TERM\necho begun\nwhile :; do sleep 0.1; done\n")
        self.system.configure(supervisor={"stop time": "1 s", "programs": {
            "stubborn": {"command": ["sh", "stubborn.sh"]}}})
        supervisor = self.system.start_supervisor()
        self.system.wait_for_line(r" INFO \[stubborn\] begun$")
        return supervisor, int(self.system.wait_for_line(r"\] stubborn is ready \(process (\d+), ")[1])

    def test_what_does_not_end_is_killed_by_the_next_one(self):
        supervisor, stubborn = self.start_stubborn()
        mark = self.system.mark()
        self.kill(supervisor)
        self.assertTrue(is_running(stubborn))
        self.system.start_supervisor()
        self.assert_in_order([r"WARNING \[supervisor\] \d process(es)? of a supervisor that was killed (is|are) still "
                              r"there; waiting for their end$",
                              rf"WARNING \[supervisor\] process {stubborn} does not end; it is killed$",
                              r"\[supervisor\] all of them have ended$", "starting message_broker$"], mark)
        self.assertFalse(is_running(stubborn))

    def test_the_next_one_can_be_stopped_while_it_waits_for_them(self):
        supervisor, stubborn = self.start_stubborn()
        mark = self.system.mark()
        self.kill(supervisor)
        second = self.system.start("supervisor", wait=False)
        self.system.wait_for_line(r"of a supervisor that was killed", mark)
        self.assertEqual(second.stop(), 0)
        self.assertEqual(self.said("starting ", mark), [])
        os.killpg(stubborn, signal.SIGKILL)


class Reload(Supervised):
    def test_a_hangup_reaches_all_and_ends_none(self):
        supervisor = self.system.start_supervisor()
        before, mark = self.pids(), self.system.mark()
        self.system.configure(rules=CHAIN, workers={"newcomer": {"checklist key": "new", "success": "came"}})
        supervisor.send_signal(signal.SIGHUP)
        for name in ("supervisor", *DAEMONS):
            self.system.wait_for_line(rf"\[{name}\] hangup signal \(SIGHUP\) received; reloading configuration$", mark)
            self.system.wait_for_line(rf"\[{name}\] read config from ", mark)
        reply = self.system.ask({"source": "newcomer", "type": "success", "payload": 1})
        self.assertEqual(reply["type"], "ack")
        self.assert_a_chain_runs()
        self.assertEqual(self.pids(), before)

    def test_a_file_that_cannot_be_used_is_reported_and_reaches_none(self):
        self.system.configure(rules=CHAIN)
        supervisor = self.system.start_supervisor()
        before, mark = self.pids(), self.system.mark()
        good = self.system.read("nowcast.yaml")
        self.system.write("nowcast.yaml", good + "message registry: twice\n")
        supervisor.send_signal(signal.SIGHUP)
        self.system.wait_for_line(r" ERROR \[supervisor\] the new configuration cannot be used, the one before stays "
                                  r"in force: .*nowcast\.yaml:\d+:1", mark)
        self.assertEqual(self.system.ask({"source": "sleep", "type": "success", "payload": None})["type"], "ack")
        self.system.wait_for_line(r"\[manager\] launching awaken$", mark)
        self.assertEqual(len(re.findall("SIGHUP", self.system.log()[mark:])), 1)
        self.assertEqual(self.pids(), before)

    def test_one_that_is_starting_is_not_ended_by_a_hangup_and_gets_it_later(self):
        self.configure_slow_start()
        supervisor = self.system.start_supervisor()
        starting, mark = self.stop_the_next_start(supervisor, "scheduler"), self.system.mark()
        supervisor.send_signal(signal.SIGHUP)
        self.system.wait_for_line(r"\[supervisor\] read config from ", mark)
        os.kill(starting, signal.SIGCONT)
        self.assertEqual(self.wait_ready("scheduler", mark), starting)
        self.system.wait_for_line(r"\[scheduler\] hangup signal", mark)
        self.assertEqual(self.said(" ended: ", mark), [])

    def test_a_change_to_distributed_logging_is_named(self):
        supervisor = self.system.start_supervisor()
        self.system.configure(distributed=True)
        supervisor.send_signal(signal.SIGHUP)
        # The line itself goes the new way, into the spool of an aggregator that is not there.
        wait_until(lambda: "whether there is a log aggregator has changed" in supervisor.output(), "the warning",
                   10, supervisor.output)


class ManagerOnly(Supervised):
    def test_the_manager_alone_is_started_again_and_stopped(self):
        process = self.system.start("manager", "--supervised")
        for _ in range(2):
            pid, mark = self.system.pid_of("manager"), self.system.mark()
            os.kill(pid, signal.SIGKILL)
            self.assertNotEqual(self.wait_ready("manager", mark), pid)
        self.assertEqual(process.stop(), 0)
        self.assertEqual(self.system.own_pids(), [])
        self.assertNotIn("starting message_broker", self.system.log())

    def test_its_checklist_is_ignored_once_and_not_again_after_a_crash(self):
        self.system.write("nowcast_checklist.yaml", "kept: 1\n")
        self.system.start("manager", "--supervised", "--ignore-checklist")
        self.assertNotIn("checklist read from", self.system.log())
        mark = self.system.mark()
        os.kill(self.system.pid_of("manager"), signal.SIGKILL)
        self.wait_ready("manager", mark)
        self.assertIn("checklist read from", self.system.log()[mark:])

    def test_help_and_errors_are_those_of_the_manager(self):
        helped = self.system.run("manager", "--supervised", "-h")
        self.assertEqual(helped.returncode, 0)
        self.assertRegex(helped.stdout, "^usage: nowcast manager ")
        wrong = self.system.run("manager", "--supervised", "--supervise")
        self.assertEqual(wrong.returncode, 2)
        self.assertRegex(wrong.stderr, "^usage: nowcast manager ")


class SlowTimes(Supervised):
    def test_one_that_hangs_and_one_that_is_never_ready_are_replaced(self):
        self.configure_slow_start()
        supervisor = self.system.start_supervisor()
        stuck = self.stop_the_next_start(supervisor, "scheduler")
        mark = self.system.mark()
        hung, manager = self.system.pid_of("message_broker"), self.system.pid_of("manager")
        os.kill(hung, signal.SIGSTOP)
        self.system.wait_for_line(r" ERROR \[supervisor\] scheduler is not ready after 30 s; it is killed and started "
                                  r"again$", mark, 35)
        self.assertNotEqual(self.wait_ready("scheduler", mark), stuck)
        self.system.wait_for_line(r" CRITICAL \[supervisor\] message_broker gave no sign of life for 60 s; it is ended "
                                  r"and started again$", mark, 65)
        self.system.wait_for_line(r"message_broker does not end; it is killed$", mark, 12)
        self.assertNotEqual(self.wait_ready("message_broker", mark), hung)
        self.system.wait_for_line(r"\[message_broker\] the manager is connected", mark)
        # Those that are well and say so were left alone.
        self.assertEqual(self.system.pid_of("manager"), manager)
        self.assertEqual(len(self.said(" ended: ", mark)), 2)
        self.assertEqual(supervisor.stop(), 0)


if __name__ == "__main__":
    unittest.main()
