#!/usr/bin/python3
"""The table of the promises: what the fault suites have tried, and how often one was broken.

usage: promises.py REPORT

REPORT has the lines that tests/fault/report.py describes; no such file is an empty one. Exit status 1: a violation,
or a line that cannot be read.
"""
import re
import sys

PROMISE = re.compile(r"promise ([RS][0-9]+) cases ([0-9]+) violations ([0-9]+)")
FIGURE = re.compile(r"figure ([a-z_]+) (.+) (\S+)")


def read(lines):
    """({promise: [cases, violations]}, [(suite, words, value)], [lines that cannot be read])"""
    promises, figures, strange = {}, [], []
    for line in lines:
        promise, figure = PROMISE.fullmatch(line), FIGURE.fullmatch(line)
        if promise:
            sums = promises.setdefault(promise[1], [0, 0])
            sums[0] += int(promise[2])
            sums[1] += int(promise[3])
        elif figure:
            figures.append(figure.groups())
        else:
            strange.append(line)
    return promises, figures, strange


def main():
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            promises, figures, strange = read(file.read().splitlines())
    except FileNotFoundError:
        return 0
    for suite, words, value in figures:
        print(f"  {suite:10} {words}: {value}")
    print(f"  {'promise':8} {'cases':>9} {'violations':>11}")
    for name in sorted(promises, key=lambda name: (name[0], int(name[1:]))):
        cases, violations = promises[name]
        print(f"  {name:8} {cases:9,} {violations:11,}")
    for line in strange:
        print(f"  promises.py: this line cannot be read: {line}")
    return 1 if strange or any(violations for _, violations in promises.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
