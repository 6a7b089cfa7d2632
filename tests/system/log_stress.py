#!/usr/bin/python3
"""Many writers, rotation, kills and a full disk at once: no line is lost, torn or doubled (R15, R16, R17).

NOWCAST_TEST_LONG in the environment: fifty times as much of all. The environment names the programs, as for
log_system.py.
"""
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

NOWCAST = os.environ["NOWCAST_TEST_BINARY"]
LOG_DEMO = os.environ["NOWCAST_TEST_LOG_DEMO"]
FACTOR = 50 if os.environ.get("NOWCAST_TEST_LONG") else 1
WRITERS = 8
LINES = 20000 * FACTOR
ROTATIONS = 50 * FACTOR
KILLS = 20 * FACTOR
FULL_TIMES = FACTOR
KEPT = 20  # rotated files; those behind are judged and removed. (After a kill the aggregator may look into them.)
PAUSE_MS = 60  # after 100 lines: so that there is something under way at each rotation and kill
DEADLINE_S = 120 * FACTOR
DISK_MB = 500

CONFIG = """\
checklist file: checklist.yaml
state directory: state
logging:
  aggregator:
    version: 1
    formatters:
      simple: {format: '%(asctime)s %(levelname)s [%(logger_name)s] %(message)s'}
    handlers:
      log: {class: logging.handlers.RotatingFileHandler, formatter: simple, filename: nowcast.log,
            backupCount: 100000}
    root: {level: DEBUG, handlers: [log]}
  publisher:
    version: 1
    handlers:
      publisher: {class: zmq.log.handlers.PUBHandler}
    root: {level: DEBUG, handlers: [publisher]}
message registry:
  manager: {ack: message acknowledged}
  workers:
    rotate_logs: {success: rotated, failure: not rotated, crash: crashed}
"""

LINE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO \[(w\d+)\] (\d+) (([a-z])\4*)\n")
LOST = re.compile(rb"\S+ \S+ ERROR \[(w\d+)\] (\d+) log lines? could not be kept for the log aggregator: (.*)\n")


