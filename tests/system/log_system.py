#!/usr/bin/python3
"""The log of a whole system: the log aggregator, the processes that publish to it, and rotate_logs.

The environment names the programs: NOWCAST_TEST_BINARY, NOWCAST_TEST_LOG_DEMO (tests/tools/log_demo.c, a
process that makes the log lines it is told).
"""
import grp
import json
import os
import re
import shutil
import signal
import stat
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

    def assert_each_once(self, count):
        """Of the numbered lines, when the aggregator has taken all."""
        def seen():
            return [line for line in self.all_lines() if "] line " in line]
        wait_for(lambda: len(seen()) >= count, f"{count} numbered lines")
        self.assertEqual(seen(), [f"INFO [worker] line {number}" for number in range(count)])

    def wait_for_line(self, text, name="nowcast.debug.log"):
        wait_for(lambda: text in self.lines(name), f"the line {text}")

    def wait_for_empty_spool(self):
        wait_for(lambda: not self.spool(), "all of the spool taken")

    # --- the aggregator ---

    def test_lines_of_a_process_are_in_the_log_when_it_has_ended(self):
        self.start_aggregator()
        self.log([["manager", 10, "debug"], ["manager", 20, "caf\u00e9 \U0001f30a"], ["a.b", 50, "x\ny"]])
        self.wait_for_empty_spool()
        self.assertEqual([line for line in self.lines() if "log_aggregator" not in line],
                         ["DEBUG [manager] debug", "INFO [manager] caf\u00e9 \U0001f30a", "CRITICAL [a.b] x\\ny"])
        self.assertNotIn("DEBUG [manager] debug", self.lines("nowcast.log"))
        self.assertIn("CRITICAL [a.b] x\\ny", self.lines("nowcast.log"))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("nowcast.log")).st_mode), 0o664)

    def test_a_line_is_in_the_log_while_its_process_goes_on(self):
        self.start_aggregator()
        process = self.start_logging()
        self.tell(process, ["worker", 20, "one"])
        self.wait_for_line("INFO [worker] one")
        self.tell(process, ["worker", 10, "two"], ["worker", 40, "three"])
        self.wait_for_line("ERROR [worker] three")
        self.assertEqual(self.lines()[-3:], ["INFO [worker] one", "DEBUG [worker] two", "ERROR [worker] three"])

    def test_every_line_of_processes_that_are_killed(self):
        os.mkdir(self.path("state"), 0o700)
        for number in range(8):
            process = self.start_logging(f"p{number}")
            self.tell(process, *[[f"p{number}", 20, f"line {i}"] for i in range(500)])
            if number == 4:
                self.start_aggregator()
            process.kill()
        self.wait_for_empty_spool()
        for number in range(8):
            self.assertEqual([line for line in self.lines() if f"[p{number}]" in line],
                             [f"INFO [p{number}] line {i}" for i in range(500)])

    def test_lines_at_a_full_spool_are_counted_where_they_are_missing(self):
        os.mkdir(self.path("state"), 0o700)
        process = self.start_logging()
        long = "x" * 100000
        self.tell(process, *[["worker", 20, f"{number} {long}"] for number in range(1000)])
        aggregator = self.start_aggregator()
        wait_for(lambda: len(self.spool()) <= 1, "the spool taken")
        self.tell(process, ["worker", 20, "after"])
        self.wait_for_line("INFO [worker] after")
        lines = [line for line in self.lines() if "[worker]" in line]
        numbers = [int(line.split()[2]) for line in lines if line.endswith("x")]
        self.assertEqual(numbers, list(range(len(numbers))))
        self.assertEqual(lines[len(numbers)], f"ERROR [worker] {1000 - len(numbers)} log lines could not be kept for "
                         "the log aggregator: the spool of the process is full")
        self.assertEqual(lines[-1], "INFO [worker] after")
        self.stop(aggregator)

    def test_ten_thousand_lines_of_a_process_that_ends_at_once(self):
        self.start_aggregator()
        self.log(self.numbered(10000))
        self.assert_each_once(10000)

    def test_a_long_message_comes_in_parts(self):
        self.start_aggregator()
        message = "x" + "\u00e9" * 200000  # where it is cut, a character must not be torn
        self.log([["worker", 20, message]])
        self.wait_for_empty_spool()
        parts = [line.removeprefix("INFO [worker] ") for line in self.lines() if "[worker]" in line]
        self.assertGreater(len(parts), 1)
        self.assertEqual("".join(parts), message)

    def test_loggers_with_handlers_of_their_own_stay_local(self):
        self.start_aggregator()
        self.log([["checklist", 20, "the checklist"], ["worker", 20, "other"]])
        self.wait_for_line("INFO [worker] other")
        self.assertEqual(self.lines("checklist.log"), ["INFO [checklist] the checklist"])
        self.assertFalse(any("the checklist" in line for line in self.lines()))

    def test_an_absent_aggregator_stalls_nobody_and_gets_the_lines_later(self):
        os.mkdir(self.path("state"), 0o700)
        seconds, stderr = self.log([*self.numbered(5000), ["worker", 50, "critical"]])
        self.assertLess(seconds, 3)
        self.assertEqual(stderr, "")
        self.assertGreater(len(self.spool()), 1)
        self.start_aggregator()
        self.assert_each_once(5000)
        self.wait_for_line("CRITICAL [worker] critical")
        self.wait_for_empty_spool()

    def test_what_is_spooled_while_the_aggregator_runs_is_taken_too(self):
        process = self.start_aggregator()
        process.send_signal(signal.SIGSTOP)
        seconds, _ = self.log([*self.numbered(300), ["worker", 40, "error"]])
        self.assertLess(seconds, 5)
        self.assertEqual(len(self.spool()), 1)
        process.send_signal(signal.SIGCONT)
        self.wait_for_empty_spool()
        self.assert_each_once(300)
        self.assertEqual(self.lines().count("ERROR [worker] error"), 1)

    def test_without_a_state_directory_the_loss_is_said(self):
        _, stderr = self.log(self.numbered(7))
        self.assertRegex(stderr, "worker: 7 log lines could not be kept for the log aggregator in .*/state/log-spool: "
                         "No such file or directory")

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
        self.wait_for_empty_spool()
        self.assertEqual(self.lines().count("WARNING [worker] between"), 1)

    def test_what_is_no_spool_file_is_put_aside(self):
        os.makedirs(self.path("state/log-spool"), 0o700)
        os.chmod(self.path("state"), 0o700)
        spool = self.path("state/log-spool/0190a6a0-0000-7000-8000-00000000000%d-000001.spool")
        contents = [b"", b"x" * 100, b"NCSPOOL1" + b"\xff" * 1000, os.urandom(100000)]
        for number, content in enumerate(contents):
            with open(spool % number, "wb") as opened:
                opened.write(content)
        os.symlink("/etc/passwd", spool % 8)
        os.mkfifo(spool % 9)
        process = self.start_aggregator()
        with open(spool % 7, "w", encoding="ascii") as opened:
            opened.write("while it runs")
        wait_for(lambda: sum(name.endswith(".damaged") for name in self.spool()) == len(contents) + 3, "all put aside")
        self.log(self.numbered(1))
        self.assert_each_once(1)
        self.assertIsNone(process.poll())
        self.assertFalse(any("root:" in line for line in self.all_lines()))

    def test_an_idle_aggregator_does_not_wake_up(self):
        process = self.start_aggregator()
        self.log(self.numbered(10))
        self.assert_each_once(10)

        def switches():
            with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                return int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", status.read())[1])

        time.sleep(1.5)  # until what was written has been synced
        before = switches()
        time.sleep(2.5)  # what is measured is this time
        self.assertLessEqual(switches() - before, 1)

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
        self.wait_for_line("INFO [worker] line 1", "other.log")
        self.stop(process)

    # --- rotation ---

    def rotate(self, *options, **environment):
        return subprocess.run([NOWCAST, "rotate_logs", "nowcast.yaml", "--debug", *options], cwd=self.directory,
                              text=True, env={**os.environ, **environment}, capture_output=True, timeout=DEADLINE_S,
                              check=False)

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

    def with_keys(self, keys):
        """CONFIG with keys for the handlers of the aggregator."""
        self.write("nowcast.yaml", CONFIG.replace("filename: nowcast.log, ", f"filename: nowcast.log, {keys}, "))

    def unpacked(self, program, name):
        return subprocess.run([program, "-dc", self.path(name)], capture_output=True, check=True, text=True).stdout

    def compressed_files(self, program, ending):
        if shutil.which(program) is None:
            self.skipTest(f"{program} is not installed")
        self.with_keys(f"compress: {program}")
        os.umask(0o077)
        self.addCleanup(os.umask, 0o022)
        for number in range(5):
            self.write("nowcast.log", f"file {number}\n" * 1000)
            os.chmod(self.path("nowcast.log"), 0o664)
            self.assertEqual(self.rotate().returncode, 0)
        self.assertEqual(sorted(name for name in os.listdir(self.directory) if name.startswith("nowcast.log")),
                         ["nowcast.log", "nowcast.log.1", *(f"nowcast.log.{number}{ending}" for number in (2, 3, 4, 5))])
        self.assertEqual(self.lines("nowcast.log.1"), ["file 4"] * 1000)
        for number in (2, 3, 4, 5):
            name = f"nowcast.log.{number}{ending}"
            self.assertEqual(self.unpacked(program, name), f"file {5 - number}\n" * 1000)
            self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), 0o664)

    def test_old_files_are_compressed_by_gzip(self):
        self.compressed_files("gzip", ".gz")

    def test_old_files_are_compressed_by_zstd(self):
        self.compressed_files("zstd", ".zst")

    def test_a_file_that_is_still_written_to_is_not_compressed(self):
        self.with_keys("compress: gzip")
        self.write("nowcast.log", "begin\n")
        with open(self.path("nowcast.log"), "a", encoding="utf-8") as writer:
            for _ in range(2):
                self.assertEqual(self.rotate().returncode, 0)
            self.assertFalse(os.path.exists(self.path("nowcast.log.2.gz")))
            writer.write("late\n")
        self.assertEqual(self.rotate().returncode, 0)
        self.assertEqual(self.unpacked("gzip", "nowcast.log.3.gz"), "begin\nlate\n")

    def test_what_a_kill_has_left_of_compressing_is_made_good(self):
        self.with_keys("compress: gzip")
        self.write("nowcast.log", "new\n")
        self.write("nowcast.log.1", "old\n")
        self.write("nowcast.log.2", "older\n")
        self.write("nowcast.log.2.gz", "the older one, compressed, before the other was removed")
        self.write("nowcast.log.3.gz.new", "half")
        self.assertEqual(self.rotate().returncode, 0)
        self.assertEqual(self.unpacked("gzip", "nowcast.log.2.gz"), "old\n")
        self.assertEqual(self.unpacked("gzip", "nowcast.log.3.gz"), "older\n")
        self.assertEqual(sorted(name for name in os.listdir(self.directory) if name.startswith("nowcast.log")),
                         ["nowcast.log", "nowcast.log.1", "nowcast.log.2.gz", "nowcast.log.3.gz"])

    def test_a_program_that_cannot_compress_leaves_the_file_and_fails(self):
        self.with_keys("compress: gzip")
        os.mkdir(self.path("bin"))
        self.write("bin/gzip", "#!/bin/sh\nexit 3\n")
        os.chmod(self.path("bin/gzip"), 0o755)
        for name in ("nowcast.log", "nowcast.log.1"):
            self.write(name, name + "\n")
        done = self.rotate(PATH=self.path("bin") + ":" + os.environ["PATH"])
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("old log files not compressed: " + self.path("nowcast.log") + ": gzip has failed (exit status 3)",
                      done.stdout)
        self.assertEqual(self.lines("nowcast.log.2"), ["nowcast.log.1"])
        self.assertFalse(os.path.exists(self.path("nowcast.log.2.gz.new")))

    def test_the_oldest_files_go_beyond_the_budget(self):
        self.with_keys("keep at most: 25 kB")
        for number in range(5):
            self.write("nowcast.log", str(number) * 10000)
            done = self.rotate()
            self.assertEqual(done.returncode, 0)
        self.assertIn("1 old file removed, because the handler info is to keep less", done.stdout)
        self.assertEqual(sorted(name for name in os.listdir(self.directory) if name.startswith("nowcast.log")),
                         ["nowcast.log", "nowcast.log.1", "nowcast.log.2"])

    def test_only_one_handler(self):
        for name in ("nowcast.log", "nowcast.debug.log"):
            self.write(name, "old\n")
        self.assertEqual(self.rotate("--only", "debug").returncode, 0)
        self.assertFalse(os.path.exists(self.path("nowcast.log.1")))
        self.assertEqual(self.lines("nowcast.debug.log.1"), ["old"])
        done = self.rotate("--only", "debog")
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no handler debog whose file is rotated; did you mean debug?", done.stdout)

    @unittest.skipUnless(os.getuid() == 0, "only root may give files to any group")
    def test_files_belong_to_their_group(self):
        self.with_keys("compress: gzip, file group: games")
        games = grp.getgrnam("games").gr_gid
        process = self.start_aggregator()
        for _ in range(3):
            self.log(self.numbered(1))
            self.wait_for_empty_spool()
            self.assertEqual(self.rotate().returncode, 0)
        self.stop(process)
        for name in ("nowcast.log", "nowcast.log.1", "nowcast.log.2.gz"):
            status = os.stat(self.path(name))
            self.assertEqual((status.st_gid, stat.S_IMODE(status.st_mode)), (games, 0o664), name)

    def test_wrong_keys_are_said(self):
        for keys, words in (("compress: bzip2", "it can be gzip, zstd or none"),
                            ("keep at most: 2 XB", "must be a size"),
                            ("file group: no-such-group", "is not a group of this host")):
            self.with_keys(keys)
            done = subprocess.run([NOWCAST, "check", "nowcast.yaml"], cwd=self.directory, text=True,
                                  capture_output=True, timeout=DEADLINE_S, check=False)
            self.assertEqual(done.returncode, 8, done.stdout)
            self.assertIn(words, done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
