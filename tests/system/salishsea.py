#!/usr/bin/python3
"""A whole deployment as its operators have it: the rules of SalishSeaCast against what their system did.

usage: salishsea.py NOWCAST BRAIN_DAY

The directory is $NOWCAST_TEST_SALISHSEA, else ../shared/salishsea beside the checkout; without it, the test is
skipped (exit status 77). `cases.json` says itself what its fields mean. Each case is one message, asked of
`nowcast next --json`; each sequence is a day of messages, judged by the manager's own code (brain_day), with its
groups.
"""

import json
import os
import subprocess
import sys
import tempfile

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.environ.get("NOWCAST_TEST_SOURCE_ROOT", os.path.join(HERE, "..", ".."))
PLACE = os.environ.get("NOWCAST_TEST_SALISHSEA", os.path.join(ROOT, "..", "shared", "salishsea"))
# Workers of the framework that the recorded rules know and the deployment does not register.
OTHERS = {name: {"checklist key": "sleepyhead", "success": "well", "failure": "badly", "crash": "crashed"}
          for name in ("sleep", "awaken")}
NO_SUCH_THING, BAD_CONFIG, SKIPPED = 4, 8, 77

failures = []


class Dumper(yaml.SafeDumper):
    """Sets that keep their order: it is the order of the launches."""


class Set(list):
    pass


Dumper.add_representer(Set, lambda dumper, elements: dumper.represent_mapping(
    "tag:yaml.org,2002:set", [(element, None) for element in elements]))


def real(value):
    """The value that the JSON stands for."""
    if isinstance(value, dict):
        if set(value) == {"$set"}:
            return Set(value["$set"])
        return {key: real(inner) for key, inner in value.items()}
    return [real(inner) for inner in value] if isinstance(value, list) else value


def dump(path, value):
    with open(path, "w", encoding="utf-8") as file:
        yaml.dump(value, file, Dumper=Dumper, sort_keys=False)


def complain(name, text):
    failures.append(name)
    print(f"FAILED: {name}: {text}")


class Deployment:
    """A directory with the rules and the registry, and a configuration for each case."""

    def __init__(self, nowcast, directory):
        self.nowcast = nowcast
        self.directory = directory
        self.environment = dict(os.environ, NOWCAST_ENV=directory, NOWCAST_LOGS=directory)
        with open(os.path.join(PLACE, "nowcast.yaml"), encoding="utf-8") as file:
            self.production = yaml.safe_load(file)
        with open(os.path.join(PLACE, "next_workers.yaml"), encoding="utf-8") as file:
            rules = file.read()
        with open(self.path("next_workers.yaml"), "w", encoding="utf-8") as file:
            file.write(rules)
        self.workers = self.production["message registry"]["workers"]
        self.workers.update({name: entry for name, entry in OTHERS.items() if name not in self.workers})
        self.frame = {key: self.production[key] for key in ("checklist file", "logging", "message registry")}
        self.frame_text = yaml.dump(self.frame, Dumper=Dumper, sort_keys=False)

    def path(self, name):
        return os.path.join(self.directory, name)

    def configure(self, sections):
        with open(self.path("nowcast.yaml"), "w", encoding="utf-8") as file:
            file.write(self.frame_text)
            if sections:
                yaml.dump(sections, file, Dumper=Dumper, sort_keys=False)

    def run(self, *arguments):
        return subprocess.run([self.nowcast, *arguments], env=self.environment, cwd=self.directory,
                              capture_output=True, text=True, timeout=60, check=False)

    def next(self, worker, message_type, payload, checklist, today):
        dump(self.path("payload.yaml"), payload)
        dump(self.path("checklist.yaml"), checklist)
        return self.run("next", "nowcast.yaml", worker, message_type, "--payload", "payload.yaml", "--checklist",
                        "checklist.yaml", "--today", today or "2000-01-01", "--json")


def launches(expected):
    return [{"worker": launch["module"].rsplit(".", 1)[1], "args": launch["args"], "host": launch["host"]}
            for launch in expected]


def in_any_order(got, wanted, free):
    """With the positions in `free` in an order of their own."""
    fixed = [index for index in range(len(wanted)) if index not in free]
    return (len(got) == len(wanted) and all(got[index] == wanted[index] for index in fixed)
            and sorted(map(str, (got[index] for index in free))) == sorted(map(str, (wanted[index] for index in free))))


