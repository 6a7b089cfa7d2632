#!/usr/bin/python3
"""The log of a whole system: the log aggregator, the processes that publish to it, and rotate_logs.

The environment names the programs: NOWCAST_TEST_BINARY, NOWCAST_TEST_LOG_DEMO (tests/tools/log_demo.c, a
process that makes the log lines it is told).
"""
import json
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time
import unittest

NOWCAST = os.environ["NOWCAST_TEST_BINARY"]
LOG_DEMO = os.environ["NOWCAST_TEST_LOG_DEMO"]
DEADLINE_S = 20

CONFIG = """\
checklist file: checklist.yaml
state directory: state
logging:
  aggregator:
    version: 1
    disable_existing_loggers: False
    formatters:
      simple: {format: '%(levelname)s [%(logger_name)s] %(message)s'}
    handlers:
      info: {class: logging.handlers.RotatingFileHandler, level: INFO, formatter: simple,
             filename: nowcast.log, backupCount: 50}
      debug: {class: logging.handlers.RotatingFileHandler, level: DEBUG, formatter: simple,
              filename: nowcast.debug.log, backupCount: 50}
    root: {level: DEBUG, handlers: [info, debug]}
  publisher:
    version: 1
    disable_existing_loggers: False
    formatters:
      simple: {format: '%(levelname)s [%(name)s] %(message)s'}
    handlers:
      console: {class: logging.StreamHandler, level: 100, formatter: simple, stream: 'ext://sys.stdout'}
      zmq_pub: {class: zmq.log.handlers.PUBHandler, level: DEBUG, formatter: simple}
      checklist: {class: logging.handlers.RotatingFileHandler, level: INFO, formatter: simple,
                  filename: checklist.log, backupCount: 50}
    loggers:
      checklist: {level: INFO, propagate: False, handlers: [checklist]}
    root: {level: DEBUG, handlers: [console, zmq_pub]}
message registry:
  manager: {ack: message acknowledged}
  workers:
    rotate_logs: {checklist key: log rotation, success: rotated, failure: not rotated, crash: crashed}
"""


