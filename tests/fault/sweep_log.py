"""The sweeps with the log aggregator as their target: what is logged meanwhile, and the judge of the log files (promises.md,
R15 to R17).

Three writers (tests/tools/log_demo) make numbered lines, some of them long, some of them errors, which are synced;
one of the writers is killed. Half-way through rotate_logs is run; a second file rolls over by its size. Of each line
is known what it says, and each writer tells how many calls have returned.

NOWCAST_TEST_LOG_DEMO names the writer.
"""
import collections
import contextlib
import json
import os
import re
import signal
import subprocess
import time

import yaml

from sweep_common import Hopeless, Scene
from sweep_judge import QUIET_S
from sweep_office import NOWCAST, harness

AGGREGATOR = "log_aggregator"
WRITERS = ("w0", "w1", "w2")
KILLED = "w2"
PORTIONS, PORTION = 10, 6           # so many times so many lines of each writer
ROTATED_AFTER, KILLED_AFTER = 4, 7  # portions
CAUGHT_UP_S = 0.4                   # the aggregator may be on its way back, then the next lines come all the same
ERROR_EACH, LONG_EACH = 11, 8       # lines
ROLLED_BYTES = 40000
FILES = ("nowcast.log", "rolled/rolled.log")

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|ERROR) \[(w\d)\] (\d+) ([a-z]+)")
OWN = re.compile(r"\S+ \S+ [A-Z]+ \[(?:log_aggregator|\(out of memory\))\] (.*)")
GAP = re.compile(r"\S+ \S+ ERROR \[(w\d)\] .*(missing here|could not be kept)")
COUNT = re.compile(r"(\d+) log lines? could not be written here: ")


def level_of(number):
    return "ERROR" if number % ERROR_EACH == ERROR_EACH - 1 else "INFO"


def text_of(writer, number):
    length = 2000 + number * 997 % 7000 if number % LONG_EACH == LONG_EACH - 1 else 20 + number * 31 % 150
    return chr(ord("a") + (number + int(writer[1:]) * 9) % 26) * length


def configuration():
    logging = harness.distributed_logging()
    own = logging["aggregator"]
    own["handlers"]["log"]["backupCount"] = 100
    own["handlers"]["rolled"] = {**harness.rotating(FILES[1], "DEBUG"), "maxBytes": ROLLED_BYTES, "backupCount": 100}
    own["root"]["handlers"] = ["log", "rolled"]
    return yaml.safe_dump({
        "checklist file": "nowcast_checklist.yaml", "state directory": "state", "logging": logging,
        "message registry": {"manager": harness.MANAGER_TYPES, "workers": {"rotate_logs": harness.WORKERS["rotate_logs"]}},
    }, sort_keys=False)


class Writer:
    """A process that logs when it is told to."""

    def __init__(self, scene, name):
        self.name = name
        self.made = 0
        self.said_path = scene.path(f"{name}.said")
        with open(self.said_path, "wb") as said:
            self.popen = subprocess.Popen([os.environ["NOWCAST_TEST_LOG_DEMO"], scene.path("nowcast.yaml"), name, "normal"],
                                          cwd=scene.directory, stdin=subprocess.PIPE, stdout=said,
                                          stderr=subprocess.STDOUT, env=scene.environment)

    def make(self, count):
        """Have it make so many lines; it tells when the call of each has returned."""
        calls = []
        for number in range(self.made, self.made + count):
            calls += [[self.name, 40 if level_of(number) == "ERROR" else 20, f"{number} {text_of(self.name, number)}"],
                      ["say", str(number + 1)]]
        self.made += count
        self.popen.stdin.write("".join(json.dumps(call) + "\n" for call in calls).encode())
        self.popen.stdin.flush()

    def said(self):
        """How many calls have returned."""
        with open(self.said_path, "rb") as file:
            numbers = re.findall(rb"^(\d+)\n", file.read(), re.MULTILINE)     # errors are shown there, too
        return int(numbers[-1]) if numbers else 0


