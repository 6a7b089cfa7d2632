#!/usr/bin/python3
"""nowcast log, and the log of each launch."""
import json
import os
import re
import subprocess
import time
import unittest

import harness
from harness import NOWCAST, wait_until

PROGRAM = """\
import sys, time
print("out of", sys.argv[2], flush=True)
print("bad of", sys.argv[2], file=sys.stderr, flush=True)
"""


class Follower:
    """`nowcast log -f ...`; what it has shown so far."""

    def __init__(self, test, *arguments):
        self.file = test.system.path(f"shown.{len(test.system.processes)}")
        with open(self.file, "wb") as output:
            self.popen = subprocess.Popen([NOWCAST, "log", test.system.path("nowcast.yaml"), "-f", *arguments],
                                          cwd=test.system.directory, stdout=output, stderr=subprocess.STDOUT)
        test.addCleanup(self.end)

    def shown(self):
        with open(self.file, encoding="utf-8") as opened:
            return opened.read()

    def wait_for(self, pattern):
        wait_until(lambda: re.search(pattern, self.shown(), re.MULTILINE), f"{pattern} shown", explain=self.shown)

    def end(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()


class LogStory(harness.Story):
    def show(self, *arguments, status=0, **environment):
        done = self.system.run("log", *arguments, environment=environment)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout.splitlines() if status == 0 else done.stderr

    def append(self, text, name="nowcast.log"):
        with open(self.system.path(name), "a", encoding="utf-8") as opened:
            opened.write(text)


def line(number, level="INFO", logger="sleep", hour=4):
    return f"2026-11-24 {hour:02}:00:00,{number:03} {level} [{logger}] line {number}\n"


class System(LogStory):
    def test_old_files_come_first_also_compressed_ones(self):
        for name, number in (("nowcast.log.3", 1), ("nowcast.log.2", 2), ("nowcast.log.1", 3), ("nowcast.log", 4)):
            self.append(line(number), name)
        subprocess.run(["gzip", self.system.path("nowcast.log.3")], check=True)
        self.assertEqual("".join(text + "\n" for text in self.show()), line(1) + line(2) + line(3) + line(4))
        self.assertEqual(self.show("-n", "2"), [line(3).strip(), line(4).strip()])

    def test_filters(self):
        self.append(line(1, "DEBUG") + line(2, "WARNING", "sleep.part") + "  more of it\n" + line(3, "ERROR", "manager") +
                    line(4, "INFO", "sleepy", hour=5))
        numbers = lambda *options: [int(text.split()[-1]) for text in self.show(*options) if "line" in text]
        self.assertEqual(numbers("--worker", "sleep"), [1, 2])
        self.assertEqual(numbers("--level", "WARNING"), [2, 3])
        self.assertEqual(numbers("--grep", "[manager]"), [3])
        self.assertEqual(numbers("--since", "2026-11-24 04:30"), [4])
        self.assertEqual(numbers("manager"), [3])
        self.assertIn("  more of it", self.show("--level", "WARNING"))
        self.assertNotIn("  more of it", self.show("--level", "ERROR"))

    def test_since_a_while_ago(self):
        self.append(line(1))
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        self.append(f"{now},000 INFO [sleep] now\n")
        self.assertEqual(self.show("--since", "2h"), [f"{now},000 INFO [sleep] now"])

    def test_json(self):
        self.append(line(1, "ERROR") + "and more\n")
        self.assertEqual([json.loads(text) for text in self.show("--json")], [
            {"time": "2026-11-24 04:00:00,001", "level": "ERROR", "logger": "sleep", "message": "line 1"},
            {"time": "2026-11-24 04:00:00,001", "level": "ERROR", "logger": "sleep", "message": "and more"}])

    def test_colours_on_a_terminal_only(self):
        self.append(line(1, "ERROR") + line(2))
        self.assertNotIn("\033", "".join(self.show()))
        command = f"{NOWCAST} log {self.system.path('nowcast.yaml')}"

        def on_terminal(**environment):
            return subprocess.run(["script", "-qec", command, "/dev/null"], cwd=self.system.directory, check=True,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  env={**self.system.environment, **environment}).stdout

        self.assertIn("\033[31m" + line(1, "ERROR").strip() + "\033[0m", on_terminal(NO_COLOR=""))
        self.assertNotIn("\033[31m" + line(2).strip(), on_terminal(NO_COLOR=""))
        self.assertNotIn("\033", on_terminal(NO_COLOR="1"))

    def test_it_follows_across_rotation(self):
        self.append("".join(line(number) for number in range(30)))
        follower = Follower(self)
        follower.wait_for("line 29$")
        self.assertEqual(len(follower.shown().splitlines()), 10)
        for number in range(30, 130):
            self.append(line(number))
            if number % 40 == 0:
                follower.wait_for(f"line {number}$")  # more rotations than there are files would be too many
            if number % 10 == 0:
                self.assertEqual(self.system.run("rotate_logs", "--debug").returncode, 0)
        follower.wait_for("line 129$")
        numbers = [int(text.split()[-1]) for text in follower.shown().splitlines() if "[sleep]" in text]
        self.assertEqual(numbers, list(range(20, 130)))

    def test_a_file_that_comes_later_is_followed(self):
        follower = Follower(self, "--level", "WARNING")
        self.append(line(1))
        self.append("2026-11-24 04:00:01,000 WARN")
        self.append("ING [sleep] in two parts\n")
        follower.wait_for("WARNING .sleep. in two parts$")
        self.assertEqual(len(follower.shown().splitlines()), 1)

    def test_what_is_wrong_is_said(self):
        self.assertIn("--since takes a time", self.show("--since", "soon", status=2))
        self.assertIn("did you mean sleep?", self.show("slep", status=4))
        self.assertIn("one name at a time", self.system.run("log", "sleep", "awaken", config=False).stderr)
        self.system.configure(logging={"version": 1, "root": {"level": "INFO"}})
        self.assertIn("there is no log file", self.show(status=4))


class Launches(LogStory):
    def setUp(self):
        super().setUp()
        self.system.write("program.py", PROGRAM)
        self.system.configure(
            workers={"printer": {"success": "printed", "failure": "not printed", "crash": "crashed"}},
            programs={"printer": {"command": ["python3", "program.py"]}})

    def launch_ids(self):
        return sorted(os.listdir(self.system.path("state/launches")))

    def test_each_launch_has_a_log_of_its_own(self):
        self.system.start_all()
        for argument in ("one", "two"):
            self.assertEqual(self.system.run("printer", argument).returncode, 0)
        self.assertEqual(self.system.run("sleep", "--sleep-time", "0").returncode, 0)
        self.assertEqual(len(self.launch_ids()), 3)
        both = "\n".join(self.show("printer"))
        for argument in ("one", "two"):
            self.assertRegex(both, rf"INFO \[printer\] out of {argument}\n")
            self.assertRegex(both, rf"WARNING \[printer\] bad of {argument}\n")
        self.assertNotIn("[sleep]", both)
        latest = "\n".join(self.show("printer@latest"))
        self.assertIn("out of two", latest)
        self.assertNotIn("out of one", latest)
        first = self.launch_ids()[0]
        self.assertIn("out of one", "\n".join(self.show(first)))
        self.assertIn("DEBUG [printer]", "\n".join(self.show(first)))
        self.assertIn("more of it", self.show(first[:4], status=2))
        self.assertIn("slept for 0 seconds", "\n".join(self.show("sleep", "--level", "INFO")))

    def test_a_worker_is_followed_from_launch_to_launch(self):
        self.system.start_all()
        follower = Follower(self, "printer")
        for argument in ("one", "two", "three"):
            self.assertEqual(self.system.run("printer", argument).returncode, 0)
            follower.wait_for(rf"out of {argument}$")
        self.assertEqual(len(re.findall("out of ", follower.shown())), 3)

    def test_following_one_launch_ends_with_it(self):
        self.system.start_all()
        self.assertEqual(self.system.run("printer", "one").returncode, 0)
        follower = Follower(self, "printer@latest")
        self.assertEqual(follower.popen.wait(harness.DEADLINE_S), 0)
        self.assertIn("out of one", follower.shown())

    def test_rotate_logs_removes_old_ones(self):
        self.system.start_all()
        for argument in ("one", "two"):
            self.assertEqual(self.system.run("printer", argument).returncode, 0)
        old, new = self.launch_ids()
        month_ago = time.time() - 31 * 86400
        os.utime(self.system.path(f"state/launches/{old}/printer.log"), (month_ago, month_ago))
        self.assertEqual(self.system.run("rotate_logs", "--only", "log").returncode, 0)
        self.assertIn(old, self.launch_ids())
        self.assertEqual(self.system.run("rotate_logs").returncode, 0)
        self.assertNotIn(old, self.launch_ids())
        self.assertIn(new, self.launch_ids())


if __name__ == "__main__":
    unittest.main(verbosity=2)
