#!/usr/bin/python3
"""examples/toy/run, as a newcomer runs it, with a binary that is built already.

usage: toy.py NOWCAST [unittest arguments]
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

NOWCAST = os.environ["NOWCAST_TEST_BINARY"] = os.path.abspath(sys.argv.pop(1))

import harness  # needs to know the binary

RUN = pathlib.Path(__file__).resolve().parents[2] / "examples/toy/run"
DEADLINE_S = 60


def wait_for(condition, what):
    """Until condition() is true: its value."""
    return harness.wait_until(condition, what, DEADLINE_S)


def processes_in(directory):
    """The processes of the binary that work in a directory or below it: {process id: command line}."""
    found = {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            cwd = os.readlink(process / "cwd")
            command = (process / "cmdline").read_bytes().split(b"\0")
            ended = (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if cwd.startswith(str(directory) + "/") and not ended and b"nowcast.yaml" in b" ".join(command):
            found[int(process.name)] = b" ".join(command).decode()
    return found


class Toy(unittest.TestCase):
    def setUp(self):
        # A name with a blank in it, as some people have.
        temporary = tempfile.TemporaryDirectory(prefix="toy test ", dir="/tmp")
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name)
        self.environment = dict(os.environ, TMPDIR=temporary.name, NOWCAST_BINARY=NOWCAST)
        self.environment.pop("NOWCAST_LOGS", None)
        self.addCleanup(self.end_all)

    def end_all(self):
        for process in processes_in(self.directory):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def run_toy(self, *arguments):
        return subprocess.run(["sh", str(RUN), *arguments], cwd="/", env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=DEADLINE_S, check=False)

    def assert_in_order(self, text, parts):
        at = 0
        for part in parts:
            found = text.find(part, at)
            self.assertGreaterEqual(found, 0, f"not there, or not in its place: {part}\n{text}")
            at = found

    def assert_nothing_runs(self):
        wait_for(lambda: not processes_in(self.directory), "the end of all that was started")

    def test_each_step_is_seen_and_all_is_stopped(self):
        done = self.run_toy()
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assert_in_order(done.stdout, [
            "Starting a nowcast system", "all 3 daemons are ready", "nowcast sleep nowcast.yaml --sleep-time 2",
            "slept for 2 seconds", "The checklist holds", "sleep time: 2", "awoke: true", "Ending the day",
            "nowcast system checklist cleared", "the log so far is in nowcast.log.1", "log files:",
            "logs/nowcast.log", "Stopping the system", "All steps were seen: the toy works.",
            "What to try next"])
        for line in ("[manager] launching awaken", "[awaken] awoke", "[manager] launching rotate_logs",
                     "[rotate_logs] log files rotated", "message_broker ended: exit status 0"):
            self.assertIn(line, done.stdout)
        self.assertNotIn("Building", done.stdout)
        self.assertNotIn("Installing", done.stdout)
        self.assert_nothing_runs()
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_keep_leaves_it_running_and_says_how_to_stop_it(self):
        done = self.run_toy("--keep")
        self.assertEqual(done.returncode, 0, done.stdout)
        wait_for(lambda: sorted(command.split()[1] for command in processes_in(self.directory).values())
                 == ["manager", "message_broker", "scheduler", "supervisor"], "the daemons, and nothing else")
        commands = re.findall(r"^     (.*)$", done.stdout, re.MULTILINE)
        export = next(command for command in commands if command.startswith("export "))
        move = next(command for command in commands if command.startswith("cd "))
        work = next(command for command in commands if command.endswith(" sleep nowcast.yaml"))
        show = next(command for command in commands if command.startswith("cat "))
        stop = next(command for command in commands if command.startswith("kill "))
        remove = next(command for command in commands if command.startswith("rm "))
        # What it says is what a person would paste.
        worked = subprocess.run(["sh", "-euc", f"{move}\n{export}\n{work} --sleep-time 0\n{show}"],
                                text=True, capture_output=True, timeout=DEADLINE_S, check=False)
        self.assertEqual(worked.returncode, 0, worked.stderr)
        # The file is at most a second behind.
        wait_for(lambda: "sleep time: 0" in subprocess.run(
            ["sh", "-euc", f"{move}\n{show}"], text=True, capture_output=True, timeout=DEADLINE_S, check=True).stdout,
                 "the checklist shows it")
        # A worker that has not reported yet outlives the system, and goes on trying.
        checklist = next(self.directory.glob("nowcast-toy-*")) / "logs/nowcast_checklist.yaml"
        wait_for(lambda: "awoke: true" in checklist.read_text(), "awaken has reported")
        wait_for(lambda: len(processes_in(self.directory)) == 4, "the end of awaken")
        subprocess.run(["sh", "-c", stop], check=True)
        self.assert_nothing_runs()
        subprocess.run(["sh", "-c", remove], check=True)
        self.assertEqual(list(self.directory.iterdir()), [])

    def interrupted(self, signo, victim):
        """Run it, send a signal to the script or to the supervisor while sleep sleeps: its status and words."""
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(["sh", str(RUN)], env=self.environment, stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=subprocess.STDOUT)
            try:
                def by_name():
                    found = {command.split()[1]: number for number, command
                             in processes_in(self.directory).items()}
                    return found if "sleep" in found else None

                found = wait_for(by_name, "sleep runs")
                os.kill(process.pid if victim == "script" else found[victim], signo)
                status = process.wait(DEADLINE_S)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            output.seek(0)
            return status, output.read()

    def test_a_script_that_is_ended_stops_the_system(self):
        status, words = self.interrupted(signal.SIGTERM, "script")
        self.assertEqual(status, 143, words)
        self.assert_nothing_runs()

    def test_a_killed_supervisor_fails_a_step_and_leaves_no_daemon(self):
        status, words = self.interrupted(signal.SIGKILL, "supervisor")
        self.assertEqual(status, 1, words)
        self.assertIn("The toy has failed. Step: ", words)
        self.assertIn("The supervisor has ended.", words)
        self.assert_nothing_runs()

    def test_a_binary_that_fails_is_named_with_its_step_and_its_words(self):
        fake = self.directory / "nowcast"
        fake.write_text("#!/bin/sh\necho 'out of order'\nexit 70\n")
        fake.chmod(0o755)
        self.environment["NOWCAST_BINARY"] = str(fake)
        done = self.run_toy()
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("out of order", done.stdout)
        self.assertIn("The toy has failed. Step: start the system.", done.stdout)

    def fake_program(self, name, script):
        path = self.directory / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)
        self.environment["PATH"] = f"{path.parent}:{os.environ['PATH']}"
        self.environment.pop("NOWCAST_BINARY", None)

    def test_only_missing_packages_are_installed(self):
        self.fake_program("dpkg-query", 'case $* in *libnng-dev*) exit 1 ;; esac; echo "install ok installed"\n')
        self.fake_program("apt-get", 'echo "apt-get $*"; [ "$1" = update ]\n')
        self.fake_program("sudo", 'exec "$@"\n')
        done = self.run_toy()
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("Installing what the build needs: libnng-dev \n", done.stdout)
        self.assertIn("apt-get install -y --no-install-recommends libnng-dev\n", done.stdout)
        self.assertIn("Step: install packages. apt-get could not install: libnng-dev", done.stdout)

    def test_help_and_a_wrong_option(self):
        helped = self.run_toy("-h")
        self.assertEqual(helped.returncode, 0)
        self.assertIn("--keep", helped.stdout)
        wrong = self.run_toy("--kept")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("usage: ", wrong.stdout)

    def test_check_has_nothing_to_say_about_its_configuration(self):
        environment = dict(self.environment, NOWCAST_LOGS=str(self.directory))
        done = subprocess.run([NOWCAST, "check", "--strict", str(RUN.parent / "nowcast.yaml")],
                              env=environment, text=True, capture_output=True, timeout=DEADLINE_S, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("0 errors, 0 warnings", done.stdout)


class TryThis(unittest.TestCase):
    """What the comments of the two files invite to, is right."""

    def test_what_is_commented_out_passes_check(self):
        with tempfile.TemporaryDirectory(prefix="nowcast-toy-") as directory:
            for name, first in (("nowcast.yaml", "# scheduled workers:"), ("next_workers.yaml", "# rotate_logs:")):
                before, found, after = (RUN.parent / name).read_text().partition(first)
                self.assertTrue(found, f"{name} invites to nothing")
                invited = "".join(line.removeprefix("# ") for line in (found + after).splitlines(True))
                pathlib.Path(directory, name).write_text(before + invited)
            done = subprocess.run([NOWCAST, "check", "--strict", f"{directory}/nowcast.yaml"],
                                  env=dict(os.environ, NOWCAST_LOGS=directory), text=True,
                                  capture_output=True, timeout=DEADLINE_S, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertNotIn("rule-not-yet", done.stdout)


if __name__ == "__main__":
    unittest.main()
