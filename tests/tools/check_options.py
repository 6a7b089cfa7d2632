#!/usr/bin/python3
"""Does the manual say what the binary does?

usage: check_options.py NOWCAST MAN_DIRECTORY

For every entry point: the options and arguments in `-h` are those in the section OPTIONS of its man page,
and each of them is in its SYNOPSIS. All pages pass `mandoc -T lint`.
"""
import re
import subprocess
import sys
from pathlib import Path

SECTIONS = {"daemon": "8", "worker": "1", "command": "1"}


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20,
                          check=False, env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "LC_ALL": "C.UTF-8"})
    return done.returncode, done.stdout


def options_of_help(text):
    """{("--debug",): "", ("--sleep-time",): "SLEEP_TIME", ("-h", "--help"): "", "config_file": ""}"""
    options = {}
    for line in re.findall(r"^  (\S.*)$", text, re.MULTILINE):
        invocation = re.split(r"  +", line)[0]
        if not invocation.startswith("-"):
            options[invocation] = ""
            continue
        words = [part.split(" ", 1) for part in invocation.split(", ")]
        options[tuple(word[0] for word in words)] = words[0][1] if len(words[0]) > 1 else ""
    return options


def man_section(page, name):
    match = re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)", page, re.MULTILINE | re.DOTALL)
    return match.group(1) if match else ""


def flags_of(line):
    """The names behind Fl in a line of mdoc, until another macro comes."""
    flags, inside = [], False
    for word in line.split():
        if word in ("Fl", ".Fl"):
            inside = True
        elif re.fullmatch(r"\.?[A-Z][a-z]", word):
            inside = False
        elif inside and word not in (",", "|"):
            flags.append("-" + word)
    return flags


def options_of_page(page):
    options = {}
    # Only the items of the outermost list.
    depth = 0
    for line in man_section(page, "OPTIONS").splitlines():
        depth += line.startswith(".Bl") - line.startswith(".El")
        if depth != 1 or not line.startswith(".It "):
            continue
        flags = flags_of(line)
        value = re.search(r"\bAr (\S.*)$", line)
        if flags:
            options[tuple(flags)] = value.group(1) if value else ""
        else:
            options[value.group(1) if value else line[len(".It "):]] = ""
    return options


def is_choice(name):
    return isinstance(name, str) and name.startswith("{")


def compare(name, ours, page):
    problems = []
    there = options_of_page(page)
    for option, value in ours.items():
        shown = ", ".join(option) if isinstance(option, tuple) else option
        if is_choice(option):
            words = option.strip("{}").split(",")
            if not any(not isinstance(other, tuple) and all(word in other for word in words) for other in there):
                problems.append(f"{name}: {shown} is in -h, and its man page has no such item in OPTIONS")
        elif option not in there:
            problems.append(f"{name}: {shown} is in -h, and not in OPTIONS of its man page")
        elif not is_choice(value) and there[option] != value:
            problems.append(f"{name}: {shown} takes `{value}` in -h, and `{there[option]}` in its man page")
    synopsis = man_section(page, "SYNOPSIS")
    in_synopsis = [flag for line in synopsis.splitlines() for flag in flags_of(line)]
    for option in there:
        if option not in ours and not any(is_choice(other) for other in ours):
            problems.append(f"{name}: {option} is in its man page, and not in -h")
        if isinstance(option, tuple) and not any(flag in in_synopsis for flag in option):
            problems.append(f"{name}: {', '.join(option)} is not in SYNOPSIS of its man page")
    return problems


def check_applets(nowcast, man):
    problems, count = [], 0
    status, listed = run(nowcast, "--list")
    for line in listed.splitlines() if status == 0 else []:
        name, kind = line.split("\t")[:2]
        path = man / f"nowcast-{name}.{SECTIONS[kind]}"
        status, text = run(nowcast, name, "-h")
        ours = options_of_help(text)
        if status != 0 or ("-h", "--help") not in ours:
            problems.append(f"{name}: -h shows no help, exit status {status}")
        elif not path.is_file():
            problems.append(f"{name}: there is no man page {path.name}")
        else:
            problems += compare(name, ours, path.read_text(encoding="utf-8"))
            count += 1
    if count == 0:
        problems.append("nothing was compared")
    return problems


def check_own(nowcast, man):
    """The binary's own options, all of them in nowcast(1)."""
    _, text = run(nowcast, "--help")
    text = text[text.index("\noptions:"):]
    there = {flag for option in options_of_page((man / "nowcast.1").read_text(encoding="utf-8"))
             if isinstance(option, tuple) for flag in option}
    ours = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))
    return [f"nowcast: {option} is in --help, and not in nowcast(1)" for option in sorted(ours - there)] + \
        [f"nowcast: {option} is in nowcast(1), and not in --help" for option in sorted(there - ours)]


def check_lint(man):
    problems = []
    for page in sorted(man.glob("*.[1-8]")):
        status, said = run("mandoc", "-T", "lint", "-W", "warning", str(page))
        if status != 0 or said:
            problems.append(f"{page.name}: {said.strip() or f'mandoc ends with {status}'}")
    return problems


def main():
    nowcast, man = sys.argv[1], Path(sys.argv[2])
    problems = check_applets(nowcast, man) + check_own(nowcast, man) + check_lint(man)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
