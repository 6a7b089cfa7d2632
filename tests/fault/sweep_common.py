"""What the kill sweep and the error sweep share: a small office, its day, and the judge of what came of it.

The day: ten messages, sent again with the same id until they are answered, with fan-out, a worker that fails,
one that crashes, one that asks (`need`), a clear of the checklist, a reload, and a group. All that is sent,
answered and done stands in a ledger outside of the system, each line by a single write of the test or of the
worker that did it; the judge compares that ledger with what the system says and with what it promised
(promises.md, R1 to R8, R12, R22).

NOWCAST_TEST_BINARY names the program, NOWCAST_TEST_TRACER the one of tests/tools/sweep_tracer.c.
"""
import contextlib
import os
import pathlib
import random
import re
import select
import shutil
import signal
import sqlite3
import struct
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
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PARENT = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()

QUIET_S = 10            # for all to be done; the judge has then seen all, or it is missing
RUNNER_QUIET_S = 20     # a runner that dies before its claim is started again after 1, 2 and 4 s
LEFT_OVER_S = 1.5       # R8: no zombie for longer than a second
RESTARTS_MOST = 12

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

    def counted(self):
        return sum(line[:1].isdigit() for line in self.calls())

    def calls_of_any_kind(self):
        """How many there were up to now."""
        with contextlib.suppress(FileNotFoundError):
            with open(self.counter, "rb") as file:
                return int.from_bytes(file.read(8), sys.byteorder)
        return 0


# --- the scene ---

