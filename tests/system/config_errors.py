#!/usr/bin/python3
"""What `nowcast check` says of broken configuration files: one file for each error message.

usage: config_errors.py [--print] NOWCAST        (or $NOWCAST_TEST_BINARY)

Each file of config_errors/ says at its end what is to be found in it, one comment a line, without the file's
name: `# expect: 6:1: error: ... [name]`. Errors and warnings are compared exactly; notes are not. `# env: X=Y`
sets an environment variable. Cases that a file cannot hold are in special_cases() below. Then the messages in
the source are counted: each call of config_error() and config_warning() must have been seen.
"""

import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(HERE, "config_errors")
SOURCE = os.path.join(HERE, "..", "..", "src", "core", "system")
GOOD = (
    "checklist file: checklist.yaml\n"
    "logging: {version: 1, root: {level: INFO}}\n"
    "message registry: {workers: {sleep: {checklist key: sleepyhead, success: slept}}}\n"
)

failures = []
seen = set()


def complain(text):
    failures.append(text)
    print(f"FAILED: {text}")


def check(nowcast, path, environment=None, *options):
    """Exit status, and the findings as (severity, place, text with name)."""
    env = dict(os.environ, NOWCAST_LOGS="/tmp", NOWCAST_ENV="/tmp", **(environment or {}))
    done = subprocess.run(
        [nowcast, "check", path, *options], env=env, capture_output=True, timeout=60, check=False
    )
    output = done.stdout.decode("utf-8", "replace")
    findings = []
    for line in output.splitlines():
        match = re.fullmatch(
            re.escape(path) + r"(:\d+:\d+)?: ((error|warning|note): .* \[[a-z-]+\])", line
        )
        if match:
            findings.append((match[3], (match[1] or "")[1:], match[2]))
            seen.add(match[2])
    return done.returncode, findings, output + done.stderr.decode("utf-8", "replace")


def expect(name, got, wanted_lines):
    status, findings, output = got
    # A warning without a place is about this host.
    lines = [f"{place + ': ' if place else ''}{text}" for severity, place, text in findings
             if severity == "error" or (severity == "warning" and place)]
    if lines != wanted_lines:
        complain(f"{name}: expected {wanted_lines}, got {lines}\n{output}")
    wanted_status = 8 if any(severity == "error" for severity, _, _ in findings) else 0
    if status != wanted_status:
        complain(f"{name}: exit status {status}, expected {wanted_status}\n{output}")


