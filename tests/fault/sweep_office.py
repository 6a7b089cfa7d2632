"""The office of the sweeps: its configuration, its workers, the ledger, and what is to be known of processes.

NOWCAST_TEST_BINARY names the program, NOWCAST_TEST_TRACER the one of tests/tools/sweep_tracer.c.
"""
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import uuid

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import harness  # noqa: E402

NOWCAST = harness.NOWCAST
TRACER = os.path.abspath(os.environ["NOWCAST_TEST_TRACER"])
PARENT = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()

# --- the office ---

CLEARED = 5             # the message that clears the checklist; those before it leave nothing there
FAN_OUT = {
    "success": ["first", "second"],
    "success only": [],
    "success fail": ["failing"],
    "success crash": ["crashing"],
    "success need": ["asker"],
    "success group": ["member_a", "member_b"],
    "success tick": ["ticker"],
}
DAY = [(1, "success"), (2, "success fail"), (3, "success only"), (4, "success need"), (CLEARED, "clear"),
       (6, "success"), (7, "success crash"), (8, "success only"), (9, "late"), (10, "success group")]
TOGETHER = (6, 7, 8)    # are sent at once
NATURAL = {"failing": "failure", "crashing": "crash"}  # all others: success
CHAIN = {"first": ["third"], "failing": ["after_failure"], "member_a": ["held_a"], "member_b": ["held_b"]}
WORKERS = ["first", "second", "third", "failing", "after_failure", "crashing", "asker", "member_a", "member_b", "held_a",
           "held_b", "ticker", "after_crash", "after_lost"]

WORKER = r"""#!/bin/sh
shift
printf 'ran\t%s\t%s\t%s\t%s\t%s\n' "$NOWCAST_LAUNCH" "$NOWCAST_WORKER" "$1" "$2" "$3" >>ledger
case $NOWCAST_WORKER in
failing) exit 3 ;;
crashing) kill -KILL $$ ;;
asker)
	echo '{"need": "feed"}' >&3
	read -r answer <&3
	printf 'asked\t%s\t%s\n' "$NOWCAST_LAUNCH" "$answer" >>ledger ;;
esac
printf '{"type": "success", "payload": {"%s": "%s"}}\n' "$NOWCAST_WORKER $1 $2" "$NOWCAST_LAUNCH" >&3
printf 'end\t%s\t%s\t%s\t%s\n' "$NOWCAST_LAUNCH" "$NOWCAST_WORKER" "$1" "$2" >>ledger
"""

RULES = """\
feed:
  - on: success
    launch:
      - first <payload[n]>
      - second <payload[n]>
  - on: success fail
    launch: failing <payload[n]>
  - on: success crash
    launch: crashing <payload[n]>
  - on: success need
    launch: asker <payload[n]>
  - on: success group
    launch:
      - member_a <payload[n]>
      - member_b <payload[n]>
HOLD
  - on: success only
  - on: success tick
late: []
first:
  - on: success
    launch: third <launch[arguments][0]>
failing:
  - on: failure
    launch: after_failure <launch[arguments][0]>
  - on: success
member_a:
  - on: success
    launch: held_a <launch[arguments][0]>
member_b:
  - on: success
    launch: held_b <launch[arguments][0]>
"""
# Not by `any worker`: a report that could not be made would ask for the next one.
REPORTS = """\
  - on: crash
    launch: after_crash <launch[worker]> <launch[arguments][0]> <launch[reason]>
  - on: lost
    launch: after_lost <launch[worker]> <launch[arguments][0]>
"""
HOLD = "    hold until all have ended: [member_a, member_b]"


def rules(groups):
    text = RULES.replace("HOLD\n", HOLD + "\n" if groups else "")
    for worker in WORKERS:
        if worker.startswith("after_") and worker != "after_failure":
            continue
        if f"\n{worker}:\n" in text:
            text = text.replace(f"\n{worker}:\n", f"\n{worker}:\n{REPORTS}")
        else:
            text += f"{worker}:\n  - on: success\n{REPORTS}"
    return text


def configuration(late, schedules):
    config = {
        "checklist file": "nowcast_checklist.yaml",
        "state directory": "state",
        "logging": {
            "version": 1,
            "formatters": {"simple": {"format": "%(asctime)s %(levelname)s [%(name)s] %(message)s"}},
            "handlers": {"log": {"class": "logging.FileHandler", "level": "INFO", "formatter": "simple",
                                 "filename": "nowcast.log"}},
            "root": {"level": "INFO", "handlers": ["log"]},
        },
        "message registry": {
            "manager": harness.MANAGER_TYPES,
            "next workers module": "next_workers.yaml",
            "workers": {
                "feed": {"checklist key": "feed", "need": "a part of the checklist",
                         **{name: "new data" for name in FAN_OUT}},
                "clear_checklist": {"checklist key": None, "success": "cleared", "failure": "not cleared",
                                    "clear checklist": "clear it"},
                **{name: {"checklist key": "work", "success": "done", "failure": "not done",
                          "need": "a part of the checklist"} for name in WORKERS},
                **({"late": {"checklist key": "late", "success": "new data"}} if late else {}),
            },
        },
        "workers": {"default": {"command": ["/bin/sh", "worker.sh"]}},
        **({"scheduled workers": [{"ticker": {"every": "day", "at": "12:00", "cmd line opts": str(n)}}
                                  for n in range(1, schedules + 1)]} if schedules else {}),
    }
    return yaml.safe_dump(config, sort_keys=False)