class LogStress(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="nowcast-stress-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.mounted = False
        self.running = []
        self.addCleanup(self.end_all)

    def end_all(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def prepare(self):
        with open(self.path("nowcast.yaml"), "w", encoding="utf-8") as opened:
            opened.write(CONFIG)
        os.mkdir(self.path("state"), 0o700)

    def path(self, name):
        return os.path.join(self.directory, name)

    def mount(self):
        """A small disk of our own; False: that is not possible here."""
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0700", "tmpfs", self.directory],
                              capture_output=True, check=False)
        if done.returncode == 0:
            # A lazy one: nothing of ours must keep it.
            self.addCleanup(subprocess.run, ["umount", "-l", self.directory], check=True)
        return done.returncode == 0

    def start_aggregator(self):
        process = subprocess.Popen([NOWCAST, "log_aggregator", "nowcast.yaml"], cwd=self.directory)
        self.running.append(process)
        return process

    def start_writer(self, name, lines, pause_ms):
        process = subprocess.Popen([LOG_DEMO, "nowcast.yaml", name, "normal"], cwd=self.directory,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.running.append(process)
        process.stdin.write(json.dumps(["numbered", name, lines, pause_ms]).encode() + b"\n")
        process.stdin.close()
        return process

    def rotate(self):
        done = subprocess.run([NOWCAST, "rotate_logs", "nowcast.yaml", "--debug"], cwd=self.directory,
                              capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        return done.returncode == 0

    def wait_for_empty_spool(self):
        end = time.monotonic() + DEADLINE_S
        while os.listdir(self.path("state/log-spool")):
            self.assertLess(time.monotonic(), end, "the spool is not taken")
            time.sleep(0.05)

    def wait_until_it_awaits_term(self, pid):
        end = time.monotonic() + DEADLINE_S
        while True:
            with open(f"/proc/{pid}/status", encoding="utf-8") as status:
                masks = [int(line.split()[1], 16) for line in status if line.startswith(("SigBlk:", "SigCgt:"))]
            if any(mask >> (signal.SIGTERM - 1) & 1 for mask in masks):
                return
            self.assertLess(time.monotonic(), end, "the aggregator does not await a SIGTERM")
            time.sleep(0.01)

    def begin_to_read(self):
        """seen: {writer: the next number}; lost: {writer: lines that were counted as lost}."""
        self.seen, self.lost, self.others = {}, {}, []

    def rotated(self):
        """Names, the oldest first."""
        names = [name for name in os.listdir(self.directory) if re.fullmatch(r"nowcast\.log\.\d+", name)]
        return sorted(names, key=lambda name: -int(name.rpartition(".")[2]))

    def read_file(self, name):
        """Each line is whole, and follows the one before it."""
        seen, lost = self.seen, self.lost
        with open(self.path(name), "rb") as opened:
            for line in opened:
                match = LINE.fullmatch(line)
                if match:
                    writer, number = match[1].decode(), int(match[2])
                    self.assertEqual(number, seen.get(writer, 0), f"in {name}: {line[:80]}")
                    self.assertEqual(match[4][0], ord("a") + number % 26, line[:80])
                    seen[writer] = number + 1
                    continue
                match = LOST.fullmatch(line)
                if match:
                    # The count says exactly which number follows.
                    writer = match[1].decode()
                    seen[writer] = seen.get(writer, 0) + int(match[2])
                    lost[writer] = lost.get(writer, 0) + int(match[2])
                else:
                    self.others.append(line)

    def read_old_files(self):
        for name in self.rotated()[:-KEPT]:
            self.read_file(name)
            os.unlink(self.path(name))

    def read_rest(self):
        for name in [*self.rotated(), "nowcast.log"]:
            self.read_file(name)
        for line in self.others:
            self.assertRegex(line, rb"^\S+ \S+ [A-Z]+ \[log_aggregator\] .*\n$", "a line that nobody made")

    def test_writers_rotations_kills_and_a_full_disk(self):
        has_disk = self.mount()
        self.prepare()
        aggregator = [self.start_aggregator()]
        writers = [self.start_writer(f"w{number}", LINES, PAUSE_MS) for number in range(WRITERS)]
        made = [0] * WRITERS
        drains = [threading.Thread(target=self.count, args=(writer, made, number))
                  for number, writer in enumerate(writers)]
        for drain in drains:
            drain.start()
        seed = int(os.environ.get("NOWCAST_TEST_SEED", time.time()))
        print(f"seed {seed}", flush=True)
        dice = random.Random(seed)
        rotations = kills = full_times = 0
        full_s = 0.0
        self.begin_to_read()
        # All that happens meanwhile, spread over the time that the writers take.
        begin = time.monotonic()
        writing_s = LINES / 100 * PAUSE_MS / 1000
        while rotations < ROTATIONS or kills < KILLS or any(writer.poll() is None for writer in writers):
            self.assertLess(time.monotonic() - begin, DEADLINE_S, "it takes too long")
            part = (time.monotonic() - begin) / writing_s
            if rotations < ROTATIONS * part * 1.2 and self.rotate():
                rotations += 1
                if FACTOR > 1:
                    self.read_old_files()  # else there is room for all of them
            if kills < KILLS * part * 1.2:
                aggregator[0].kill()
                aggregator[0].wait()
                kills += 1
                time.sleep(dice.random() * 0.1)  # how long it is away
                aggregator[0] = self.start_aggregator()
            if has_disk and full_times < FULL_TIMES and part > (full_times + 0.15) / FULL_TIMES:
                full_s += self.fill_disk(made, aggregator)
                full_times += 1
            time.sleep(dice.random() * 0.05)
        for writer, drain in zip(writers, drains):
            drain.join()
            self.assertEqual(writer.wait(), 0)
        self.wait_for_empty_spool()
        # It may have been started only just now; before it awaits the signal, that ends it.
        self.wait_until_it_awaits_term(aggregator[0].pid)
        aggregator[0].send_signal(signal.SIGTERM)
        self.assertEqual(aggregator[0].wait(DEADLINE_S), 0)
        self.read_rest()
        lost = self.lost
        print(f"{WRITERS} writers, {LINES} lines each, {rotations} rotations, {kills} kills, disk full {full_times} times "
              f"for {full_s:.1f} s, lost and counted: {lost}", flush=True)
        self.assertEqual(self.seen, {f"w{number}": LINES for number in range(WRITERS)})
        self.assertGreaterEqual(rotations, ROTATIONS)
        self.assertGreaterEqual(kills, KILLS)
        if not has_disk:
            self.assertEqual(lost, {})
            self.skipTest("no tmpfs can be mounted here: the full disk was left out")
        self.assertGreater(sum(lost.values()), 0, "the full disk cost nothing: it was not full")

    @staticmethod
    def count(writer, made, number):
        for line in writer.stdout:
            made[number] = int(line)

    def fill_disk(self, made, aggregator):
        """Until not a byte more fits, and the spools are full too; with a kill in between. How long that was."""
        with open(self.path("filler"), "wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(b"x" * 65536)
        with open(self.path("filler"), "ab", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(b"x")
        begin = time.monotonic()
        # A spool file has 4 MB at most: so many lines do not fit into what they have.
        goals = [min(LINES, count + 6000) for count in made]
        killed = False
        while any(count < goal for count, goal in zip(made, goals)):
            self.assertLess(time.monotonic() - begin, DEADLINE_S, "the writers stand still at a full disk")
            if not killed and time.monotonic() - begin > 1:
                aggregator[0].kill()
                aggregator[0].wait()
                aggregator[0] = self.start_aggregator()
                killed = True
            time.sleep(0.05)
        os.unlink(self.path("filler"))
        return time.monotonic() - begin

    def test_forty_workers_that_end_at_once_and_one_that_is_killed(self):
        lines = 10000
        self.prepare()
        self.start_aggregator()
        workers = [self.start_writer(f"w{number}", lines, 0) for number in range(40)]
        killed = self.start_writer("w40", 1000000, 1)
        returned = [killed.stdout.readline() for _ in range(20)][-1]
        killed.kill()
        returned = int((killed.stdout.read().splitlines() or [returned])[-1])
        for worker in workers:
            worker.stdout.read()
            self.assertEqual(worker.wait(), 0)
        self.wait_for_empty_spool()
        self.begin_to_read()
        self.read_rest()
        self.assertEqual(self.lost, {})
        self.assertGreaterEqual(self.seen.pop("w40"), returned)
        self.assertEqual(self.seen, {f"w{number}": lines for number in range(40)})


if __name__ == "__main__":
    unittest.main(verbosity=2)
