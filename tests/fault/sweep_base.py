"""What the programs of the kill sweep and of the error sweep share: their options, the pool that plays points side by
side, and what is told of violations, progress and promises.

A program makes a class of runs, `Run(point, seed, groups, keep)`, whose run() returns a dictionary with at least the
keys of failed_result(), and a subclass of Sweep with `RUN` (that class) and `ABOUT`, sweep(target, sizes) and
sizes_of(target), and words_of(result) for one point.
"""
import argparse
import multiprocessing
import os
import random
import sys
import time

import report
from sweep_common import groups_are_there, seed_from_environment

PROGRESS_S = 60
WAITING = {"scheduler", "log_aggregator"}   # in these runs hardly anything happens: more of them at once
WAITING_JOBS = 3


def failed_result(point, seed, words):
    return {"point": point, "seed": seed, "seconds": 0, "deeds": [], "replies": 0, "judged": (), "violations": [words],
            "log": "", "directory": ""}


def play(work):
    run_class, point, seed, groups = work
    try:
        return run_class(point, seed, groups).run()
    except Exception as error:  # the sweep goes on, and fails
        return failed_result(point, seed, f"harness: {type(error).__name__}: {error}")


class Sweep:
    RUN = None
    ABOUT = ""

    def __init__(self, options):
        self.options = options
        self.rng = random.Random(options.seed)
        self.groups = groups_are_there()
        self.failed = False
        self.tally = report.Tally()

    def play_one(self, point):
        result = play((self.RUN, point, self.options.seed, self.groups))
        self.look_at(result)
        return result

    def play_all(self, target, points):
        """In any order; says from time to time how far it is."""
        self.rng.shuffle(points)
        results = []
        said_at = time.monotonic()
        work = [(self.RUN, point, self.options.seed, self.groups) for point in points]
        with multiprocessing.Pool(self.options.jobs * (WAITING_JOBS if target in WAITING else 1)) as pool:
            for result in pool.imap_unordered(play, work):
                self.look_at(result)
                results.append(result)
                if time.monotonic() > said_at + PROGRESS_S:
                    said_at = time.monotonic()
                    print(f"{target}: {len(results)} of {len(points)} points", flush=True)
        return results

    def look_at(self, result):
        """One case of each promise that its judge judges."""
        found = [violation.split(": ", 1) for violation in result["violations"]]
        for promise in result["judged"]:
            self.tally.count(promise)
        for promise, words in found:
            if promise[1:].isdigit():
                self.tally.violation(promise, words)
        if not found:
            return
        self.failed = True
        print(f"\nVIOLATION at {result['point']}: " + "; ".join(result["deeds"] or ["nothing was done to it"]))
        for violation in result["violations"]:
            print(f"  {violation}")
        print(f"  again: {sys.argv[0]} --seed {result['seed']} --only {result['point']} --keep", flush=True)

    def too_little(self, words):
        print(f"{words}: this proves too little", flush=True)
        self.failed = True

    def run(self, targets):
        print(f"seed {self.options.seed}; groups {'are judged too' if self.groups else 'are not there yet'}", flush=True)
        for target in [self.options.target] if self.options.target else targets:
            self.sweep(target, self.sizes_of(target))
        self.tally.tell()
        return 1 if self.failed else 0

    def run_one(self):
        result = self.RUN(self.options.only, self.options.seed, self.groups, self.options.keep).run()
        self.look_at(result)
        print(f"{result['point']}: {len(result['violations'])} violations, {self.words_of(result)}, "
              f"{result['replies']} replies, {result['seconds']:.2f} s; " + "; ".join(result["deeds"]))
        if self.options.keep:
            print(f"kept in {result['directory']}\n{result['log']}")
        return 1 if result["violations"] else 0

    @classmethod
    def main(cls, targets):
        parser = argparse.ArgumentParser(description=cls.ABOUT)
        parser.add_argument("--target", choices=list(targets))
        parser.add_argument("--points", type=int)
        parser.add_argument("--jobs", type=int, default=max(2, min(4, 2 * len(os.sched_getaffinity(0)))))
        parser.add_argument("--seed", type=int, default=seed_from_environment())
        parser.add_argument("--only", metavar="POINT")
        parser.add_argument("--keep", action="store_true")
        sweep = cls(parser.parse_args())
        sys.exit(sweep.run_one() if sweep.options.only else sweep.run(list(targets)))
