#!/usr/bin/python3
"""Which branches the tests have taken, of the modules on which all depends.

usage: branch_coverage.py BUILD [PERCENT]

BUILD was configured with -Db_coverage=true, and its tests have run. Prints each file with the lines of the branches
that were never taken; exit status 1 when less than PERCENT (95) of all were, or when there is nothing to count.
What is not counted: branches of a line marked `no branch` (impossible ones, which say why), and the halves that the
compiler makes of asserts.
"""
import json
import pathlib
import re
import subprocess
import sys

MODULES = ("core/decide/store", "core/decide/brain", "core/system/message", "core/work/claim", "core/work/exit_record",
           "core/work/runner", "core/work/spool", "core/decide/rules")
ROOT = pathlib.Path(__file__).resolve().parents[2]


def measure(build):
    """{file: [(line, branches taken, branches)]}"""
    done = subprocess.run(
        ["gcovr", "--root", str(ROOT), "--filter", "src/", "--json", "-", "--exclude-throw-branches",
         "--gcov-ignore-parse-errors", str(build)],
        stdout=subprocess.PIPE, check=True, timeout=600, cwd=ROOT)
    found = {}
    for file in json.loads(done.stdout)["files"]:
        name = file["file"].removeprefix("src/")
        if not name.startswith(MODULES):
            continue
        source = (ROOT / file["file"]).read_text(encoding="utf-8").splitlines()
        for line in file["lines"]:
            text = source[line["line_number"] - 1]
            if line["branches"] and not re.search(r"\bassert\(|no branch", text):
                found.setdefault(name, []).append(
                    (line["line_number"], sum(branch["count"] > 0 for branch in line["branches"]),
                     len(line["branches"])))
    return found


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    wanted = float(sys.argv[2]) if len(sys.argv) == 3 else 95.0
    taken = of = 0
    for name, lines in sorted(measure(pathlib.Path(sys.argv[1]).resolve()).items()):
        file_taken, file_of = sum(line[1] for line in lines), sum(line[2] for line in lines)
        never = ", ".join(str(line[0]) for line in lines if line[1] < line[2])
        print(f"  {name:36} {100 * file_taken / file_of:5.1f} % of {file_of:4}" + (f"   not all: {never}" if never else ""))
        taken, of = taken + file_taken, of + file_of
    if of == 0:
        print("branch_coverage: nothing was counted")
        return 1
    print(f"  {'together':36} {100 * taken / of:5.1f} % of {of:4}   wanted: {wanted:.0f} %")
    return 0 if 100 * taken >= wanted * of else 1


if __name__ == "__main__":
    sys.exit(main())
