#!/usr/bin/python3
"""What is said of wrong rules: one file for each message of the rules in the source.

usage: rule_errors.py [--print] NOWCAST        (or $NOWCAST_TEST_BINARY)

Each file of rule_errors/ is a next_workers.yaml that says at its end what is to be found in it, one comment a line:
`# expect: 6:1: error: ... [name]`. With `# message: WORKER TYPE` in it, the rules are good and fail for that message:
`# expect: 6:1: ...` is then what `nowcast next` says (`# payload:`, `# checklist:`, `# today:` and `# arguments:` go
with it). Then the messages in the source are counted: each must have been seen.
"""

import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(HERE, "rule_errors")
SOURCE = os.path.join(HERE, "..", "..", "src", "core", "decide")
CONFIG = """\
checklist file: checklist.yaml
logging: {version: 1, root: {level: INFO}}
message registry:
  workers:
    sleep: {checklist key: sleepyhead, success: slept, success 06: slept, success 06 long: slept, failure: did not}
    awaken: {checklist key: sleepyhead, success: awoke, failure: did not}
    make_plots: {checklist key: plots, success: made, success nowcast: made, failure: did not}
stations: {VENUS: 1, SCVIP: 2}
run types: [nowcast, forecast]
"""
LIMITS = {"SLOTS_MOST": 200, "PATTERN_WORDS_MOST": 64, "NESTED_MOST": 16, "SAME_MOST": 16, "WORK_MOST": 100000,
          "LAUNCHES_MOST": 10000, "TEXT_MOST": 128 * 1024}

failures = []
seen = set()


def complain(text):
    failures.append(text)
    print(f"FAILED: {text}")


def expanded(text):
    """`%{200: x%d }` stands for a text 200 times: limits need large files."""
    return re.sub(r"%\{(\d+):([^}]*)\}", lambda match: "".join(
        match[2].replace("%d", str(number)) for number in range(int(match[1]))), text)


def field(text, name):
    match = re.search(rf"^# {name}: (.*)$", text, re.MULTILINE)
    return expanded(match[1]) if match else None


def run(nowcast, directory, *arguments):
    return subprocess.run([nowcast, *arguments], cwd=directory, capture_output=True, text=True, timeout=60, check=False)


def check_findings(nowcast, directory):
    """Exit status, and the findings about the rules."""
    done = run(nowcast, directory, "check", "nowcast.yaml")
    return done.returncode, re.findall(r"^next_workers\.yaml:(.*)$", done.stdout, re.MULTILINE)


def ask(nowcast, directory, text, message):
    """Exit status, and what is said of the failure. On the standard output stands nothing."""
    worker, message_type = message.split(" ", 1)
    options = []
    for name in ("payload", "checklist"):
        if field(text, name) is not None:
            with open(os.path.join(directory, f"{name}.yaml"), "w", encoding="utf-8") as file:
                file.write(field(text, name))
            options += [f"--{name}", f"{name}.yaml"]
    for name in ("today", "arguments"):
        if field(text, name) is not None:
            options += [f"--{name}", field(text, name)]
    done = run(nowcast, directory, "next", "nowcast.yaml", worker, message_type, *options)
    if done.stdout:
        complain(f"{message}: a rule that fails launches nothing, and this is launched: {done.stdout}")
    return done.returncode, re.findall(r"^next_workers\.yaml:(.*)$", done.stderr, re.MULTILINE)


def file_cases(nowcast, directory, show):
    with open(os.path.join(directory, "nowcast.yaml"), "w", encoding="utf-8") as file:
        file.write(CONFIG)
    names = sorted(os.listdir(CASES))
    for name in names:
        with open(os.path.join(CASES, name), encoding="utf-8") as file:
            text = file.read()
        with open(os.path.join(directory, "next_workers.yaml"), "w", encoding="utf-8") as file:
            file.write(expanded(text))
        status, found = check_findings(nowcast, directory)
        message = field(text, "message")
        wanted_status = 8 if message or any(": error: " in line for line in found) else 0
        if message and status != 0:
            complain(f"{name}: the rules themselves are to be good: {found}")
        if message:
            status, found = ask(nowcast, directory, text, message)
        seen.update(re.sub(r"^\d+:\d+: ((error|warning): )?", "", line) for line in found)
        wanted = re.findall(r"^# expect: (.*)$", text, re.MULTILINE)
        if show and found != wanted:
            print(name, *(f"# expect: {line}" for line in found), sep="\n")
        if not wanted:
            complain(f"{name} does not say what is to be found in it")
        if found != wanted:
            complain(f"{name}: expected {wanted}, got {found}")
        if status != wanted_status:
            complain(f"{name}: exit status {status}, expected {wanted_status}")
    return len(names)


def literal(text):
    return re.sub(r"\\(.)", r"\1", text)


def message_patterns():
    """The messages of all calls that report in rules_*.c: (file and line, regular expression)."""
    call_pattern = re.compile(r"\b(rules_error|rules_error_at|rules_warning_at|eval_fail)"
                              r"\(((?:[^;\"]|\"(?:[^\"\\]|\\.)*\")*?)\);")
    for name in sorted(os.listdir(SOURCE)):
        if not re.fullmatch(r"rules_.*\.c", name):
            continue
        with open(os.path.join(SOURCE, name), encoding="utf-8") as file:
            text = file.read()
        for call in call_pattern.finditer(text):
            groups = re.findall(r"(?:\"(?:[^\"\\]|\\.)*\"\s*(?:CUT_BY_YAML)?\s*)+", call[2])
            literals = ["".join(re.findall(r"\"((?:[^\"\\]|\\.)*)\"", group)) for group in groups]
            if not literals:
                continue  # its definition
            message = max((part for part in literals if not re.fullmatch(r"[a-z]+(-[a-z]+)*", part)), key=len)
            pattern = ".*".join(re.escape(literal(part)) for part in
                                re.split(r"%[-0-9.*]*(?:zu|lld|[suid])", message))
            yield f"{name}:{text.count(chr(10), 0, call.start()) + 1}", pattern


def count_messages():
    patterns = list(message_patterns())
    if len(patterns) < 50:
        complain(f"only {len(patterns)} messages found: the test does not read the source")
    for place, pattern in patterns:
        if not any(re.match(pattern, text, re.DOTALL) for text in seen):
            complain(f"{place}: no wrong rules for `{pattern}`")
    return len(patterns)


def check_limits():
    """The files are made for the limits of the source."""
    with open(os.path.join(SOURCE, "rules_internal.h"), encoding="utf-8") as file:
        text = file.read()
    for name, limit in LIMITS.items():
        match = re.search(rf"\b{name} = ([0-9 *]+),", text)
        product = 1
        for factor in match[1].split("*") if match else ["0"]:
            product *= int(factor)
        if product != limit:
            complain(f"{name} is {product}, and the files of rule_errors are made for {limit}")


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--print"]
    nowcast = os.path.abspath(arguments[0] if arguments else os.environ["NOWCAST_TEST_BINARY"])
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="nowcast-") as directory:
        files = file_cases(nowcast, directory, "--print" in sys.argv)
    check_limits()
    messages = count_messages()
    print(f"{files} files of wrong rules; {messages} messages in the source; {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
