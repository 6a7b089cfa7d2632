#!/usr/bin/python3
"""Run each fuzzer of a build directory for some seconds, two at a time; print `PASSED FAILED`.

usage: run_fuzzers.py BUILD SECONDS

A fuzzer fails when it crashes, leaks, or takes longer than 1 s for one input. What it was given then is
kept in BUILD/fuzz-findings, and its name and seed are shown on standard error.
"""

import concurrent.futures
import pathlib
import subprocess
import sys
import tempfile


def run(fuzzer, seconds, findings):
    seeds = pathlib.Path(__file__).resolve().parents[1] / "fuzz" / "corpus" / fuzzer.name
    with tempfile.TemporaryDirectory(prefix="nowcast-fuzz-") as corpus:
        command = [
            str(fuzzer),
            f"-max_total_time={seconds}",
            "-timeout=1",
            "-rss_limit_mb=1024",
            "-max_len=65536",
            "-print_final_stats=1",
            f"-artifact_prefix={findings}/{fuzzer.name}-",
            corpus,
        ]
        if seeds.is_dir():
            command.append(str(seeds))
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return fuzzer.name, done.returncode, done.stderr


def main():
    build, seconds = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    findings = build / "fuzz-findings"
    findings.mkdir(exist_ok=True)
    fuzzers = sorted(
        path for path in (build / "tests" / "fuzz").glob("fuzz_*") if path.is_file() and path.suffix == ""
    )
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for name, status, text in pool.map(lambda f: run(f, seconds, findings), fuzzers):
            runs = [line for line in text.splitlines() if "number_of_executed_units" in line]
            cases = runs[0].split()[-1] if runs else "no"
            print(f"{name}: {cases} cases, exit status {status}", file=sys.stderr)
            if status == 0 and runs:
                passed += 1
            else:
                failed += 1
                print("\n".join(text.splitlines()[-60:]), file=sys.stderr)
    if passed + failed == 0:
        failed = 1
    print(passed, failed)


main()
