#!/usr/bin/python3
"""The error sweep (promises.md, "How each is proved", 2).

The day of sweep_common.py is played with each target, and one of its calls fails: by an error that this call can
have, once, or from then on for a while; or it reads or writes only half of its bytes; or an allocation fails. When
the fault is taken away, and the daemon was started again if it has ended, the judge finds no violation; the daemon
has not spun, and has said what was wrong.

usage: sweep_errors.py [--target NAME] [--points N] [--jobs N] [--seed N] [--only POINT [--keep]]

A POINT: `manager/fsync:3:EIO` (the third fsync), `manager/fsync:3+:EIO` (and all after it, for a while),
`manager/write:9:short`, `manager/alloc:700`, `manager/alloc:700+`. NOWCAST_TEST_LONG=1: the long size.
NOWCAST_TEST_SEED: the same points again.
"""
import errno
import os
import pathlib
import random
import re
import signal
import sys
import time

import report
import sweep_base
from sweep_common import Hopeless
from sweep_log import AGGREGATOR, scene_of

ALLOC_FAULT = os.path.abspath(os.environ["NOWCAST_TEST_ALLOC_FAULT"])
# target: (points of calls, of allocations)
POINTS = {"manager": (330, 110), "message_broker": (90, 50), "runner": (240, 160), "scheduler": (50, 30),
          "supervisor": (80, 40), AGGREGATOR: (120, 40)}
LONG_FACTOR = 10
RUNNERS = {"asker:1": "4", "crashing:1": "7", "failing:1": "2", "member_a:1": "10"}
HOLD_S = 0.4                # how long the fault lasts, `from then on`
SPIN_CALLS = 6000           # in that time; the whole day has less than half of them
SHORT_TIMES = 200           # `from then on`, of what ends by itself if it is tried again
AGAIN_TIMES = 20
SLOTS = 3
FAULTS_LEAST = 0.6          # of what was meant: the others ended before their call came

ON_FILES = ["EIO", "ENOSPC", "EINTR", "short"]
ON_STREAMS = ["EAGAIN", "ENOMEM", "EINTR", "short"]
ERRORS = {
    "openat": ["EMFILE", "ENOMEM", "EROFS", "ENOSPC", "EIO", "EINTR"],
    "rename": ["EIO", "ENOSPC", "EROFS"], "link": ["EIO", "ENOSPC", "EROFS"], "linkat": ["EIO", "ENOSPC", "EROFS"],
    "unlink": ["EIO", "EROFS"], "unlinkat": ["EIO", "EROFS"], "mkdir": ["EIO", "ENOSPC", "EROFS"], "rmdir": ["EIO"],
    "fchmod": ["EIO", "EROFS"], "chmod": ["EIO", "EROFS"], "ftruncate": ["EIO", "ENOSPC", "EINTR"],
    "fallocate": ["EIO", "ENOSPC", "EINTR"], "fsync": ["EIO", "ENOSPC", "EINTR"], "fdatasync": ["EIO", "ENOSPC", "EINTR"],
    "memfd_create": ["EMFILE", "ENOMEM"], "clone": ["EAGAIN", "ENOMEM"], "clone3": ["EAGAIN", "ENOMEM"],
    "vfork": ["EAGAIN", "ENOMEM"], "fork": ["EAGAIN", "ENOMEM"], "wait4": ["EINTR"], "waitid": ["EINTR"],
    "socketpair": ["EMFILE", "ENOMEM"], "socket": ["EMFILE", "ENOMEM"], "pipe2": ["EMFILE", "ENOMEM"],
    "pidfd_open": ["EMFILE", "ENOMEM"], "bind": ["ENOMEM", "EROFS"], "connect": ["EAGAIN", "EINTR"],
    "accept4": ["EMFILE", "ENOMEM", "EINTR", "EAGAIN"], "epoll_ctl": ["ENOMEM", "ENOSPC"], "epoll_wait": ["EINTR"],
    "epoll_pwait": ["EINTR"], "newfstatat": ["EIO", "ENOMEM"], "fstat": ["EIO"], "getdents64": ["EIO"],
}
BYTES = {"write", "pwrite64", "writev", "pwritev", "sendto", "sendmsg", "read", "pread64", "recvfrom", "recvmsg"}
READS = {"read", "pread64", "recvfrom", "recvmsg"}
# What the kernel says before it has taken anything: it comes again and again only in a kernel that is broken.
ENDS_BY_ITSELF = {"EINTR", "EAGAIN", "short"}
# Nobody has to hear of these: nothing was lost, or it is tried again without anybody's doing.
UNSAID = {"unlink", "unlinkat", "rmdir", "fchmod", "chmod", "newfstatat", "fstat", "fcntl", "wait4", "waitid", "getdents64",
          "epoll_ctl", "accept4", "ftruncate", "fallocate"}