class Scene:
    """One run of the day. `plan`: what happens to the target from its first, second, ... start: options of the
    tracer; or a number: it is killed after so many milliseconds.

    `forgiving`: a daemon may end by itself (the error sweep); it is started again all the same.
    """

    def __init__(self, rng, target, plan=(), groups=False, schedules=0, environment=None, forgiving=False):
        self.rng = rng
        self.target = target
        self.plan = list(plan)
        self.groups = groups
        self.forgiving = forgiving
        self.directory = tempfile.mkdtemp(prefix="nowcast-sweep-", dir=PARENT)
        self.environment = {**os.environ, "TZ": "UTC", **(environment or {})}
        for name in ("NOWCAST_YAML", "NOWCAST_READY_FD"):
            self.environment.pop(name, None)
        self.target_environment = {}    # at each start
        self.first_environment = {}     # at the first start only
        self.schedules = schedules
        write_files(self.directory, groups, schedules)
        self.ledger = Ledger(self.path("ledger"))
        self.started = []
        self.running = {}
        self.messages = []
        self.violations = []
        self.seen = set()
        self.file_stamp = None
        self.checklist = {}
        self.replies = 0
        self.restarts = 0
        self.followed = None    # (worker, argument) whose runner is the target
        self.on_look = None
        self.kill_at = None
        self.timed_kills = 0
        self.started_at = None

    def path(self, name):
        return os.path.join(self.directory, name)

    def violate(self, promise, words):
        entry = f"{promise}: {words}"
        if entry not in self.violations:
            self.violations.append(entry)

    # --- processes ---

    def start(self, *names):
        for name in names:
            tracing = self.plan.pop(0) if name == self.target and self.plan else None
            if isinstance(tracing, (int, float)):
                self.kill_at = time.monotonic() + tracing / 1000
                tracing = None
            environment = {}
            if name == self.target:
                environment = {**self.target_environment, **self.first_environment}
                self.first_environment = {}
            self.running[name] = Daemon(self, name, tracing, environment)
            self.started_at = time.monotonic()

    def look(self):
        """Start again what has ended; look at the checklist file. Called in each wait."""
        if self.kill_at is not None and time.monotonic() > self.kill_at:
            self.kill_at = None
            self.timed_kills += 1
            self.running[self.target].popen.kill()
            self.running[self.target].popen.wait()
        for name, daemon in list(self.running.items()):
            status = daemon.popen.poll()
            if status is None:
                continue
            meant = name == self.target and status in (128 + signal.SIGKILL, -signal.SIGKILL)
            if not meant and not self.forgiving:
                self.violate("R5", f"{name} ended by itself with status {status}: {self.output(daemon)}")
            if "sweep_tracer: " in self.output(daemon):
                raise Hopeless(f"the tracer failed: {self.output(daemon)}")
            self.ledger.write("ended", name, status)
            self.restarts += 1
            if self.restarts > RESTARTS_MOST:
                raise Hopeless(f"{name} ends again and again: {self.output(daemon)}")
            self.start(name)
        self.look_at_checklist()
        if self.on_look is not None:
            self.on_look()

    def output(self, daemon):
        with open(daemon.output_file, encoding="utf-8", errors="replace") as file:
            said = file.read().strip()
        return said[-400:] or "it said nothing"

    def look_at_checklist(self):
        """R12: the file is one whole document, and what was in it stays, but for the clear."""
        try:
            with open(self.path("nowcast_checklist.yaml"), "rb") as file:
                stamp = os.fstat(file.fileno())
                stamp = (stamp.st_ino, stamp.st_mtime_ns, stamp.st_size)
                if stamp == self.file_stamp:
                    return
                text = file.read()
        except FileNotFoundError:
            if self.file_stamp is not None:
                self.violate("R12", "the checklist file is gone")
            return
        self.file_stamp = stamp
        try:
            checklist = yaml.load(text, LOADER)
        except yaml.YAMLError as error:
            checklist = error
        if not isinstance(checklist, dict):
            self.violate("R12", f"the checklist file is no whole document: {text[-200:]!r} ({checklist})")
            return
        self.checklist = checklist
        there = {key for key in self.feed() if key[1:].isdigit() and int(key[1:]) > CLEARED}
        if self.seen - there:
            self.violate("R12", f"{sorted(self.seen - there)} vanished from the checklist file: {text[-200:]!r}")
        self.seen |= there

    def part(self, key):
        part = self.checklist.get(key)
        return part if isinstance(part, dict) else {}

    def feed(self):
        return {**self.part("feed"), **self.part("late")}

    def wait(self, condition, seconds):
        """Looks until condition() is true: whether it is."""
        end = time.monotonic() + seconds
        while True:
            self.look()
            if condition():
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.008)

    # --- messages ---

    def message(self, number, source, kind, payload, **more):
        return Message(number, source, kind, payload, self.rng, **more)

    def ask(self, *messages, seconds=30):
        """Send them at once, each again with the same id until it is answered."""
        end = time.monotonic() + seconds
        open_doors = {}
        waiting = list(messages)
        not_before = {}
        try:
            while waiting:
                self.look()
                now = time.monotonic()
                if now > end:
                    raise Hopeless(f"message {waiting[0].number} is not answered within {seconds} s")
                for message in waiting:
                    if message not in open_doors and not_before.get(message, 0) <= now:
                        open_doors[message] = self.send(message)
                        not_before[message] = now + (0.02 if open_doors[message] is None else 2)
                        if open_doors[message] is None:
                            del open_doors[message]
                ready = select.select([door.socket for door in open_doors.values()], [], [], 0.02)[0] if open_doors \
                    else time.sleep(0.01)
                for message, door in list(open_doors.items()):
                    if door.socket in (ready or []) and self.receive(message, door):
                        waiting.remove(message)
                    elif door.socket not in (ready or []) and not_before[message] > time.monotonic():
                        continue
                    else:
                        not_before[message] = time.monotonic() + 0.03
                    door.close()
                    del open_doors[message]
        finally:
            for door in open_doors.values():
                door.close()
        return messages[0].reply

    def send(self, message):
        try:
            door = harness.DoorClient(self.path("state/broker.sock"), 5)
        except OSError:
            return None
        try:
            self.ledger.write("send", message.number, message.id)
            door.send(message.bytes)
            return door
        except OSError:
            door.close()
            return None

    def receive(self, message, door):
        """Is it answered?"""
        try:
            data = door.receive()
        except (OSError, struct.error):
            return False
        reply = yaml.load(data, LOADER) if data else None
        if not isinstance(reply, dict) or "type" not in reply or reply["type"] == "retry later":
            return False
        self.replies += 1
        self.ledger.write("reply", message.number, message.id, reply["type"])
        if message.reply is not None and message.reply["type"] != reply["type"]:
            self.violate("R2", f"message {message.number} was answered {message.reply['type']}, and then {reply['type']}")
        message.reply = reply
        return True

    def repeat_one(self):
        """One that was answered comes again: an old connection wakes up."""
        answered = [message for message in self.messages if message.reply is not None]
        if answered:
            self.ask(self.rng.choice(answered))

    # --- the day ---

    def play_day(self):
        for number, kind in DAY:
            if kind == "clear":
                message = self.message(number, "clear_checklist", "clear checklist", None)
            elif kind == "late":
                self.reload()
                message = self.message(number, "late", "success", {f"m{number}": True})
            else:
                message = self.message(number, "feed", kind, {f"m{number}": True, "n": str(number)})
            self.messages.append(message)
            if number in TOGETHER and number != TOGETHER[-1]:
                continue
            before = self.restarts
            self.ask(*self.messages[-len(TOGETHER) if number in TOGETHER else -1:])
            if self.restarts > before:
                self.repeat_one()
        need = self.message(11, "feed", "need", "feed")
        if not isinstance(self.ask(need)["payload"], dict):
            self.violate("R1", f"the feed is not in the checklist: {need.reply}")

    def reload(self):
        """A new configuration with one more worker."""
        with open(self.path("nowcast.yaml.new"), "w", encoding="utf-8") as file:
            file.write(configuration(True, self.schedules))
        os.rename(self.path("nowcast.yaml.new"), self.path("nowcast.yaml"))
        name = "supervisor" if "supervisor" in self.running else "manager"
        end = time.monotonic() + QUIET_S
        while time.monotonic() < end:
            daemon, before = self.running[name], len(self.log())
            daemon.popen.send_signal(signal.SIGHUP)
            # An error may keep it from reading, or from saying so: it is told again.
            if self.wait(lambda: self.running[name] is not daemon or "[manager] read config" in self.log()[before:],
                         0.2 if self.forgiving else QUIET_S):
                return
        self.violate("R19", f"the manager does not reload: {self.log()[-300:]}")

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            with open(self.path("nowcast.log"), encoding="utf-8", errors="replace") as file:
                return file.read()
        return ""

    # --- the judge ---

    def wanted(self):
        """[(worker, argument, ...)]: all launches that the answered messages ask for, as far as it can be known."""
        todo = [(worker, str(number)) for number, kind in DAY for worker in FAN_OUT.get(kind, ())
                if any(message.number == number and message.reply is not None for message in self.messages)]
        todo += [("ticker", str(number)) for number in range(1, self.schedules + 1) if ("ticker", str(number))
                 in self.ledger.ran]
        for key in todo:
            worker, argument = key[:2]
            crashed = ("after_crash", worker, argument) in self.ledger.ran
            if self.was_not_launched(key):
                # After 20 in a row the rules are not asked what comes after that.
                crashed = "launches could not be made one after the other" not in self.log()
                if not crashed:
                    continue
            if worker in ("after_crash", "after_lost"):
                continue
            if crashed or NATURAL.get(worker) == "crash":
                todo.append(("after_crash", worker, argument))
            elif ("after_lost", worker, argument) in self.ledger.ran:
                todo.append(("after_lost", worker, argument))
            else:
                todo += [(next_worker, argument) for next_worker in CHAIN.get(worker, ())]
        return todo

    def was_not_launched(self, key):
        """Did the manager say so? What should have followed may have had the same fate."""
        return self.forgiving and re.search(rf"CRITICAL \[manager\] {' '.join(key)}\b.* was not launched: ", self.log())

    def missing_of(self, key):
        """What has not come yet of this launch; None: nothing."""
        ran = self.ledger.ran
        reported = [kind for kind in ("after_crash", "after_lost") if (kind, *key[:2]) in ran]
        if self.was_not_launched(key):
            reported.append("words")
        if key not in ran and not reported:
            return f"R3: `{' '.join(key)}` has neither run nor been reported"
        worker = key[0]
        if reported or NATURAL.get(worker, "success") != "success":
            return None         # what follows after it is wanted by itself
        if (not key[-1].isdigit() or int(key[-1]) > CLEARED) and " ".join((*key, "")[:3]) not in self.part("work"):
            return f"R5: the end of `{' '.join(key)}` was not heard"
        return None

    def missing(self):
        self.ledger.read()
        for message in self.messages:
            if message.number > CLEARED and message.reply["type"] == "ack" and f"m{message.number}" not in self.feed():
                return f"R1: message {message.number} was answered, and is not in the checklist file"
        for key in self.wanted():
            missing = self.missing_of(key)
            if missing is not None:
                return missing
        return None

    def wait_until_quiet(self):
        if not self.wait(lambda: self.missing() is None, RUNNER_QUIET_S if self.followed else QUIET_S):
            promise, words = self.missing().split(": ", 1)
            self.violate(promise, words)

    def judge(self):
        """When all is quiet and has ended: what is in the ledger, and what may be there?"""
        ran, wanted = self.ledger.read(), self.wanted()
        for message in self.messages:
            expected = "checklist cleared" if message.number == CLEARED else "ack"
            if message.reply["type"] != expected:
                self.violate("R1", f"message {message.number} was answered {message.reply}, not {expected}")
        for key, launches in ran.items():
            if len(launches) > 1:
                self.violate("R3", f"`{' '.join(key)}` ran {len(launches)} times, as launches "
                                   f"{', '.join(launch for _, launch, _ in launches)}")
            if key not in wanted:
                self.violate("R2", f"`{' '.join(key)}` ran, and nothing asked for it")
        for key in wanted:
            self.judge_end(key)
        old = [key for key in self.feed() if key[1:].isdigit() and int(key[1:]) < CLEARED]
        if old:
            self.violate("R2", f"{old} are in the checklist again, after it was cleared")
        for launch, answer in self.ledger.of("asked"):
            if '"payload"' not in answer and "no such checklist key" not in answer:    # cleared meanwhile
                self.violate("R6", f"the need of launch {launch} was answered {answer}")
        if self.groups:
            self.judge_group()

    def judge_end(self, key):
        ran = self.ledger.ran
        worker, number = key[0], key[-1]
        crash = ran.get(("after_crash", *key[:2]), [])
        followed = key[:2] == self.followed
        outcomes = [name for name, there in (
            ("crash", crash), ("lost", ("after_lost", *key[:2]) in ran),
            ("success", " ".join((*key, "")[:3]) in self.part("work")),
            ("failure", NATURAL.get(worker) == "failure" and ("after_failure", number) in ran)) if there]
        if len(outcomes) > 1:
            self.violate("R4", f"`{' '.join(key)}` was reported as {' and as '.join(outcomes)}")
        natural = NATURAL.get(worker, "success")
        for outcome in outcomes:
            # What an error kept from being made is reported as such.
            excused = followed or (self.forgiving and key not in ran)
            if outcome != natural and not (excused and outcome in ("crash", "lost")):
                self.violate("R5", f"`{' '.join(key)}` was reported as {outcome}, and its end was {natural}"
                                   + "".join(f" ({reason})" for _, _, reason in crash))
        if natural == "crash" and not followed and key in ran and not all("SIGKILL" in reason for _, _, reason in crash):
            self.violate("R4", f"the crash of `{' '.join(key)}` has the reason {crash[0][2]}")

    def judge_group(self):
        ended = {(words[1], words[2]): number for number, words in enumerate(self.ledger.lines) if words[0] == "end"
                 for words in [words[1:]]}
        for key, launches in self.ledger.ran.items():
            if key[0] in ("held_a", "held_b"):
                for member in ("member_a", "member_b"):
                    end = ended.get((member, key[1]))
                    if end is None or end > launches[0][0]:
                        if (member, key[1]) != self.followed:
                            self.violate("R3", f"`{' '.join(key)}` was let go before {member} had ended")

    def check_stale(self):
        """R7: a copy of a launch that is over comes back, with another token."""
        launches = [launch for key, runs in self.ledger.read().items() for _, launch, _ in runs if key[0] == "second"]
        if not launches:
            return
        message = self.message(12, "second", "success", {"second stale": True}, launch=launches[-1], token="0" * 32,
                               report={"end": "exit status 0"})
        if self.ask(message)["type"] != "stale":
            self.violate("R7", f"a message with another token than its launch's was answered {message.reply['type']}")

    def left_over(self):
        """Process ids of workers, runners and zombies of ours."""
        processes = all_processes()
        daemons = {daemon.popen.pid for daemon in self.running.values()}
        for _ in range(2):      # the tracer's child, and the supervisor's
            daemons |= {pid for pid, (_, parent) in processes.items() if parent in daemons and is_daemon(pid)}
        strangers = {pid for pid in processes if pid not in daemons and self.is_ours(pid)}
        return sorted(strangers | {pid for pid, (state, parent) in processes.items()
                                   if state == "Z" and parent in daemons})

    def is_ours(self, pid):
        return self.directory.encode() + b"/" in command_of(pid)

    def check_left_over(self):
        """R8: no worker, runner or zombie is left."""
        if not self.wait(lambda: not self.left_over(), LEFT_OVER_S):
            self.violate("R8", "left behind: " + ", ".join(describe(pid) for pid in self.left_over()))

    def check_database(self):
        """R22: each database that is left can be opened, and is whole."""
        copy = self.path("copy")
        for folder, _, names in os.walk(self.path("state")):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.isfile(path) or is_database(path) is False:
                    continue
                os.makedirs(copy, exist_ok=True)
                for ending in ("", "-wal"):
                    if os.path.exists(path + ending):
                        shutil.copy(path + ending, os.path.join(copy, name + ending))
                try:
                    with contextlib.closing(sqlite3.connect(os.path.join(copy, name))) as database:
                        result = database.execute("PRAGMA integrity_check").fetchone()[0]
                except sqlite3.Error as error:
                    result = str(error)
                if result != "ok":
                    self.violate("R22", f"{name}: {result}")

    def stop(self):
        """End the daemons, and wait for them. A target that is killed while it ends is started once more."""
        self.kill_at = None
        for name in ("supervisor", "scheduler", "manager", "message_broker"):
            while name in self.running:
                daemon = self.running.pop(name)
                daemon.popen.terminate()
                try:
                    status = daemon.popen.wait(10)
                except subprocess.TimeoutExpired:
                    self.violate("R5", f"{name} does not end within 10 s of a SIGTERM")
                    break
                if name == self.target and status == 128 + signal.SIGKILL:
                    self.start(name)
                    self.ask(self.message(13, "feed", "need", "feed"))
                elif status != 0 and not self.forgiving:
                    self.violate("R5", f"{name} ended with {status} after a SIGTERM: {self.output(daemon)}")

    def close(self, keep=False):
        for daemon in self.started:
            if daemon.popen.poll() is None:
                daemon.popen.kill()     # what it traces goes with it
                daemon.popen.wait()
        for _ in range(100):
            pids = [pid for pid in all_processes() if self.is_ours(pid)]
            if not pids:
                break
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        os.close(self.ledger.fd)
        if not keep:
            shutil.rmtree(self.directory, ignore_errors=True)


class Hopeless(Exception):
    """The run cannot go on; what it says is a violation."""


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


def seed_from_environment():
    text = os.environ.get("NOWCAST_TEST_SEED")
    return int(text) if text else random.SystemRandom().randrange(1 << 31)
