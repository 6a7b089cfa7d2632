"""What the kill sweep and the error sweep share: a small office (sweep_office.py), its day, and the judge of what came
of it (sweep_judge.py).

The day: ten messages, sent again with the same id until they are answered, with fan-out, a worker that fails,
one that crashes, one that asks (`need`), a clear of the checklist, a reload, and a group. All that is sent,
answered and done stands in a ledger outside of the system, each line by a single write of the test or of the
worker that did it.
"""
import contextlib
import os
import random
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import yaml

from sweep_judge import QUIET_S, Judge
from sweep_office import (CLEARED, DAY, PARENT, TOGETHER, Daemon, Ledger, Message, all_processes, configuration,
                          groups_are_there, harness, write_files)

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
RESTARTS_MOST = 12


class Hopeless(Exception):
    """The run cannot go on; what it says is a violation."""


class Scene(Judge):
    """One run of the day. `plan`: what happens to the target from its first, second, ... start: options of the
    tracer; or a number: it is killed after so many milliseconds.

    `forgiving`: a daemon may end by itself (the error sweep); it is started again all the same.
    """

    JUDGED = ("R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R12", "R22")

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
        self.replies = self.put_off = 0
        self.restarts = 0
        self.runner_dies = False        # the target is a runner, and not all of the manager's
        self.followed = None            # (worker, argument) of that runner
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

    def output(self, daemon, most=400):
        with open(daemon.output_file, encoding="utf-8", errors="replace") as file:
            said = file.read().strip()
        return said[-most:] or "it said nothing"

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
            self.put_off += 1
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
            before = len(self.log())
            self.running[name].popen.send_signal(signal.SIGHUP)
            # An error may keep it from reading, or from saying so: it is told again. Started anew, it reads it, too.
            if self.wait(lambda: "[manager] read config" in self.log()[before:], 0.2 if self.forgiving else QUIET_S):
                return
        self.violate("R19", f"the manager does not reload: {self.log()[-300:]}")

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            with open(self.path("nowcast.log"), encoding="utf-8", errors="replace") as file:
                return file.read()
        return ""

    # --- the end ---

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
                    self.restarts += 1
                    self.start(name)
                    if name in ("supervisor", "manager"):
                        self.ask(self.message(13, "feed", "need", "feed"))
                elif name == self.target and self.restarts and status in (128 + signal.SIGTERM, -signal.SIGTERM):
                    break       # it had only just been started again
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


def seed_from_environment():
    text = os.environ.get("NOWCAST_TEST_SEED")
    return int(text) if text else random.SystemRandom().randrange(1 << 31)