WORDS = {"ENOMEM": ["memory", "unable to open"], "ENOSPC": ["disk is full", "i/o error", "unable to open"],
         "EIO": ["i/o error", "unable to open", "readonly"], "EMFILE": ["unable to open"],
         "EROFS": ["readonly", "unable to open"]}     # SQLite's
# What libraries do for themselves. (nng takes a seed from /dev/urandom, and does without.)
OF_LIBRARIES = re.compile(r"\.so(\.|$)|^/etc/ld|^/usr/share/zoneinfo|^/proc/|^/sys/|^/etc/|^/dev/urandom")


def errors_of(name, detail):
    # libnng waits for ever when it cannot start a thread of its own (1.5.2); the supervisor ends what hangs (R10).
    if detail == "thread":
        return []
    if name not in BYTES:
        return ERRORS.get(name, [])
    if detail.startswith(("/memfd:", "anon_inode:")):
        return ["EINTR"]
    if detail.startswith("pipe:"):
        return ["EAGAIN", "EINTR", "short"]
    if not detail.startswith("/"):
        return ON_STREAMS
    return [error for error in ON_FILES if error != "ENOSPC" or name not in READS]


class Run:
    """One point."""

    def __init__(self, point, seed, groups, keep=False):
        self.point = point
        self.seed = seed
        self.keep = keep
        self.head, self.what = point.split("/")
        name = "manager" if self.head.startswith("runner=") else self.head
        self.scene = scene_of(self.head, random.Random(f"{seed} {point}"), name, [self.tracing()], groups,
                              SLOTS if self.head == "scheduler" else 0, forgiving=True)
        self.scene.runner_dies = self.head.startswith("runner=")
        if self.scene.plan == [None]:
            self.scene.plan = []
            self.scene.exact = False
            self.prepare_allocations()
        self.scene.on_look = self.look
        self.failed_at = None
        self.calls_before = 0
        self.fault_is_over = False

    def tracing(self):
        kind = self.what.split(":")[0]
        if kind == "alloc":
            return None
        options = ["--follow", self.head.split("=")[1]] if self.head.startswith("runner=") else []
        options.append("--all")
        if kind == "count":
            return options
        name, number, error = self.what.split(":")
        options += ["--only", name]
        options += ["--short", number.rstrip("+")] if error == "short" else [
            "--fail", number.rstrip("+"), "--errno", str(getattr(errno, error))]
        if "+" in number:
            times = SHORT_TIMES if error == "short" else AGAIN_TIMES if error in ENDS_BY_ITSELF else 0
            options += ["--times", str(times)]
        return options

    def prepare_allocations(self):
        number = self.what.split(":")[1]
        process = self.head.split("=")[1].split(":")[0] if "=" in self.head else self.head
        if "=" in self.head:
            self.scene.followed = (process, RUNNERS[self.head.split("=")[1]])
        self.scene.first_environment = {
            "LD_PRELOAD": ALLOC_FAULT, "NOWCAST_ALLOC_PROCESS": process, "NOWCAST_ALLOC_FAIL_AT": number.rstrip("+"),
            "NOWCAST_ALLOC_ONWARD": str(int("+" in number)), "NOWCAST_ALLOC_COUNT": self.scene.path("allocations")}

    def first(self):
        return next((daemon for daemon in self.scene.started if daemon.name == self.scene.target), None)

    def look(self):
        """Takes a lasting fault away after a while; meanwhile nobody may spin."""
        daemon = self.first()
        if daemon is None or daemon.tracing is None or self.fault_is_over or "+" not in self.what:
            return
        if self.failed_at is None:
            if daemon.deed() is not None:
                self.failed_at = time.monotonic()
                self.calls_before = daemon.calls_of_any_kind()
        elif time.monotonic() > self.failed_at + HOLD_S:
            self.fault_is_over = True
            calls = daemon.calls_of_any_kind() - self.calls_before
            if calls > SPIN_CALLS:
                self.scene.violate("R20", f"it spins: {calls} calls in {HOLD_S} s of the fault")
            if daemon.popen.poll() is None:
                daemon.popen.send_signal(signal.SIGUSR1)

    def play(self):
        scene = self.scene
        if self.head in ("supervisor", AGGREGATOR):
            scene.start(self.head)
        elif self.head == "scheduler":
            scene.target_environment = {"NOWCAST_TEST_CLOCK_OFFSET_S": str(12 * 3600 - 1 - int(time.time()) % 86400)}
            scene.start("message_broker", "manager", "scheduler")
            noon = time.monotonic() + 1.5
            scene.play_day()
            scene.wait(lambda: time.monotonic() > noon, 3)
            return
        else:
            scene.start("message_broker", "manager")
        scene.play_day()

    def run(self):
        began = time.monotonic()
        scene = self.scene
        try:
            self.play()
            if self.failed_at is not None:
                scene.wait(lambda: self.fault_is_over, HOLD_S * 2)
            scene.wait_until_quiet()
            scene.repeat_one()
            scene.check_left_over()
            scene.stop()
            scene.judge()
            scene.check_spool()
            scene.check_database()
            self.judge_words()
            if not self.is_possible():
                scene.violations.clear()
        except Hopeless as error:
            scene.violate("R20", str(error))
        finally:
            if scene.replies == 0:
                scene.violate("harness", "there was no reply at all")
            result = self.result(time.monotonic() - began)
            scene.close(self.keep)
        return result

    def is_possible(self):
        """Runs differ: the N-th call may have met something that cannot fail in that way."""
        deed = self.first().deed()
        if deed is None or "alloc" in self.what:
            return True
        name, _, error = self.what.split(":")
        return error in errors_of(name, deed.split(" ", 3)[3] if deed.count(" ") > 2 else "")

    def said(self):
        """All lines of warnings and errors, in the logs of system and launches or, before they are there, on the terminal."""
        texts = [self.scene.log()] + [self.scene.output(daemon, 100000) for daemon in self.scene.started]
        texts += [path.read_text(encoding="utf-8", errors="replace")
                  for path in pathlib.Path(self.scene.path("state")).glob("launches/*/*.log")]
        return "\n".join(line for text in texts for line in text.splitlines()
                         if re.search(r" (WARNING|ERROR|CRITICAL) |^nowcast |error|panic", line))

    def judge_words(self):
        """An error of the machine that lasts, or has done harm, is told in words that name it."""
        deed = self.first().deed()
        if deed is None or "alloc" in self.what:
            return
        name, _, error = self.what.split(":")
        detail = deed.split()[-1]
        if name in UNSAID or error in ENDS_BY_ITSELF or "nowcast.log" in deed or OF_LIBRARIES.search(detail):
            return
        if name in ("fsync", "fdatasync") and detail.endswith("/state.db"):
            return      # a checkpoint: what is committed is in the file beside it, and is brought over later
        if self.head.startswith("runner=") and name == "write":
            return      # its log lines fail in the same way, and it ends before the fault does
        if (detail.startswith(("socket:", "anon_inode:", "pipe:")) and name in BYTES) or name in ("connect", "socket"):
            return      # it is sent again, and received again
        if "+" not in self.what and self.scene.restarts == 0 and self.scene.put_off == 0:
            return
        words = [os.strerror(getattr(errno, error)).lower(), *WORDS.get(error, ())]
        if not any(word in self.said().lower() for word in words):
            self.scene.violate("R20", f"nobody said `{words[0]}`; what was said: {self.said()[-300:] or 'nothing'}")

    def result(self, seconds):
        first = self.first()
        deed = first.deed() if first is not None and first.tracing is not None else None
        allocations = 0
        if "alloc" in self.what and os.path.exists(self.scene.path("allocations")):
            with open(self.scene.path("allocations"), "rb") as file:
                allocations = int.from_bytes(file.read(8), sys.byteorder)
            if 0 < int(self.what.split(":")[1].rstrip("+")) <= allocations:
                deed = f"allocation {self.what.split(':')[1]} failed"
        return {"point": self.point, "seed": self.seed, "seconds": seconds, "deeds": [deed] if deed else [],
                "replies": self.scene.replies, "calls": first.calls() if self.what.startswith("count") else [],
                "allocations": allocations, "restarts": self.scene.restarts,
                "judged": (*self.scene.JUDGED, "R20"), "violations": self.scene.violations,
                "log": self.scene.log()[-40000:] if self.scene.violations or self.keep else "", "directory": self.scene.directory}


