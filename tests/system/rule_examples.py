#!/usr/bin/python3
"""Each example of next_workers.yaml(5) does what its comments say.

usage: rule_examples.py NOWCAST        (or $NOWCAST_TEST_BINARY)

`# after: WORKER TYPE` begins a message; `#   payload:`, `checklist:`, `config:`, `arguments:` say what else there
is, and `#   launched:` what `nowcast next` prints, a line each; `nothing`: it prints nothing.
"""

import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "..", "..", "man", "next_workers.yaml.5")
TODAY = "2026-11-24"
TYPES = {
    "crop_gribs": ["06", "12"], "grib_to_netcdf": ["nowcast+", "forecast2"], "collect_ssh": ["06", "18"],
    "download_weather": ["06", "12"], "collect_weather": ["12"],
    "download_results": ["nowcast", "forecast", "forecast2"], "make_links": ["nowcast", "agrif"],
    "make_plots": [], "update_datasets": [], "clean_up": [], "upload_forcing": [], "make_averages": [],
    "archive_tarball": [], "make_ssh_files": [], "run_model": [], "run_agrif": [], "rotate_logs": [],
}
LEAST_EXAMPLES = 15

failures = []


def complain(text):
    failures.append(text)
    print(f"FAILED: {text}")


def config():
    lines = ["checklist file: checklist.yaml", "logging: {version: 1, root: {level: INFO}}", "message registry:",
             "  workers:"]
    for worker, words in TYPES.items():
        types = [f"{meaning} {word}" for word in words for meaning in ("success", "failure")] or ["success", "failure"]
        lines.append(f"    {worker}: {{checklist key: {worker}, {', '.join(f'{name}: yes' for name in types)}}}")
    return "\n".join(lines).replace(": yes", ": well") + "\n"


def messages(example):
    """(worker, type, {what: text}, [lines]) of each."""
    found = []
    for line in re.findall(r"^# (.*)$", example, re.MULTILINE):
        after = re.fullmatch(r"after: (\S+) (.+)", line)
        other = re.fullmatch(r"  (payload|checklist|config|arguments|launched): (.*)", line)
        if after:
            found.append((after[1], after[2], {}, []))
        elif other and other[1] == "launched":
            found[-1][3].append(other[2])
        elif other:
            found[-1][2][other[1]] = other[2]
        else:
            complain(f"this comment of an example says nothing that is tested: {line}")
    return found


def run_message(nowcast, directory, number, message):
    worker, message_type, given, wanted = message
    command = [nowcast, "next", "nowcast.yaml", worker, message_type, "--today", TODAY]
    with open(os.path.join(directory, "nowcast.yaml"), "w", encoding="utf-8") as file:
        file.write(config() + re.sub(r"^\{(.*)\}$", r"\1", given.get("config", "")) + "\n")
    for name in ("payload", "checklist"):
        if name in given:
            with open(os.path.join(directory, f"{name}.yaml"), "w", encoding="utf-8") as file:
                file.write(given[name])
            command += [f"--{name}", f"{name}.yaml"]
    if "arguments" in given:
        command += ["--arguments", given["arguments"]]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    got = [line.removesuffix("; give up after: 24 h") for line in done.stdout.splitlines()]
    if done.returncode != 0 or got != [line for line in wanted if line != "nothing"] or not wanted:
        complain(f"example {number}, {worker} {message_type}: expected {wanted}, got {got}\n{done.stderr}")


def run_example(nowcast, directory, number, example):
    with open(os.path.join(directory, "next_workers.yaml"), "w", encoding="utf-8") as file:
        file.write(example)
    found = messages(example)
    if not found:
        complain(f"example {number} does not say what it does")
    for message in found:
        run_message(nowcast, directory, number, message)
    done = subprocess.run([nowcast, "check", "nowcast.yaml"], cwd=directory, capture_output=True, text=True, timeout=60,
                          check=False)
    wrong = [line for line in done.stdout.splitlines() if line.startswith("next_workers.yaml:")
             and "[unmatched-success]" not in line]
    if done.returncode != 0 or wrong:
        complain(f"example {number}: check says {wrong or done.stdout}")


def main():
    nowcast = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.environ["NOWCAST_TEST_BINARY"])
    os.umask(0o022)
    with open(PAGE, encoding="utf-8") as file:
        examples = re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", file.read().split("\n.Sh EXAMPLES\n", 1)[1],
                              re.MULTILINE | re.DOTALL)
    with tempfile.TemporaryDirectory(prefix="nowcast-") as directory:
        for number, example in enumerate(examples, 1):
            run_example(nowcast, directory, number, example)
    if len(examples) < LEAST_EXAMPLES:
        complain(f"only {len(examples)} examples found: the test does not read the page")
    print(f"{len(examples)} examples, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
