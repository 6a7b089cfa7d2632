"""What the stories about a running system share.

NOWCAST_TEST_BINARY names the program. A System is a directory of its own with a configuration, the processes
that were started for it, and what they have written:

    class Chain(harness.Story):
        def test_awaken_follows_sleep(self):
            self.system.configure(rules={"sleep": [{"on": "success", "launch": "awaken"}]})
            self.system.start_all()
            self.system.run("sleep", "--sleep-time", "1")
            self.system.wait_for_line(r"\\[awaken\\] .*awoke")

Everything waits for an event, with a deadline. Only processes that belong to the directory are ever ended.
"""
import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import textwrap
import threading
import time
import unittest

import yaml

NOWCAST = os.path.abspath(os.environ["NOWCAST_TEST_BINARY"])
DEADLINE_S = float(os.environ.get("NOWCAST_TEST_DEADLINE_S", "30"))
DAEMONS = ("message_broker", "manager", "scheduler")

WORKERS = {
    "sleep": {
        "checklist key": "sleepyhead",
        "success": "sleep worker slept well",
        "failure": "sleep worker slept badly",
        "crash": "sleep worker crashed",
    },
    "awaken": {
        "checklist key": "sleepyhead",
        "success": "awaken worker awoke",
        "failure": "awaken worker failed to awaken",
        "crash": "awaken worker crashed",
    },
    "clear_checklist": {
        "clear checklist": "request that manager clear system state checklist",
        "success": "nowcast system checklist cleared",
        "failure": "failed to clear nowcast system checklist",
        "crash": "clear_checklist worker crashed",
    },
    "rotate_logs": {
        "checklist key": "log rotation",
        "success": "log files rotated",
        "failure": "failed to rotate log files",
        "crash": "rotate_logs worker crashed",
    },
}

MANAGER_TYPES = {
    "ack": "message acknowledged",
    "checklist cleared": "system checklist cleared",
    "unregistered worker": "ERROR - message received from unregistered worker",
    "unregistered message type": "ERROR - unregistered message type received from worker",
}


def wait_until(condition, what, seconds=DEADLINE_S, explain=None):
    """Until condition() is true: its value. `explain()`: what else to say when it never is."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            break
        time.sleep(0.01)
    raise AssertionError(f"not seen within {seconds} s: {what}" + (f"\n{explain()}" if explain else ""))


def is_running(pid):
    """Is there such a process, and not as a zombie?"""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_processes():
    """[(process id, state letter, parent)] of this machine."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as stat:
                    state, parent = stat.read().rpartition(") ")[2].split()[:2]
                found.append((int(name), state, int(parent)))
    return found


def children_of(pid):
    """{process id: state letter} of its children, zombies too."""
    return {child: state for child, state, parent in all_processes() if parent == pid}


def zombies():
    """{process id: parent}"""
    return {pid: parent for pid, state, parent in all_processes() if state == "Z"}


class Door:
    """One end of a connection to a local door: each frame behind its length, four bytes in network order."""

    def __init__(self, connected):
        self.socket = connected

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(struct.pack("!I", len(data)) + data)

    def receive(self):
        """The bytes of one frame; ConnectionError when the other side has closed."""
        (size,) = struct.unpack("!I", self._exactly(4))
        return self._exactly(size)

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError(f"closed after {len(data)} of {count} bytes")
            data += part
        return data


class DoorClient(Door):
    def __init__(self, path, seconds=DEADLINE_S):
        super().__init__(socket.socket(socket.AF_UNIX))
        self.socket.settimeout(seconds)
        try:
            self.socket.connect(path)
        except OSError:
            self.close()
            raise

    def ask(self, message):
        """Send a message (a mapping, a text or bytes), and read the reply."""
        if not isinstance(message, (str, bytes)):
            message = yaml.safe_dump(message)
        self.send(message.encode() if isinstance(message, str) else message)
        return yaml.safe_load(self.receive())