def file_cases(nowcast, directory, show):
    names = sorted(os.listdir(CASES))
    for name in names:
        with open(os.path.join(CASES, name), encoding="utf-8") as file:
            text = file.read()
        # Elsewhere, so that neither a long path nor the rights of the checkout count.
        path = os.path.join(directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        environment = dict(re.findall(r"^# env: (\w+)=(.*)$", text, re.MULTILINE))
        got = check(nowcast, path, environment)
        if show:
            print(name, *(f"# expect: {p + ': ' if p else ''}{t}" for s, p, t in got[1]
                          if s != "note"), sep="\n")
        wanted = re.findall(r"^# expect: (.*)$", text, re.MULTILINE)
        if not wanted:
            complain(f"{name} does not say what is to be found in it")
        expect(name, got, wanted)
        if not any(": error: " in line for line in wanted):
            strict = check(nowcast, path, environment, "--strict")[0]
            if strict != 8:
                complain(f"{name}: exit status {strict} with --strict, expected 8")
    return len(names)


def special_cases(nowcast, directory):
    """What needs a mode, a size or a byte that a file in the repository cannot have."""

    def write(name, text, mode=0o644):
        path = os.path.join(directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def one(path, text, environment=None):
        expect(os.path.basename(path), check(nowcast, path, environment), [text])

    path = write("writable.yaml", GOOD, 0o666)
    one(path, "error: everybody may write this file, and so run commands through it: "
        f"chmod o-w {path} [writable-by-all]")
    one(os.path.join(directory, "absent.yaml"), "error: there is no such file [unreadable]")
    os.mkdir(os.path.join(directory, "directory.yaml"))
    path = os.path.join(directory, "directory.yaml")
    one(path, f"error: the file cannot be read: {path} is not a regular file [unreadable]")
    path = write("large.yaml", GOOD + "# " + "x" * (16 << 20) + "\n")
    one(path, "error: the file is larger than 16777216 bytes [limit]")
    path = write("bytes.yaml", GOOD + "x: $(NOWCAST.ENV.NOWCAST_TEST_BYTES)\n")
    one(path, "4:4: error: the environment variable NOWCAST_TEST_BYTES is not valid UTF-8 "
        "[bad-variable]", {"NOWCAST_TEST_BYTES": b"\xff".decode("utf-8", "surrogateescape")})
    path = write("grows.yaml", GOOD + "x: [" + "$(NOWCAST.ENV.NOWCAST_TEST_LONG), " * 200 + "]\n")
    one(path, "4:5683: error: with environment variables replaced, the file is larger than "
        "16777216 bytes [limit]", {"NOWCAST_TEST_LONG": "x" * 100000})
    with open(os.path.join(directory, "latin1.yaml"), "wb") as file:
        file.write(b"name: caf\xe9\n")
    one(os.path.join(directory, "latin1.yaml"), "1:10: error: this byte is not UTF-8 [syntax]")
    with open(os.path.join(directory, "nul.yaml"), "wb") as file:
        file.write(b"name: a\0b\n")
    one(os.path.join(directory, "nul.yaml"),
        "1:8: error: a NUL character cannot be part of a text [syntax]")
    environment_cases(nowcast, directory, write, one)
    host_cases(directory, write, one)
    host_warnings(nowcast, write)
    manual_example(nowcast, write)


def environment_cases(nowcast, directory, write, one):
    path = write("environment.yaml", GOOD + "supervisor: {environment file: nowcast.env}\nx: $(NOWCAST.ENV.X_Y)\n")
    file = os.path.join(directory, "nowcast.env")

    def refused(why):
        one(path, f"4:32: error: the environment file {file} cannot be used: {why} [environment-file]")

    refused(f"cannot open {file}: No such file or directory")
    write("nowcast.env", "export X_Y=1\n", 0o666)
    refused(f"everybody may write it, and so run commands through it: chmod o-w {file}")
    write("nowcast.env", "export X_Y=$(date)\n")
    refused("line 1: only $NAME and ${NAME} can stand behind a `$`, because no shell reads this file; a plain `$` "
            "is written '$'")
    write("nowcast.env", "# set, and used by the configuration file itself\nexport X_Y=1\n")
    expect("environment.yaml", check(nowcast, path), [])


def host_cases(directory, write, one):
    long_name = os.path.join(directory, "x" * 100)
    one(write("long.yaml", GOOD + f"state directory: {long_name}\n"),
        f"error: {long_name}/supervisor.sock is {len(long_name) + 16} bytes long, and a socket's path "
        "may have 107; a shorter `state directory` would do [path-too-long]")
    one(write("group.yaml", GOOD + "state group: no-such-group\n"),
        "error: the `state group` no-such-group is not a group of this host [state-group]")
    state = os.path.join(directory, "state")
    os.symlink(directory, state)
    path = write("state.yaml", GOOD + "state directory: state\n")
    one(path, f"error: the state directory {state} is a symbolic link; name the directory itself "
        "[state-directory]")
    os.unlink(state)
    write("state", "")
    one(path, f"error: the state directory {state} is not a directory [state-directory]")
    os.unlink(state)
    os.mkdir(state)
    os.chmod(state, 0o755)
    one(path, f"error: the state directory {state} has the mode 0755, and others must not enter it: "
        f"chmod 0700 {state} [state-directory]")


def host_warnings(nowcast, write):
    """What is no error, and depends on the host: the names of the findings."""

    def names(path, limit=None):
        command = [nowcast, "check", path]
        if limit is not None:
            command = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *command]
        output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return re.findall(r"\[([a-z-]+)\]$", output, re.MULTILINE)

    def has(what, found, name, wanted):
        if (name in found) != wanted:
            complain(f"{what}: {name} is {'not ' if wanted else ''}among {found}")

    good = write("good.yaml", GOOD)
    has("a limit of 200 files", names(good, 200), "few-descriptors", True)
    has("a limit of 1024 files", names(good, 1024), "few-descriptors", False)
    absent = write("absent_directory.yaml", GOOD.replace("checklist.yaml", "nowhere/c.yaml", 1))
    has("an absent directory", names(absent), "directory", True)
    has("a directory that is there", names(good), "directory", False)
    group = write("group_writable.yaml", GOOD, 0o664)
    has("a file that its group may write", names(group), "writable-by-group", True)
    has("a file that we may write", names(good), "writable-by-group", False)
    has("no rules", names(good), "no-rules", True)
    write("next_workers.yaml", "{}\n")
    has("rules", names(good), "no-rules", False)
    has("a worker that is built in", names(good), "no-program", False)
    other = write("other.yaml", GOOD.replace("sleep:", "slumber:"))
    has("a worker that is not built in", names(other), "no-program", True)
    other = write("other.yaml", GOOD.replace("sleep:", "slumber:")
                  + "workers: {default: {command: [run, <worker>]}}\n")
    has("a worker with a program", names(other), "no-program", False)


def manual_example(nowcast, write):
    """The example of nowcast.yaml(5) is a good configuration."""
    with open(os.path.join(HERE, "..", "..", "man", "nowcast.yaml.5"), encoding="utf-8") as file:
        example = file.read().split(".Bd -literal\n", 1)[1].split(".Ed", 1)[0]
    expect("the example of nowcast.yaml(5)", check(nowcast, write("example.yaml", example)), [])


def message_patterns(function):
    """The messages of all calls of `function` in config*.c: (file and line, regular expression)."""
    patterns = []
    for name in sorted(os.listdir(SOURCE)):
        if not re.fullmatch(r"config.*\.c", name):
            continue
        with open(os.path.join(SOURCE, name), encoding="utf-8") as file:
            text = file.read()
        for call in re.finditer(function + r"\(((?:[^;\"]|\"(?:[^\"\\]|\\.)*\")*?)\);", text):
            literals = ["".join(re.findall(r"\"((?:[^\"\\]|\\.)*)\"", group)) for group in
                        re.findall(r"(?:\"(?:[^\"\\]|\\.)*\"\s*)+", call[1])]
            if not literals:
                continue  # its definition
            finding, message = literals[0], max(literals[1:], key=len)
            pattern = ".*".join(re.escape(part) for part in re.split(
                r"%[-0-9.*]*(?:zu|lld|[suid])", message))
            line = text.count("\n", 0, call.start()) + 1
            patterns.append((f"{name}:{line}", f"{pattern} \\[{finding}\\]"))
    return patterns


def count_messages(function, severity):
    patterns = message_patterns(function)
    if len(patterns) < 5:
        complain(f"only {len(patterns)} calls of {function} found: the test does not read the source")
    for place, pattern in patterns:
        if not any(re.fullmatch(f"{severity}: {pattern}", text) for text in seen):
            complain(f"{place}: no broken file for `{pattern}`")
    return len(patterns)


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--print"]
    nowcast = arguments[0] if arguments else os.environ["NOWCAST_TEST_BINARY"]
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="nowcast-") as directory:
        files = file_cases(nowcast, directory, "--print" in sys.argv)
        special_cases(nowcast, directory)
    errors = count_messages("config_error", "error")
    warnings = count_messages("config_warning", "warning")
    print(f"{files} broken files; {errors} error messages and {warnings} warnings in the source; "
          f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
