#!/usr/bin/python3
"""Print `PASSED FAILED` from a meson testlog.json: one object a line. No test at all counts as failed."""

import json
import sys


def main():
    passed = failed = 0
    try:
        with open(sys.argv[1], encoding="utf-8") as log:
            for line in log:
                result = json.loads(line)["result"]
                if result in ("OK", "EXPECTEDFAIL"):
                    passed += 1
                elif result != "SKIP":
                    failed += 1
    except FileNotFoundError:
        pass
    if passed + failed == 0:
        failed = 1
    print(passed, failed)


main()