def groups_are_there():
    """Does this program know `hold until all have ended`?"""
    with tempfile.TemporaryDirectory(prefix="nowcast-sweep-", dir=PARENT) as directory:
        write_files(directory, True)
        said = subprocess.run([NOWCAST, "check", os.path.join(directory, "nowcast.yaml")], capture_output=True,
                              text=True, check=False)
        if said.returncode != 0:
            raise AssertionError(f"the configuration of the sweep is refused:\n{said.stdout}{said.stderr}")
        return "rule-not-yet" not in said.stdout + said.stderr


def write_files(directory, groups, schedules=0):
    for name, text in (("worker.sh", WORKER), ("nowcast.yaml", configuration(False, schedules)),
                       ("next_workers.yaml", rules(groups))):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)


def make_id(rng):
    """A UUID of version 7."""
    value = (time.time_ns() // 1000000 << 80) | 0x7 << 76 | rng.getrandbits(12) << 64 | 0b10 << 62 | rng.getrandbits(62)
    return str(uuid.UUID(int=value))


class Message:
    def __init__(self, number, source, kind, payload, rng, **more):
        self.number = number
        self.id = make_id(rng)
        self.bytes = yaml.safe_dump({"source": source, "type": kind, "payload": payload, "id": self.id, **more}).encode()
        self.reply = None


# --- the ledger ---

class Ledger:
    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.size = -1
        self.ran = {}

    def write(self, *words):
        os.write(self.fd, ("\t".join(map(str, words)) + "\n").encode())

    def read(self):
        """{(worker, argument[, argument]): [(line, launch, reason), ...]} of all that ran."""
        with open(self.path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if len(text) != self.size:
            self.size = len(text)
            self.lines = [line.split("\t") for line in text.splitlines()]
            self.ran = {}
            for number, words in enumerate(self.lines):
                if words[0] == "ran":
                    key = tuple(word for word in words[2:5] if word)
                    self.ran.setdefault(key, []).append((number, words[1], words[5]))
        return self.ran

    def of(self, kind):
        self.read()
        return [words[1:] for words in self.lines if words[0] == kind]


# --- processes ---

class Daemon:
    """One that runs, maybe under the tracer."""

    def __init__(self, scene, name, tracing, environment):
        number = len(scene.started)
        self.name = name
        self.tracing = tracing
        self.report = scene.path(f"report.{number}")
        self.counter = scene.path(f"counter.{number}")
        self.output_file = scene.path(f"{name}.{number}.out")
        command = [NOWCAST, name, scene.path("nowcast.yaml")]
        if tracing is not None:
            command = [TRACER, "--report", self.report, "--counter", self.counter, *tracing, "--", *command]
        with open(self.output_file, "wb") as output:
            self.popen = subprocess.Popen(command, cwd=scene.directory, stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=subprocess.STDOUT, env={**scene.environment, **environment})
        scene.started.append(self)

    def calls(self):
        """The lines of the tracer's report."""
        with contextlib.suppress(FileNotFoundError):
            with open(self.report, encoding="utf-8", errors="replace") as file:
                return file.read().splitlines()
        return []

    def deed(self):
        """What the tracer did, in words; None: nothing (there was no such call)."""
        for line in self.calls():
            if line.startswith(("killed", "failed", "short")):
                number = line.split()[2]
                call = [known for known in self.calls() if known.startswith(f"{number} ")]
                return line if len(line.split()) > 3 or not call else f"{line}{call[0][len(number):]}"
        return None

    def followed(self):
        """(worker, argument) whose runner is traced."""
        for line in self.calls():
            if line.startswith("follows "):
                return tuple(line.split()[1:3])
        return None

    def counted(self):
        return sum(line[:1].isdigit() for line in self.calls())

    def calls_of_any_kind(self):
        """How many there were up to now."""
        with contextlib.suppress(FileNotFoundError):
            with open(self.counter, "rb") as file:
                return int.from_bytes(file.read(8), sys.byteorder)
        return 0


# --- processes of others ---

def all_processes():
    """{process id: (state letter, parent)}."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as stat:
                    state, parent = stat.read().rpartition(") ")[2].split(None, 2)[:2]
                found[int(name)] = (state, int(parent))
    return found


def command_of(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    return b""


def is_daemon(pid):
    words = command_of(pid).split(b"\0")
    return len(words) > 2 and words[1].decode("utf-8", "replace") in (
        "supervisor", "message_broker", "manager", "scheduler", "log_aggregator")


def describe(pid):
    command = command_of(pid).replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return f"process {pid} ({command or 'a zombie'})"


def is_database(path):
    with open(path, "rb") as file:
        return file.read(15) == b"SQLite format 3"