def wait_for(condition, what):
    """Until condition() is true: its value."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not seen within {DEADLINE_S} s: {what}")


class LogSystem(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="nowcast-log-")
        self.addCleanup(temporary.cleanup)
        self.directory = temporary.name
        self.write("nowcast.yaml", CONFIG)
        self.running = []
        self.addCleanup(self.end_all)

    def end_all(self):
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.communicate()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as opened:
            opened.write(text)

    def lines(self, name="nowcast.debug.log"):
        try:
            with open(self.path(name), encoding="utf-8") as opened:
                return opened.read().splitlines()
        except FileNotFoundError:
            return []

    def all_lines(self, name="nowcast.debug.log"):
        """Of the file and of those that were rotated, oldest first."""
        old = sorted((other for other in os.listdir(self.directory) if re.fullmatch(name + r"\.\d+", other)),
                     key=lambda other: -int(other.rsplit(".", 1)[1]))
        return [line for other in [*old, name] for line in self.lines(other)]

    def spool(self):
        try:
            return os.listdir(self.path("state/log-spool"))
        except FileNotFoundError:
            return []

    def start_aggregator(self, *options):
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [NOWCAST, "log_aggregator", "nowcast.yaml", *options], cwd=self.directory, pass_fds=[writer],
            env={**os.environ, "NOWCAST_READY_FD": str(writer)}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.running.append(process)
        os.close(writer)
        self.addCleanup(os.close, reader)
        self.assertEqual(os.read(reader, 100), b"ready\n", "the aggregator is not ready")
        return process

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 0)

    def log(self, calls, name="worker"):
        """A process that makes these lines and ends."""
        started = time.monotonic()
        done = subprocess.run(
            [LOG_DEMO, "nowcast.yaml", name, "normal"], cwd=self.directory, text=True, capture_output=True,
            input="".join(json.dumps(call, ensure_ascii=False) + "\n" for call in calls), timeout=DEADLINE_S, check=False)
        self.assertEqual(done.returncode, 0, done.stderr[-1000:])
        return time.monotonic() - started, done.stderr

    def start_logging(self, name="worker"):
        """A process that makes the lines that it is told."""
        process = subprocess.Popen(
            [LOG_DEMO, "nowcast.yaml", name, "normal"], cwd=self.directory, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        self.running.append(process)
        return process

    @staticmethod
    def tell(process, *calls):
        """And wait until it has made them."""
        for call in [*calls, ["say", "done"]]:
            process.stdin.write(json.dumps(call) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"

    def numbered(self, count, first=0):
        return [["worker", 20, f"line {number}"] for number in range(first, first + count)]

    def assert_each_once(self, count, lines=None):
        seen = [line for line in (self.all_lines() if lines is None else lines) if "] line " in line]
        self.assertEqual(seen, [f"INFO [worker] line {number}" for number in range(count)])

    def ask(self, payload):
        """One frame at the aggregator's door, and its answer."""
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(DEADLINE_S)
            door.connect(self.path("state/log.sock"))
            door.sendall(struct.pack("!I", len(payload)) + payload)
            header = door.recv(4, socket.MSG_WAITALL)
            self.assertEqual(len(header), 4, "no answer")
            return json.loads(door.recv(struct.unpack("!I", header)[0], socket.MSG_WAITALL))

    # --- the aggregator ---

    def test_lines_of_a_process_are_in_the_log_when_it_has_ended(self):
        self.start_aggregator()
        self.log([["manager", 10, "debug"], ["manager", 20, "caf\u00e9 \U0001f30a"], ["a.b", 50, "x\ny"]])
        self.assertEqual([line for line in self.lines() if "log_aggregator" not in line],
                         ["DEBUG [manager] debug", "INFO [manager] caf\u00e9 \U0001f30a", "CRITICAL [a.b] x\\ny"])
        self.assertNotIn("DEBUG [manager] debug", self.lines("nowcast.log"))
        self.assertIn("CRITICAL [a.b] x\\ny", self.lines("nowcast.log"))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("nowcast.log")).st_mode), 0o664)

    def test_a_warning_is_in_the_log_when_the_call_returns(self):
        self.start_aggregator()
        process = self.start_logging()
        self.tell(process, ["worker", 20, "one"], ["worker", 30, "two"])
        self.assertEqual(self.lines()[-2:], ["INFO [worker] one", "WARNING [worker] two"])

    def test_ten_thousand_lines_of_a_process_that_ends_at_once(self):
        self.start_aggregator()
        self.log(self.numbered(10000))
        self.assert_each_once(10000)

    def test_a_long_message_comes_in_parts(self):
        self.start_aggregator()
        message = "x" + "\u00e9" * 200000  # where it is cut, a character must not be torn
        self.log([["worker", 20, message]])
        parts = [line.removeprefix("INFO [worker] ") for line in self.lines() if "[worker]" in line]
        self.assertGreater(len(parts), 1)
        self.assertEqual("".join(parts), message)

    def test_loggers_with_handlers_of_their_own_stay_local(self):
        self.start_aggregator()
        self.log([["checklist", 20, "the checklist"], ["worker", 20, "other"]])
        self.assertEqual(self.lines("checklist.log"), ["INFO [checklist] the checklist"])
        self.assertFalse(any("the checklist" in line for line in self.lines()))

    def test_an_absent_aggregator_stalls_nobody_and_gets_the_lines_later(self):
        os.mkdir(self.path("state"), 0o700)
        seconds, stderr = self.log([*self.numbered(5000), ["worker", 50, "critical"]])
        self.assertLess(seconds, 3)
        self.assertEqual(stderr, "")
        self.assertEqual(len(self.spool()), 1)
        self.start_aggregator()
        self.assert_each_once(5000)
        self.assertIn("CRITICAL [worker] critical", self.lines())
        self.assertEqual(self.spool(), [])

    def test_what_is_spooled_while_the_aggregator_runs_is_taken_too(self):
        process = self.start_aggregator()
        process.send_signal(signal.SIGSTOP)
        seconds, _ = self.log([*self.numbered(300), ["worker", 40, "error"]])
        self.assertLess(seconds, 5)
        self.assertEqual(len(self.spool()), 1)
        process.send_signal(signal.SIGCONT)
        wait_for(lambda: not self.spool(), "the spool file taken")
        self.assert_each_once(300)
        self.assertEqual(self.lines().count("ERROR [worker] error"), 1)

    def test_without_a_state_directory_the_loss_is_said(self):
        _, stderr = self.log(self.numbered(7))
        self.assertRegex(stderr, "7 log lines reached neither the log aggregator nor its spool")

    def test_a_process_outlives_a_restart_of_the_aggregator(self):
        first = self.start_aggregator()
        process = self.start_logging()
        self.tell(process, *self.numbered(10), ["worker", 30, "before"])
        self.stop(first)
        self.tell(process, *self.numbered(10, 10), ["worker", 30, "between"])
        self.start_aggregator()
        self.tell(process, *self.numbered(10, 20))
        process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 0)
        self.assert_each_once(30)
        self.assertEqual(self.lines().count("WARNING [worker] between"), 1)

    def test_a_batch_that_comes_again_is_written_once(self):
        self.start_aggregator()
        batch = json.dumps({"source": "0190a6a0-0000-7000-8000-000000000001", "sequence": 3, "records": [
            ["worker", 20, time.time_ns(), 4711, "salish", "line 0", False]]}).encode()
        self.assertEqual(self.ask(batch), {"written": 3})
        self.assertEqual(self.ask(batch), {"written": 3})
        self.assert_each_once(1)

    def test_what_is_no_batch_is_answered_by_an_error(self):
        process = self.start_aggregator()
        for payload in (b"", b"\0", b"{", b"[]", b"\xff\xfe", b"[" * 100000, b"null", b'{"source": 1}'):
            self.assertEqual(list(self.ask(payload)), ["error"], payload[:20])
        self.assertEqual(list(self.ask(b" " * (1 << 20) + b"{}")), ["error"])
        self.assertIsNone(process.poll())
        self.log(self.numbered(1))
        self.assert_each_once(1)

    def test_a_second_aggregator_is_refused(self):
        self.start_aggregator()
        done = subprocess.run([NOWCAST, "log_aggregator", "nowcast.yaml"], cwd=self.directory, text=True,
                              capture_output=True, timeout=DEADLINE_S, check=False)
        self.assertEqual(done.returncode, 75, done.stderr)

    def test_without_its_part_of_the_section_it_says_so(self):
        self.write("nowcast.yaml", re.sub(r"(?s)logging:.*message registry", """logging:
  version: 1
  root: {level: INFO}
message registry""", CONFIG))
        done = subprocess.run([NOWCAST, "log_aggregator", "nowcast.yaml"], cwd=self.directory, text=True,
                              capture_output=True, timeout=DEADLINE_S, check=False)
        self.assertEqual(done.returncode, 8)
        self.assertIn("there is nothing to aggregate", done.stderr)

    def test_a_reload_takes_a_good_file_and_leaves_a_bad_one(self):
        process = self.start_aggregator()
        self.write("nowcast.yaml", CONFIG.replace("filename: nowcast.debug.log", "file: nowcast.debug.log"))
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: any("nowcast.yaml:12" in line for line in self.lines()), "the complaint")
        self.log(self.numbered(1))
        self.assert_each_once(1)
        self.write("nowcast.yaml", CONFIG.replace("filename: nowcast.debug.log", "filename: other.log"))
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: os.path.exists(self.path("other.log")), "the new log file")
        self.log(self.numbered(1, 1))
        self.assertIn("INFO [worker] line 1", self.lines("other.log"))
        self.stop(process)

    # --- rotation ---

    def rotate(self):
        return subprocess.run([NOWCAST, "rotate_logs", "nowcast.yaml", "--debug"], cwd=self.directory, text=True,
                              capture_output=True, timeout=DEADLINE_S, check=False)

    def test_rotate_logs_rolls_every_file_over_and_no_line_is_lost(self):
        self.start_aggregator()
        process = self.start_logging()
        for number in range(5):
            self.tell(process, *self.numbered(200, number * 200))
            done = self.rotate()
            self.assertEqual(done.returncode, 0, done.stderr)
        process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 0)
        self.assert_each_once(1000)
        for name in ("nowcast.log", "nowcast.debug.log", "checklist.log"):
            self.assertTrue(os.path.exists(self.path(name + ".5")), name)
            self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), 0o664)
            self.assertIn(f"log file rotated: {self.path(name)}", done.stdout)
            self.assertIn(f"new {self.path(name)} log file permissions set to rw-rw-r--", done.stdout)
        self.assertIn("rotating log files", done.stdout)
        self.assertIn("log files rotated", done.stdout)
        self.assertIn("log files", done.stdout)

    def test_a_rotation_that_cannot_be_done_keeps_the_file_and_fails(self):
        self.log([["checklist", 20, "kept"]])
        self.write("nowcast.yaml", CONFIG.replace("backupCount: 50", "backupCount: 1"))
        os.mkdir(self.path("checklist.log.1"))
        self.write("nowcast.log", "other\n")
        done = self.rotate()
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("Is a directory", done.stdout)
        self.assertIn("failed to rotate log files", done.stdout)
        self.assertEqual(self.lines("checklist.log"), ["INFO [checklist] kept"])
        self.assertEqual(self.lines("nowcast.log.1"), ["other"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
