#!/usr/bin/python3
"""Mutants: our own code, broken on purpose. A test that cannot notice proves nothing (promises.md, "How each is
proved", 5).

usage: mutants.py --check
       mutants.py [--sample N] PLACE [NAME ...]

Each tests/mutants/NAME.patch begins with these lines, and then has the change:

    Breaks: R2: a message that comes again is judged again
    Noticed by: unit brain; system/manager.py Duplicates.test_it_is_answered_alike

One of the tests has to fail; `unit NAME` is tests/unit/test_NAME.c, the others are scripts with their arguments. They
pass on what is not broken: that is tried first. PLACE, a directory, gets a copy of the sources and a build for each of
the workers; it may be there from the last time. Prints a table; exit status 1 when a mutant survives.

--sample N: only so many of them, others each day, by $NOWCAST_TEST_SEED.
--check: do all patches still apply, and are the tests there?
"""
import argparse
import concurrent.futures
import os
import pathlib
import queue
import random
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import report  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
MUTANTS = ROOT / "tests/mutants"
COPIED = ("src", "tests", "man", "examples", "subprojects", "meson.build", "meson_options.txt")
TEST_S = 180
SKIPPED = 77  # the exit status of a test that cannot be tried here
HEAD = re.compile(r"Breaks: ([RS]\d+): (.+)\nNoticed by: (.+)\n")


class Mutant:
    def __init__(self, path):
        self.name = path.stem
        self.path = path
        text = path.read_text(encoding="utf-8")
        head = HEAD.match(text)
        if head is None:
            raise SystemExit(f"mutants.py: {path.name}: it does not begin with `Breaks:` and `Noticed by:`")
        self.promise, self.words = head[1], head[2]
        self.tests = [test.strip() for test in head[3].split(";")]
        self.files = re.findall(r"^\+\+\+ b/(\S+)", text, re.MULTILINE)

    def apply(self, tree, *options):
        return subprocess.run(["patch", "-p1", "--batch", "--forward", "--no-backup-if-mismatch", "-r", "-", *options,
                               "-d", tree, "-i", self.path], capture_output=True, text=True, check=False)


def mutants(names):
    found = [Mutant(path) for path in sorted(MUTANTS.glob("*.patch"))]
    unknown = set(names) - {mutant.name for mutant in found}
    if unknown:
        raise SystemExit(f"mutants.py: there is no {', '.join(sorted(unknown))}")
    return [mutant for mutant in found if not names or mutant.name in names]


def test_file(test):
    kind, _, rest = test.partition(" ")
    return ROOT / "tests" / (f"unit/test_{rest}.c" if kind == "unit" else kind)


def check(found):
    problems = 0
    for mutant in found:
        done = mutant.apply(ROOT, "--dry-run")
        if done.returncode != 0 or not mutant.files:
            print(f"{mutant.path.name} does not apply any more; mend it:\n{done.stdout}{done.stderr}")
            problems += 1
        for test in mutant.tests:
            script, _, names = test.partition(" ")
            if not test_file(test).is_file():
                print(f"{mutant.path.name}: there is no {test_file(test)}")
                problems += 1
            elif script != "unit":
                text = test_file(test).read_text(encoding="utf-8")
                for name in re.findall(r"\b[A-Z]\w+|\btest_\w+", names):
                    if not re.search(rf"\b(class|def) {name}\b", text):
                        print(f"{mutant.path.name}: {script} has no {name}")
                        problems += 1
    if len(found) < 15:
        print(f"there are only {len(found)} mutants")
        problems += 1
    return 1 if problems else 0


