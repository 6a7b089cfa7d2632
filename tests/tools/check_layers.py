#!/usr/bin/python3
"""Does every source file include only what its floor may (CONTRIBUTING.md, "The house")?

usage: check_layers.py SOURCE_ROOT [STAMP]

Reads the include lines of src/. Part of the build: STAMP is written when all is well.
"""
import re
import sys
from pathlib import Path

# A floor includes itself and those that it names. First match wins.
FLOORS = [
    ("core/data/", "data", set()),
    ("core/system/", "system", {"data"}),
    ("core/decide/", "decide", {"data", "system"}),
    ("core/work/", "work", {"data", "system"}),
    ("daemons/", "daemons", {"data", "system", "decide", "work", "top"}),
    ("workers/", "workers", {"data", "system", "work"}),
    ("commands/", "commands", {"data", "system", "decide", "work", "top"}),
    ("", "top", {"data", "system", "decide", "work"}),
]

# What the floor of data may include: ISO C without signals, threads and locales; and strcasecmp().
HARMLESS = {"assert.h", "ctype.h", "errno.h", "float.h", "inttypes.h", "limits.h", "math.h", "stdarg.h",
         "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "strings.h", "time.h"}

# Each library of others is used in one module.
LIBRARIES = [
    (r"nng/", r"core/system/net\.c"),
    (r"sqlite3", r"core/decide/store\w*\.[ch]"),
    (r"jansson", r"core/data/json\.c"),
    (r"curl/", r"core/system/mail\.c"),
    (r"cyaml/", r"core/system/config_bind\.c"),
    (r"yaml\.h", r"core/data/yaml_\w+\.[ch]"),
]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>|(\S+))', re.MULTILINE)


def floor_of(path):
    return next((name, below) for prefix, name, below in FLOORS if path.startswith(prefix))


def resolve(source, path, included):
    """The path of an included file of ours, from src/; None: there is none."""
    for candidate in (source / included, (source / path).parent / included):
        if candidate.is_file():
            return candidate.resolve().relative_to(source.resolve()).as_posix()
    return None


def check_own(source, path, included):
    found = resolve(source, path, included)
    if found is None:
        return f"includes \"{included}\", which is not there"
    floor, below = floor_of(path)
    other, _ = floor_of(found)
    if other != floor and other not in below:
        return f"includes \"{included}\": {floor} may include " + \
            (", ".join(sorted(below)) or "only itself") + f", and not {other}"
    return None


def check_other(path, included):
    for pattern, allowed in LIBRARIES:
        if re.match(pattern, included):
            if re.fullmatch(allowed, path):
                return None
            return f"includes <{included}>, which only {allowed} may"
    if floor_of(path)[0] == "data" and included not in HARMLESS:
        return f"includes <{included}>: data may include nothing of the system"
    return None


def check(root):
    source = Path(root) / "src"
    problems = []
    files = sorted(p for p in source.rglob("*") if p.suffix in (".c", ".h", ".def"))
    for file in files:
        path = file.relative_to(source).as_posix()
        for match in INCLUDE.finditer(file.read_text(encoding="utf-8")):
            own, other, strange = match.groups()
            if own:
                problem = check_own(source, path, own)
            elif other:
                problem = check_other(path, other)
            else:
                problem = f"includes {strange}, and nobody can see what that is"
            if problem:
                problems.append(f"src/{path}: {problem}")
    if len(files) < 3:
        problems.append(f"{source}: there is hardly anything to check here")
    return problems


def main():
    problems = check(sys.argv[1])
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text("", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
