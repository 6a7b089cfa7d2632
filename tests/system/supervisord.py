#!/usr/bin/python3
"""examples/toy/supervisord.ini under a supervisord of its own: directory, socket and pid file are in a
temporary directory.

usage: supervisord.py NOWCAST [unittest arguments]         (exit status 77: there is no supervisord here)
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

NOWCAST = os.environ["NOWCAST_TEST_BINARY"] = os.path.abspath(sys.argv.pop(1))

import harness  # needs to know the binary

TOY = pathlib.Path(__file__).resolve().parents[2] / "examples/toy"
DAEMONS = ["message_broker", "manager", "scheduler"]
DEADLINE_S = 30


def wait_for(condition, what):
    """Until condition() is true: its value."""
    return harness.wait_until(condition, what, DEADLINE_S)


def exists(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


class Supervisord(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="nowcast supervisord ", dir="/tmp")
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name)
        for name in ("nowcast.yaml", "next_workers.yaml", "supervisord.ini"):
            shutil.copy(TOY / name, self.directory)
        self.logs = self.directory / "logs"
        self.logs.mkdir()
        (self.directory / "bin").mkdir()
        (self.directory / "bin/nowcast").symlink_to(NOWCAST)
        self.environment = dict(os.environ, NOWCAST_LOGS=str(self.logs),
                                NOWCAST_YAML=str(self.directory / "nowcast.yaml"),
                                PATH=f"{self.directory}/bin:{os.environ['PATH']}")
        # supervisord is a Python program, and our own supervisor.py would be its package.
        self.environment.pop("PYTHONPATH", None)
        self.supervisord = subprocess.Popen(
            ["supervisord", "--nodaemon", "-c", "supervisord.ini"], cwd=self.directory, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        self.addCleanup(self.end)

    def end(self):
        """supervisord ends its programs when it is ended."""
        if self.supervisord.poll() is None:
            self.supervisord.send_signal(signal.SIGTERM)
        self.supervisord.wait(DEADLINE_S)

    def ctl(self, *arguments):
        done = subprocess.run(["supervisorctl", "-c", "supervisord.ini", *arguments], cwd=self.directory,
                              env=self.environment, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE_S, check=False)
        return done.stdout

    def processes(self):
        """{name: process id} of the programs that are RUNNING."""
        lines = (line.split() for line in self.ctl("status").splitlines())
        return {words[0]: int(words[3].rstrip(",")) for words in lines
                if len(words) > 3 and words[1] == "RUNNING"}

    def all_run(self):
        processes = self.processes()
        return processes if sorted(processes) == sorted(DAEMONS) else None

    def run_worker(self, *arguments):
        return subprocess.run([NOWCAST, *arguments], env=self.environment, text=True, capture_output=True,
                              timeout=DEADLINE_S, check=False)

    def test_its_daemons_run_in_order_work_are_restarted_and_end(self):
        before = wait_for(self.all_run, "RUNNING of all programs")
        spawned = [line.split("'")[1] for line in (self.logs / "supervisord.log").read_text().splitlines()
                   if "spawned: '" in line]
        self.assertEqual(spawned, DAEMONS)

        done = self.run_worker("sleep", self.environment["NOWCAST_YAML"], "--sleep-time", "0")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        checklist = self.logs / "nowcast_checklist.yaml"
        wait_for(lambda: checklist.exists() and "awoke: true" in checklist.read_text(), "awaken has reported")

        os.kill(before["manager"], signal.SIGKILL)
        after = wait_for(lambda: (now := self.all_run()) and now["manager"] != before["manager"] and now,
                         "a new manager")
        self.assertEqual({name: after[name] for name in ("message_broker", "scheduler")},
                         {name: before[name] for name in ("message_broker", "scheduler")})
        done = self.run_worker("clear_checklist", self.environment["NOWCAST_YAML"])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        wait_for((self.logs / "nowcast.log.1").exists, "rotated log files")

        self.assertIn("Shut down", self.ctl("shutdown"))
        self.assertEqual(self.supervisord.wait(DEADLINE_S), 0)
        self.assertEqual([name for name, process in after.items() if exists(process)], [])
        stopped = [line.split()[4] for line in (self.logs / "supervisord.log").read_text().splitlines()
                   if " stopped: " in line]
        self.assertEqual(stopped, DAEMONS[::-1])
        self.assertIn("[manager]", (self.logs / "manager.out").read_text())

    def test_no_port_is_opened(self):
        processes = wait_for(self.all_run, "RUNNING of all programs")
        sockets = set()
        for process in [*processes.values(), self.supervisord.pid]:
            for descriptor in pathlib.Path(f"/proc/{process}/fd").iterdir():
                target = os.readlink(descriptor)
                if target.startswith("socket:["):
                    sockets.add(target[8:-1])
        self.assertTrue(sockets)
        for table in ("tcp", "tcp6", "udp", "udp6"):
            path = pathlib.Path("/proc/net", table)
            lines = path.read_text().splitlines()[1:] if path.exists() else []
            self.assertEqual([line for line in lines if line.split()[9] in sockets], [])


if __name__ == "__main__":
    if shutil.which("supervisord") is None or shutil.which("supervisorctl") is None:
        print("skipped: there is no supervisord here (Debian: apt-get install supervisor)")
        sys.exit(77)
    unittest.main()