class Bench:
    """A copy of the sources and its build."""

    def __init__(self, place):
        self.tree, self.build = place / "tree", place / "build"
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree.mkdir(parents=True)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.tree / name, ignore=shutil.ignore_patterns("build*", "__pycache__"))
            else:
                shutil.copy2(ROOT / name, self.tree / name)
        if not (self.build / "build.ninja").exists():
            self.run_or_end("meson", "setup", str(self.build), str(self.tree))

    @staticmethod
    def run_or_end(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"mutants.py: {' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")

    def compile(self, tests):
        """None, or what the compiler says."""
        targets = {"src/nowcast", "tests/net_peer", "tests/log_demo"} if any(
            not test.startswith("unit ") for test in tests) else set()
        targets |= {f"tests/test_{test.split()[1]}" for test in tests if test.startswith("unit ")}
        done = subprocess.run(["ninja", "-C", str(self.build), *sorted(targets)], capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else done.stdout[-3000:]

    def passes(self, test):
        """(does it pass, or None: it cannot be tried here; what it says)"""
        words = test.split()
        if words[0] == "unit":
            command = [str(self.build / f"tests/test_{words[1]}")]
        else:
            command = [sys.executable, "-B", str(self.tree / "tests" / words[0]), *words[1:]]
        environment = {
            **{name: value for name, value in os.environ.items() if name != "NOWCAST_TEST_REPORT"},
            "NOWCAST_TEST_DEADLINE_S": "10",  # what never comes is not waited for for long
            "NOWCAST_TEST_BINARY": str(self.build / "src/nowcast"),
            "NOWCAST_TEST_NET_PEER": str(self.build / "tests/net_peer"),
            "NOWCAST_TEST_LOG_DEMO": str(self.build / "tests/log_demo"),
            "NOWCAST_TEST_SOURCE_ROOT": str(self.tree),
            "PYTHONPATH": str(self.tree / "tests/system"),
        }
        try:
            done = subprocess.run(command, cwd=self.build, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace", timeout=TEST_S, check=False)
        except subprocess.TimeoutExpired as late:
            return False, f"not over within {late.timeout:.0f} s"
        return None if done.returncode == SKIPPED else done.returncode == 0, done.stdout[-3000:]

    def try_mutant(self, mutant):
        """The test that noticed; None: it survived. SystemExit: it is no mutant."""
        done = mutant.apply(self.tree)
        try:
            if done.returncode != 0:
                raise SystemExit(f"mutants.py: {mutant.name} does not apply:\n{done.stdout}")
            said = self.compile(mutant.tests)
            if said is not None:
                raise SystemExit(f"mutants.py: {mutant.name} does not compile:\n{said}")
            for test in mutant.tests:
                if self.passes(test)[0] is False:
                    return test
            return None
        finally:
            for name in mutant.files:
                shutil.copy(ROOT / name, self.tree / name)  # with a new time: it is compiled again


def try_all(found, benches):
    free = queue.Queue()
    for bench in benches:
        free.put(bench)

    def one(mutant):
        bench = free.get()
        began = time.monotonic()
        try:
            return mutant, bench.try_mutant(mutant), time.monotonic() - began
        finally:
            free.put(bench)

    survived = 0
    with concurrent.futures.ThreadPoolExecutor(len(benches)) as pool:
        for mutant, noticed, took in pool.map(one, found):
            survived += noticed is None
            print(f"  {mutant.name:34} {mutant.promise:4} {took:4.0f} s  {noticed or 'SURVIVED: ' + mutant.words}", flush=True)
    return survived


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--sample", type=int, metavar="N")
    parser.add_argument("place", nargs="?", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    found = mutants(args.names)
    if args.check or args.place is None:
        return check(found)
    if args.sample is not None and args.sample < len(found):
        seed = os.environ.get("NOWCAST_TEST_SEED") or str(int(time.time()))
        print(f"{args.sample} of {len(found)} mutants, by the seed {seed}")
        found = random.Random(seed).sample(found, args.sample)
    benches = [Bench(args.place.resolve() / str(number)) for number in range(min(2, os.cpu_count() or 1))]
    tests = sorted({test for mutant in found for test in mutant.tests})
    for bench in benches:
        said = bench.compile(tests)
        if said is not None:
            raise SystemExit(f"mutants.py: the sources do not compile:\n{said}")
    with concurrent.futures.ThreadPoolExecutor(len(benches)) as pool:
        for test, (passed, said) in zip(tests, pool.map(benches[0].passes, tests)):
            if passed is None:
                print(f"  {test}: {said.strip()}")
                for mutant in found:
                    mutant.tests = [left for left in mutant.tests if left != test]
            elif not passed:
                raise SystemExit(f"mutants.py: {test} fails without any mutant:\n{said}")
    survived = try_all([mutant for mutant in found if mutant.tests], benches)
    report.figure("mutants", "tried", sum(bool(mutant.tests) for mutant in found))
    report.figure("mutants", "survived", survived)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