def run_case(deployment, case):
    deployment.configure(real(case["config"]))
    done = deployment.next(case["worker"], case["type"], real(case["payload"]), real(case["checklist"]), case["now"])
    registered = set(deployment.workers[case["worker"]]) | {"crash", "lost"}
    expected = case["expect"]
    if case["type"] not in registered or "error" in expected:
        wanted = BAD_CONFIG if case["type"] in registered else NO_SUCH_THING
        if done.returncode != wanted or done.stdout:
            complain(case["id"], f"exit status {done.returncode}, expected {wanted}: {done.stdout}{done.stderr}")
        elif wanted == BAD_CONFIG and not done.stderr.startswith("next_workers.yaml:"):
            complain(case["id"], f"the error does not say where: {done.stderr}")
        return
    if done.returncode != 0:
        complain(case["id"], f"exit status {done.returncode}: {done.stderr}")
        return
    got, wanted = json.loads(done.stdout), launches(expected["next"])
    free = expected.get("any_order") or case.get("any_order") or []
    if not in_any_order(got["next"], wanted, free):
        complain(case["id"], f"expected {wanted}, got {got['next']}")
    if sorted(got["hold until"]) != sorted(expected["race"] or []):
        complain(case["id"], f"expected the group {expected['race']}, got {got['hold until']}")


def waiting_and_held(groups):
    """The workers that all open groups wait for, and the launches that they hold."""
    return (sorted(member.split(" ")[0] for group in groups for member in group["waits for"]),
            [launch for group in groups for launch in group["holds"]])


def as_command(launch):
    return " ".join([launch["worker"], *launch["args"]]) + ("" if launch["host"] == "localhost" else f" on {launch['host']}")


def run_sequence(deployment, brain_day, sequence):
    """All messages of the day, one after the other, by the manager's own code."""
    deployment.configure({key: value for key, value in deployment.production.items()
                          if key not in deployment.frame and key != "slack notifications"})
    messages = "".join(
        yaml.dump({"source": step["worker"], "type": step["type"], "payload": real(step["payload"])}, Dumper=Dumper,
                  default_flow_style=True, width=1 << 20) for step in sequence["steps"])
    done = subprocess.run([brain_day, deployment.path("nowcast.yaml"), deployment.path("next_workers.yaml"), sequence["now"]],
                          input=messages, env=deployment.environment, capture_output=True, text=True, timeout=60, check=False)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode != 0 or len(results) != len(sequence["steps"]):
        complain(sequence["name"], f"exit status {done.returncode}, {len(results)} answers: {done.stderr}")
        return
    for number, (step, result) in enumerate(zip(sequence["steps"], results), 1):
        name, expected = f"{sequence['name']}, step {number}", step["expect"]
        if result["reply"] != expected["reply"]["type"]:
            complain(name, f"expected the reply {expected['reply']['type']}, got {result['reply']}")
        if result["launch"] != launches(expected["launch"]):
            complain(name, f"expected {launches(expected['launch'])}, got {result['launch']}")
        after = expected["race after"] or {"must finish": [], "held": []}
        wanted = sorted(after["must finish"]), [as_command(launch) for launch in launches(after["held"])]
        if waiting_and_held(result["groups"]) != wanted:
            complain(name, f"expected the group {wanted}, got {result['groups']}")


def check_files(deployment):
    """No errors; the warnings are of two kinds, and right."""
    with open(os.path.join(PLACE, "nowcast.yaml"), encoding="utf-8") as file:
        text = file.read()
    with open(deployment.path("nowcast.yaml"), "w", encoding="utf-8") as file:
        file.write(text)
    done = deployment.run("check", "nowcast.yaml", "--json")
    report = json.loads(done.stdout)
    names = {finding["name"] for finding in report["findings"] if finding["severity"] == "warning"}
    if done.returncode != 0 or report["errors"] != 0:
        complain("check", f"exit status {done.returncode}: {done.stdout}")
    if names - {"unmatched-success", "unregistered-entry", "directory", "few-descriptors"}:
        complain("check", f"other warnings than expected: {names}")


def main():
    nowcast, brain_day = (os.path.abspath(program) for program in sys.argv[1:])
    if not os.path.isfile(os.path.join(PLACE, "cases.json")):
        print(f"SKIPPED: the recorded cases are not there: {PLACE}")
        return SKIPPED
    os.umask(0o022)
    with open(os.path.join(PLACE, "cases.json"), encoding="utf-8") as file:
        recorded = json.load(file)
    with tempfile.TemporaryDirectory(prefix="nowcast-") as directory:
        deployment = Deployment(nowcast, directory)
        check_files(deployment)
        for case in recorded["cases"]:
            run_case(deployment, case)
        for sequence in recorded["sequences"]:
            run_sequence(deployment, brain_day, sequence)
    cases, sequences = len(recorded["cases"]), len(recorded["sequences"])
    if cases == 0 or sequences == 0:
        complain("cases.json", "there is nothing in it")
    print(f"{cases} cases, {sequences} sequences, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
