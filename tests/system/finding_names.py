#!/usr/bin/python3
"""The names of findings in the source and in nowcast-check(1) are the same."""

import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
# Functions that take the name of a finding as a literal before the text; elsewhere it follows the severity.
CALLS = r"\b(?:config_(?:error|warning|note)|pass_error|rules_(?:error|warning)(?:_at)?|findings_add|add)\("
STRING = r"\"((?:[^\"\\]|\\.)*)\""


def names_in_call(text, start):
    """The literals of the call before the first one that is no name: `a ? "limit" : "syntax", ...`."""
    depth, at, names = 1, start, []
    while depth > 0 and at < len(text):
        literal = re.compile(STRING).match(text, at)
        if literal:
            if not re.fullmatch(r"[a-z]+(-[a-z]+)*", literal[1]):
                break
            names.append(literal[1])
            at = literal.end()
            continue
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return names


def names_in_source():
    names = {}
    for directory, _, files in os.walk(os.path.join(ROOT, "src")):
        for name in files:
            if not name.endswith((".c", ".h")):
                continue
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                text = file.read()
            found = re.findall(r"#define FINDING_\w+\s+\"([a-z-]+)\"", text)
            found += re.findall(r"\bSEVERITY_[A-Z]+,\s*\"([a-z-]+)\"", text)
            for call in re.finditer(CALLS, text):
                found += names_in_call(text, call.end())
            for finding in found:
                names.setdefault(finding, name)
    return names


def names_in_manual():
    with open(os.path.join(ROOT, "man", "nowcast-check.1"), encoding="utf-8") as file:
        section = file.read().split(".Sh FINDINGS", 1)[1].split(".Sh ", 1)[0]
    return re.findall(r"^\.It Sy (\S+)", section, re.MULTILINE)


def main():
    source, manual = names_in_source(), names_in_manual()
    wrong = [f"{name} ({source[name]}) is not in nowcast-check(1)" for name in sorted(source)
             if name not in manual]
    wrong += [f"{name} of nowcast-check(1) is not in the source" for name in manual
              if name not in source]
    if manual != sorted(manual):
        wrong.append("nowcast-check(1) does not list them in order")
    if len(source) < 20:
        wrong.append(f"only {len(source)} names found: the test does not read the source")
    print(*wrong, f"{len(source)} names of findings, {len(wrong)} wrong", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
