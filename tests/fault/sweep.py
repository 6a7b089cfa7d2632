#!/usr/bin/python3
"""The kill sweep (promises.md, "How each is proved", 1 and 6).

The day of sweep_common.py is played once to count the calls of each target that change something; then again
and again, each time in a directory of its own, and the target is killed before or after one of these calls, and
in half of the points once more while it starts again. It is started again, what was not answered is sent again,
and one that was; when all is quiet, the judge compares the ledger with what the system says.

usage: sweep.py [--target NAME] [--points N] [--jobs N] [--seed N] [--only POINT [--keep]]

A POINT is what the details of a violation name: `manager/before:120`, `runner=first:2/after:3/before:40`.
NOWCAST_TEST_LONG=1: the long size. NOWCAST_TEST_SEED: the same points again.
"""
import os
import random
import time

import report
import sweep_base
from sweep_common import Hopeless
from sweep_log import AGGREGATOR, scene_of
from sweep_office import DAY

POINTS = {"manager": 780, "runner": 400, "supervisor": 160, "scheduler": 100, "broker": 100, AGGREGATOR: 80}
LONG = {"manager": 10000, "runner": 5200, "supervisor": 2000, "scheduler": 900, "broker": 400, AGGREGATOR: 1700}
RUNNERS = ["first:2", "failing:1", "crashing:1", "asker:1", "third:2"]  # which runner, of those of that worker
RESTART_CALLS_MOST = 150    # the second kill comes somewhere in so many calls
DIFFER_MOST = 0.25          # how much N may differ between two runs
REACHED_LEAST = 0.7         # of the kills that were meant: the others ended before their call came
TIMED_MS = 200
LINGER_SHARE, LINGER_S = 0.04, 2.5  # of the points wait for what is started again late
SLOTS = 3


def target_of(point):
    return point.split("/")[0]


def make_plan(point):
    """What the tracer is told at the first, second, ... start of the target."""
    head, *kills = point.split("/")
    plan = []
    for place, kill in enumerate(kills):
        when, call = kill.split(":")
        if when == "at":
            plan.append(int(call))
            continue
        follow = ["--follow", head.split("=")[1]] if head.startswith("runner=") and place == 0 else []
        plan.append([*follow, *([f"--kill-{when}", call] if when != "count" else [])])
    return plan


class Run:
    """One point."""

    def __init__(self, point, seed, groups, keep=False):
        self.point = point
        self.seed = seed
        self.keep = keep
        rng = random.Random(f"{seed} {point}")
        head = target_of(point)
        name = {"runner": "manager", "broker": "message_broker"}.get(head.split("=")[0], head)
        self.scene = scene_of(head, rng, name, make_plan(point), groups, SLOTS if head == "scheduler" else 0)
        self.meant = sum("count" not in kill for kill in point.split("/")[1:])
        self.scene.runner_dies = head.startswith("runner=")

    def play(self):
        scene = self.scene
        if scene.target in ("supervisor", AGGREGATOR):
            scene.start(scene.target)
        elif scene.target == "scheduler":
            # A second before noon.
            now = time.time()
            offset = 12 * 3600 - 1 - int(now) % 86400
            scene.target_environment = {"NOWCAST_TEST_CLOCK_OFFSET_S": str(offset)}
            scene.start("message_broker", "manager", "scheduler")
            self.play_noon()
            return
        else:
            scene.start("message_broker", "manager")
        scene.play_day()

    def play_noon(self):
        """Only a few messages, and the slots of the schedules; one that was missed is R18, and not judged here."""
        scene = self.scene
        noon = time.monotonic() + 1.3
        for number in (6, 8):
            scene.messages.append(scene.message(number, "feed", dict(DAY)[number],
                                                {f"m{number}": True, "n": str(number)}))
            scene.ask(scene.messages[-1])

        def is_past():
            ticks = sum(key[0] == "ticker" for key in scene.ledger.read())
            late = scene.restarts and time.monotonic() > scene.started_at + 1
            return time.monotonic() > noon and (ticks == SLOTS or late)
        scene.wait(is_past, 6)

    def run(self):
        began = time.monotonic()
        scene = self.scene
        try:
            self.play()
            scene.wait_until_quiet()
            if scene.rng.random() < LINGER_SHARE:
                scene.wait(lambda: False, LINGER_S)
            scene.repeat_one()
            scene.check_stale()
            scene.check_left_over()
            scene.stop()
            scene.judge()
            scene.check_spool()
            scene.check_database()
        except Hopeless as error:
            scene.violate("R1", str(error))
        finally:
            if scene.replies == 0:
                scene.violate("harness", "there was no reply at all")
            result = self.result(time.monotonic() - began)
            scene.close(self.keep)
        return result

    def result(self, seconds):
        targets = [daemon for daemon in self.scene.started if daemon.name == self.scene.target]
        deeds = [deed for deed in (daemon.deed() for daemon in targets) if deed is not None]
        deeds += ["killed at a time"] * self.scene.timed_kills
        ticks = {key for key in self.scene.ledger.ran if key[0] == "ticker"}
        return {"point": self.point, "seed": self.seed, "seconds": seconds, "deeds": deeds, "meant": self.meant,
                "counted": targets[0].counted() if targets else 0, "replies": self.scene.replies,
                "judged": self.scene.JUDGED, "violations": self.scene.violations,
                "missed": self.scene.schedules - len(ticks), "log": self.scene.log()[-1500:],
                "directory": self.scene.directory}