class LogScene(Scene):
    JUDGED = ("R5", "R8", "R15", "R16", "R17")

    def __init__(self, rng, target, plan=(), groups=False, schedules=0, environment=None, forgiving=False):
        super().__init__(rng, target, plan, groups, schedules, environment, forgiving)
        with open(self.path("nowcast.yaml"), "w", encoding="utf-8") as file:
            file.write(configuration())
        os.mkdir(self.path("state"), 0o700)
        os.mkdir(self.path("rolled"))
        self.writers = []
        self.exact = True       # lines of its own that are in neither file are counted, and cannot be seen

    # --- the day ---

    def play_day(self):
        self.writers = [Writer(self, name) for name in WRITERS]
        rotation = None
        for portion in range(PORTIONS):
            for writer in self.writers:
                if writer.name == KILLED and portion > KILLED_AFTER:
                    continue
                writer.make(PORTION)
                # One after the other, and all of them together.
                if portion % 2 == 0:
                    self.wait(self.has_caught_up, CAUGHT_UP_S)
            if portion == ROTATED_AFTER:
                rotation = self.start_rotation()
            if portion == KILLED_AFTER:
                self.kill_writer()
            self.wait(self.has_caught_up, CAUGHT_UP_S)
        self.finish_rotation(rotation)

    def kill_writer(self):
        writer = self.writers[WRITERS.index(KILLED)]
        if not self.wait(lambda: writer.said() > writer.made - PORTION, QUIET_S):
            self.violate("R20", f"{writer.name} stands still: of {writer.made} calls {writer.said()} have returned")
        writer.popen.kill()
        writer.popen.wait()

    def start_rotation(self):
        return subprocess.Popen([NOWCAST, "rotate_logs", self.path("nowcast.yaml"), "--debug"], cwd=self.directory,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env=self.environment)

    def finish_rotation(self, rotation):
        """It may be refused when the aggregator rolls a file over at the same moment; then it is told again."""
        end = time.monotonic() + QUIET_S
        while True:
            said = rotation.communicate(timeout=QUIET_S)[0]
            if rotation.returncode == 0:
                return
            if time.monotonic() > end or "rotating" not in said:
                self.violate("R16", f"rotate_logs ended with {rotation.returncode}: {said[-300:]}")
                return
            self.wait(lambda: False, 0.02)
            rotation = self.start_rotation()

    def has_caught_up(self):
        """All that was made is in the files, as far as one glance tells."""
        texts = [self.text_of_files(base) for base in FILES]
        return all(f"[{writer.name}] {writer.made - 1} " in text for writer in self.writers for text in texts
                   if writer.popen.poll() is None)

    # --- the end ---

    def wait_until_quiet(self):
        for writer in self.writers:
            if writer.popen.poll() is None:
                writer.make(1)      # behind every fault: so that what was lost can be told
                writer.popen.stdin.close()
                if not self.wait(lambda writer=writer: writer.popen.poll() is not None, QUIET_S):
                    raise Hopeless(f"{writer.name} does not end: of {writer.made} calls {writer.said()} have returned")
                if writer.popen.returncode != 0:
                    self.violate("R15", f"{writer.name} ended with {writer.popen.returncode}")
        self.replies = sum(writer.said() for writer in self.writers)
        spool = self.path("state/log-spool")
        if not self.wait(lambda: not os.listdir(spool), QUIET_S):
            self.violate("R17", f"lines stay in the spool: {', '.join(sorted(os.listdir(spool)))}")

    def stop(self):
        super().stop()
        while AGGREGATOR in self.running:
            daemon = self.running.pop(AGGREGATOR)
            daemon.popen.terminate()
            try:
                status = daemon.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.violate("R5", "the aggregator does not end within 10 s of a SIGTERM")
                return
            if status == 128 + signal.SIGKILL:
                self.restarts += 1
                self.start(AGGREGATOR)
            elif status not in (0, 128 + signal.SIGTERM, -signal.SIGTERM) and not self.forgiving:
                self.violate("R5", f"the aggregator ended with {status} after a SIGTERM: {self.output(daemon)}")

    def close(self, keep=False):
        for writer in self.writers:
            if writer.popen.poll() is None:
                writer.popen.kill()
                writer.popen.wait()
            with contextlib.suppress(OSError):
                writer.popen.stdin.close()
        super().close(keep)

    # --- the judge ---

    def text_of_files(self, base):
        """Of the rotated ones too, the oldest first."""
        directory, name = os.path.split(self.path(base))
        found = [(int(other[len(name) + 1:] or 0), other) for other in os.listdir(directory)
                 if re.fullmatch(re.escape(name) + r"(\.\d+)?", other)]
        text = ""
        for _, other in sorted(found, reverse=True):
            with contextlib.suppress(FileNotFoundError):    # renamed at this moment
                with open(os.path.join(directory, other), encoding="utf-8", errors="replace") as file:
                    text += file.read()
        return text

    def log(self):
        """What the aggregator says; of a file that it cannot write, in that one."""
        return "\n".join(line for base in FILES for line in self.text_of_files(base).splitlines() if OWN.fullmatch(line))

    def judge(self):
        read = {base: self.read_file(base) for base in FILES}
        for base, (missing, counted, own) in read.items():
            others = next(other[2] for name, other in read.items() if name != base)
            # Lines of its own that only the other file has are lost here, too, and are counted; but not when it was
            # killed between the two.
            lost = sum(missing.values()) + (sum((others - own).values()) if self.forgiving else 0)
            if not self.forgiving and lost + counted > 0:
                self.violate("R15", f"{base}: missing are {dict(missing)}, and {counted} were said to be")
            elif lost > counted or (lost < counted and self.exact):
                self.violate("R15", f"{base}: {lost} lines are missing ({dict(missing)}), and {counted} were said to be: "
                                    f"{(others - own).most_common(3)}")

    def read_file(self, base):
        """(lines missing of each writer, lines that were said to be lost, other lines of the aggregator)"""
        following = dict.fromkeys(WRITERS, 0)
        missing, own = collections.Counter(), collections.Counter()
        counted, behind = 0, set()
        text = self.text_of_files(base)
        if text and not text.endswith("\n"):
            self.violate("R15", f"{base} ends within a line: {text[-80:]!r}")
        for line in text.splitlines():
            match = LINE.fullmatch(line)
            if match:
                self.judge_line(base, match, following, missing, behind)
                continue
            match = OWN.fullmatch(line)
            if match is None:
                if GAP.fullmatch(line):
                    self.violate("R17", f"{base}: a gap that there is not: {line[:120]}")
                else:
                    self.violate("R15", f"{base}: a torn line, or one that nobody made: {line[:120]!r}")
                continue
            count = COUNT.match(match[1])
            counted += int(count[1]) if count else 0
            if not count and "could not be rolled over" not in match[1]:
                own[line.split(" ", 2)[2]] += 1
        for writer in self.writers:
            wanted = writer.said() if writer.name == KILLED else writer.made
            if following[writer.name] < wanted:
                missing[writer.name] += wanted - following[writer.name]
        return missing, counted, own

    def judge_line(self, base, match, following, missing, behind):
        level, writer, number, text = match[1], match[2], int(match[3]), match[4]
        if level != level_of(number) or text != text_of(writer, number):
            self.violate("R15", f"{base}: torn: {match[0][:100]!r}, {len(match[0])} bytes")
        if number < following[writer]:
            if writer not in behind:
                self.violate("R17", f"{base}: line {number} of {writer} stands behind line {following[writer] - 1}: it "
                                    "is doubled, or out of order")
            behind.add(writer)      # said once
            return
        if number > following[writer]:
            missing[writer] += number - following[writer]
        following[writer] = number + 1


def scene_of(target, *arguments, **keywords):
    return (LogScene if target == AGGREGATOR else Scene)(*arguments, **keywords)