class ErrorSweep(sweep_base.Sweep):
    RUN = Run
    ABOUT = "make each call of a daemon fail, and judge what came of it"

    def sizes_of(self, target):
        if self.options.points:
            return self.options.points * 3 // 4, self.options.points // 4
        factor = LONG_FACTOR if os.environ.get("NOWCAST_TEST_LONG") else 1
        return tuple(size * factor for size in POINTS[target])

    def choices(self, head):
        """{(call, error): [numbers]}: what can fail, as a run without a fault shows it."""
        result = self.play_one(f"{head}/count:0")
        numbers, found = {}, {}
        for line in result.get("calls", ()):
            words = line.split(" ", 2)
            if not words[0].isdigit():
                continue
            name, detail = words[1], words[2] if len(words) > 2 else ""
            numbers[name] = numbers.get(name, 0) + 1
            if OF_LIBRARIES.search(detail):
                continue
            for error in errors_of(name, detail):
                found.setdefault((name, error), []).append(numbers[name])
        if not found:
            self.too_little(f"{head}: no call was seen that could fail")
        return found

    def call_points(self, head, count):
        found = self.choices(head)
        pairs = sorted(found)
        points = []
        for turn in range(count if pairs else 0):
            pair = pairs[turn % len(pairs)]
            lasting = "+" if (turn // len(pairs) + turn) % 2 else ""
            points.append(f"{head}/{pair[0]}:{self.rng.choice(found[pair])}{lasting}:{pair[1]}")
        return points

    def allocation_points(self, head, count):
        allocations = self.play_one(f"{head}/alloc:0").get("allocations", 0)
        if allocations == 0:
            self.too_little(f"{head}: no allocation was seen")
            return []
        # The first of them are those of the configuration, which all daemons read: half of the points are behind 70 %.
        return [f"{head}/alloc:{int(allocations * ((number + self.rng.random()) / count) ** 0.5) + 1}"
                f"{'+' if number % 4 == 3 else ''}" for number in range(count)]

    def sweep(self, target, sizes):
        began = time.monotonic()
        heads = [f"runner={which}" for which in RUNNERS] if target == "runner" else [target]
        points = []
        for head in heads:
            points += self.call_points(head, sizes[0] // len(heads))
            points += self.allocation_points(head, sizes[1] // len(heads))
        results = self.play_all(target, points)
        faults = sum(bool(result["deeds"]) for result in results)
        bad = sum(bool(result["violations"]) for result in results)
        print(f"{target}: {len(results)} points, {faults} faults, {bad} violations, "
              f"{sum(result.get('restarts', 0) for result in results)} restarts; {time.monotonic() - began:.0f} s", flush=True)
        report.figure("errors", f"faults in {target}", faults)
        if faults < FAULTS_LEAST * len(results) or not results:
            self.too_little(f"{target}: only {faults} of {len(results)} faults came about")

    def words_of(self, result):
        return f"{result['restarts']} restarts, {result['allocations']} allocations"


if __name__ == "__main__":
    ErrorSweep.main(POINTS)