class KillSweep(sweep_base.Sweep):
    RUN = Run
    ABOUT = "kill a daemon at each of its calls, and judge what came of it"

    def sizes_of(self, target):
        return self.options.points or (LONG if os.environ.get("NOWCAST_TEST_LONG") else POINTS)[target]

    def count(self, head):
        """How many calls there are: twice, and not much differently."""
        counts = [self.play_one(f"{head}/count:0").get("counted", 0) for _ in range(2)]
        if min(counts) == 0 or max(counts) - min(counts) > DIFFER_MOST * max(counts) + 5:
            self.too_little(f"{head}: the number of calls was {counts[0]}, and then {counts[1]}, no two runs are alike")
        return counts

    def one_kill(self, call):
        return f"{self.rng.choice(('before', 'after'))}:{call}"

    def points_of(self, head, count, calls):
        """Spread over all calls; each second one is killed again while it starts."""
        points = []
        start = self.rng.random()
        for number in range(count):
            # The supervisor does little while the others work: it is killed at any time, too.
            timed = head == "broker" or (head == "supervisor" and number % 3 == 0)
            point = f"at:{self.rng.randint(1, TIMED_MS)}" if timed else self.one_kill(
                int((number + start) * calls / count) % calls + 1)
            if number % 2 and not head.startswith("runner="):
                point += "/" + self.one_kill(self.rng.randint(1, min(calls, RESTART_CALLS_MOST)))
            points.append(f"{head}/{point}")
        return points

    def sweep(self, target, sizes):
        began = time.monotonic()
        heads = [f"runner={which}" for which in RUNNERS] if target == "runner" else [target]
        points, counts = [], []
        for head in heads:
            found = self.count(head)
            counts = [found[0] + (counts[0] if counts else 0), found[1] + (counts[1] if counts else 0)]
            points += self.points_of(head, sizes // len(heads), max(1, found[1]))
        self.show(target, self.play_all(target, points), counts, time.monotonic() - began)

    def show(self, target, results, counts, seconds):
        kills = sum(len(result["deeds"]) for result in results)
        meant = sum(result.get("meant", 1) for result in results)
        bad = [result for result in results if result["violations"]]
        missed = sum(result.get("missed", 0) for result in results)
        print(f"{target}: {len(results)} points, {kills} kills, {len(bad)} violations; "
              + (f"N = {counts[0]} and {counts[1]}; " if counts[0] else "")
              + (f"{missed} slots missed (R18); " if missed else "")
              + f"{seconds:.0f} s", flush=True)
        report.figure("sweep", f"points of {target}", len(results))
        report.figure("sweep", f"kills of {target}", kills)
        if kills < REACHED_LEAST * meant:
            self.too_little(f"{target}: only {kills} of {meant} kills came about")

    def words_of(self, result):
        return f"{len(result['deeds'])} kills, {result['counted']} calls"


if __name__ == "__main__":
    KillSweep.main(POINTS)