class DoorServer:
    """Plays a daemon at its local door. `answer(message)` gives the reply to each message: a mapping; None:
    silence; "close": the connection is closed. `received` has all messages so far."""

    def __init__(self, path, answer):
        self.answer = answer
        self.received = []
        self.doors = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                self.doors.append(Door(self.socket.accept()[0]))
                threading.Thread(target=self._talk, args=(self.doors[-1],), daemon=True).start()

    def _talk(self, door):
        with contextlib.suppress(OSError), door:
            while True:
                message = yaml.safe_load(door.receive())
                self.received.append(message)
                reply = self.answer(message)
                if reply == "close":
                    return
                if reply is not None:
                    door.send(yaml.safe_dump({"source": "manager", "payload": None, **reply}).encode())

    def close(self):
        for opened in (self.socket, *(door.socket for door in self.doors)):
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)  # wakes its thread up
            opened.close()


class Process:
    """A daemon (or whatever else runs on) that was started for a System. Its output goes to a file."""

    def __init__(self, system, arguments, environment=None, wait=True, **keywords):
        self.system = system
        self.name = arguments[0]
        self.output_file = system.path(f"{self.name}.{len(system.processes)}.out")
        reader, writer = os.pipe()
        with open(self.output_file, "wb") as output:
            self.popen = subprocess.Popen(
                [keywords.pop("program", NOWCAST), *arguments], cwd=system.directory, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, pass_fds=[writer],
                env={**system.environment, **(environment or {}), "NOWCAST_READY_FD": str(writer)}, **keywords)
        os.close(writer)
        os.set_blocking(reader, False)
        self.ready_fd = reader
        self.said = b""
        system.processes.append(self)
        if wait:
            self.wait_ready()

    @property
    def pid(self):
        return self.popen.pid

    def output(self):
        with open(self.output_file, encoding="utf-8", errors="replace") as file:
            return file.read()

    def is_ready(self):
        with contextlib.suppress(BlockingIOError):
            self.said += os.read(self.ready_fd, 4096)
        return b"ready\n" in self.said

    def wait_ready(self, seconds=DEADLINE_S):
        def look():
            if self.is_ready():
                return True
            if self.popen.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.popen.returncode} before it was ready:\n"
                                     f"{self.output()}\n{self.system.tail()}")
            return False
        wait_until(look, f"{self.name} is ready", seconds, self.system.tail)

    def send_signal(self, signo):
        self.popen.send_signal(signo)

    def wait(self, seconds=DEADLINE_S):
        """Its exit status (-N: ended by signal N)."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} (process {self.pid}) did not end within {seconds} s\n"
                                 f"{self.system.tail()}") from None

    def stop(self, signo=signal.SIGTERM):
        self.send_signal(signo)
        return self.wait()

    def close(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.terminate()
            try:
                self.popen.wait(15)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        if self.ready_fd >= 0:
            os.close(self.ready_fd)
            self.ready_fd = -1


class System:
    """A directory with nowcast.yaml and next_workers.yaml, and what runs there."""

    def __init__(self, directory=None, **configuration):
        """`directory`: one that is there, with all that is in it; it is neither configured nor removed."""
        self.processes = []
        self.environment = {name: value for name, value in os.environ.items()
                            if name not in ("NOWCAST_YAML", "NOWCAST_READY_FD")}
        self.temporary = None
        if directory is not None:
            self.directory = directory
            return
        # The names of sockets must be short.
        parent = os.environ.get("TMPDIR", "/tmp")
        self.temporary = tempfile.TemporaryDirectory(
            prefix="nowcast-test-", dir=parent if len(parent) < 50 else "/tmp")
        self.directory = os.path.realpath(self.temporary.name)
        self.configure(**configuration)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- files ---

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text, mode=0o644):
        """Replaces a file at once, as an editor does."""
        with open(self.path(f"{name}.new"), "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text))
        os.chmod(self.path(f"{name}.new"), mode)
        os.rename(self.path(f"{name}.new"), self.path(name))

    def read(self, name):
        """The text of a file; empty when there is none."""
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def configure(self, workers=None, rules=None, programs=None, schedules=None, distributed=False, **sections):
        """Write nowcast.yaml and next_workers.yaml.

        workers: more entries of the message registry (None takes one away); rules: a mapping, or the text of the
        file; programs: the section `workers`; schedules: `scheduled workers`; other sections as they are.
        """
        registry = {name: entry for name, entry in {**WORKERS, **(workers or {})}.items() if entry is not None}
        self.config = {
            "checklist file": "nowcast_checklist.yaml",
            "state directory": "state",
            "logging": distributed_logging() if distributed else local_logging(),
            "message registry": {
                "manager": MANAGER_TYPES,
                "next workers module": "next_workers.yaml",
                "workers": registry,
            },
            **({"workers": programs} if programs else {}),
            **({"scheduled workers": schedules} if schedules else {}),
            **sections,
        }
        self.write("nowcast.yaml", yaml.safe_dump(self.config, sort_keys=False))
        self.write("next_workers.yaml",
                   rules if isinstance(rules, str) else yaml.safe_dump(rules or {}, sort_keys=False))

    # --- processes ---

    def start(self, name, *arguments, **keywords):
        """Start a daemon, and wait until it is ready (wait=False: do not)."""
        return Process(self, [name, self.path("nowcast.yaml"), *arguments], **keywords)

    def start_all(self, *names):
        """The daemons one after the other, without a supervisor: {name: Process}."""
        started = {name: self.start(name) for name in names or DAEMONS}
        if "manager" in started and "message_broker" in started:
            self.wait_for_line(r"\[message_broker\] the manager is connected")
        return started

    def start_supervisor(self, *arguments, **keywords):
        """The supervisor; ready when all daemons are, and the broker has the manager."""
        supervisor = self.start("supervisor", *arguments, **keywords)
        if keywords.get("wait", True):
            self.wait_for_line(r"\[message_broker\] the manager is connected")
        return supervisor

    def run(self, name, *arguments, seconds=DEADLINE_S, program=NOWCAST, config=True, **keywords):
        """Run a worker or command to its end: a subprocess.CompletedProcess with texts."""
        return subprocess.run(
            [program, name, *([self.path("nowcast.yaml")] if config else []), *arguments], cwd=self.directory,
            env={**self.environment, **keywords.pop("environment", {})}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=seconds, check=False, **keywords)

    def run_in_background(self, name, *arguments):
        return Process(self, [name, self.path("nowcast.yaml"), *arguments], wait=False)

    def pid_of(self, name):
        """The process id of a daemon that runs, as it said itself in the log; None: it does not run."""
        said = re.findall(rf" INFO \[{re.escape(name)}\] running in process (\d+)$", self.log(), re.MULTILINE)
        return int(said[-1]) if said and is_running(int(said[-1])) else None

    def own_pids(self):
        """All processes that have this directory on their command line."""
        own = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                with contextlib.suppress(OSError):
                    with open(f"/proc/{name}/cmdline", "rb") as file:
                        words = file.read().split(b"\0")
                    if any(word.startswith(self.directory.encode() + b"/") for word in words) and \
                            is_running(int(name)):
                        own.append(int(name))
        return own

    def close(self):
        for process in reversed(self.processes):
            process.close()
        # What outlives its parent: daemons of a supervisor that was killed, workers.
        for pid in self.own_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.own_pids(), "the end of all", 5)
        if self.temporary is not None:
            self.temporary.cleanup()

    # --- what they have written ---

    def log(self):
        """All lines of the log file, those of rotated ones first."""
        names = [name for name in os.listdir(self.directory) if re.fullmatch(r"nowcast\.log(\.\d+)?", name)]
        names.sort(key=lambda name: -int(name.rpartition(".")[2]) if name[-1].isdigit() else 0)
        return "".join(self.read(name) for name in names)

    def mark(self):
        """How long the log is now: for wait_for_line(after=...)."""
        return len(self.log())

    def tail(self, count=40):
        return f"--- the end of the log in {self.directory}:\n" + "\n".join(self.log().splitlines()[-count:])

    def wait_for_line(self, pattern, after=0, seconds=DEADLINE_S):
        """Until a line of the log matches: the re.Match. What was looked at is not looked at again: of a log of many
        megabytes that is more work than to write it."""
        compiled = re.compile(pattern, re.MULTILINE)
        several_lines = "(?s" in pattern or "\\n" in pattern
        place = after

        def look():
            nonlocal place
            text = self.log()
            match = compiled.search(text, place)
            if not several_lines:
                place = max(place, text.rfind("\n") + 1)
            return match
        return wait_until(look, f"a line with {pattern}", seconds, self.tail)

    def checklist(self):
        """What the file says, which is at most a second behind; absent before the first change."""
        try:
            return yaml.safe_load(self.read("nowcast_checklist.yaml")) or {}
        except FileNotFoundError:
            return {}

    def assert_checklist(self, expected, seconds=DEADLINE_S):
        wait_until(lambda: self.checklist() == expected, f"the checklist {expected}", seconds,
                   lambda: f"the checklist: {self.checklist()}\n{self.tail()}")

    def wait_for_checklist(self, key, value, seconds=DEADLINE_S):
        wait_until(lambda: self.checklist().get(key) == value, f"{key}: {value} in the checklist", seconds,
                   lambda: f"the checklist: {self.checklist()}\n{self.tail()}")

    # --- the local door of the broker ---

    def door(self, name="broker.sock", seconds=DEADLINE_S):
        return DoorClient(self.path(f"state/{name}"), seconds)

    def ask(self, message, seconds=DEADLINE_S):
        with self.door(seconds=seconds) as door:
            return door.ask(message)


def rotating(name, level, formatter="simple"):
    return {"class": "logging.handlers.RotatingFileHandler", "level": level, "formatter": formatter,
            "filename": name, "backupCount": 7}


def local_logging():
    return {
        "version": 1,
        "formatters": {"simple": {"format": "%(asctime)s %(levelname)s [%(name)s] %(message)s"}},
        "handlers": {
            "console": {"class": "logging.StreamHandler", "level": "WARNING", "formatter": "simple",
                        "stream": "ext://sys.stdout"},
            "log": rotating("nowcast.log", "DEBUG"),
            "checklist": rotating("checklist.log", "INFO"),
        },
        "loggers": {"checklist": {"level": "INFO", "propagate": False, "handlers": ["checklist"]}},
        "root": {"level": "DEBUG", "handlers": ["console", "log"]},
    }


def distributed_logging():
    """The same files, written by the log aggregator."""
    return {
        "aggregator": {
            "version": 1,
            "formatters": {"simple": {"format": "%(asctime)s %(levelname)s [%(logger_name)s] %(message)s"}},
            "handlers": {"log": rotating("nowcast.log", "DEBUG")},
            "root": {"level": "DEBUG", "handlers": ["log"]},
        },
        "publisher": {
            "version": 1,
            "formatters": {"simple": {"format": "%(asctime)s %(levelname)s [%(name)s] %(message)s"}},
            "handlers": {
                "console": {"class": "logging.StreamHandler", "level": "WARNING", "formatter": "simple",
                            "stream": "ext://sys.stdout"},
                "publisher": {"class": "zmq.log.handlers.PUBHandler", "level": "DEBUG", "formatter": "simple"},
                "checklist": rotating("checklist.log", "INFO"),
            },
            "loggers": {"checklist": {"level": "INFO", "propagate": False, "handlers": ["checklist"]}},
            "root": {"level": "DEBUG", "handlers": ["console", "publisher"]},
        },
    }


class Story(unittest.TestCase):
    """A test with a System of its own, in self.system."""

    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
