#!/usr/bin/python3
"""Is everything that is there also listed, and the other way round?

usage: check_lists.py SOURCE_ROOT [STAMP]

- src/applets.def: sorted; each entry point has its source file, its man page, and a test that names it
- every file in src/ is in a list of src/meson.build, and the lists are sorted
- every test is in tests/meson.build, and every fuzzer in tests/fuzz/meson.build
- every man page is in man/meson.build

Part of the build: STAMP is written when all is well.
"""
import re
import sys
from pathlib import Path

FOLDERS = {"daemons": "8", "workers": "1", "commands": "1"}


def read(path):
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def without_comments(meson):
    return re.sub(r"#.*", "", meson)


def strings(meson):
    return re.findall(r"'([^']*)'", without_comments(meson))


def lists(meson):
    """NAME = ['a', 'b', ...] by name."""
    found = re.findall(r"^\s*(\w+)\s*=\s*\[([^\[\]]*)\]", without_comments(meson), re.MULTILINE)
    return {name: strings(body) for name, body in found}


def check_sorted(where, names):
    return [f"{where}: {second} stands behind {first}; the list is sorted, each name once"
            for first, second in zip(names, names[1:]) if first >= second]


def applet_file(root, name):
    for folder in FOLDERS:
        if re.search(rf"^const struct applet applet_{name}\b", read(root / "src" / folder / f"{name}.c"), re.M):
            return folder
    return None


def check_applets(root):
    names = re.findall(r"^APPLET\((\w+)\)", read(root / "src/applets.def"), re.MULTILINE)
    problems = check_sorted("src/applets.def", names)
    if not names:
        problems.append("src/applets.def: it lists nothing")
    tests = "".join(read(path) for folder in ("unit", "system", "fault")
                    for path in sorted((root / "tests" / folder).glob("*")) if path.suffix in (".c", ".py", ".sh"))
    for name in names:
        folder = applet_file(root, name)
        if folder is None:
            problems.append(f"src/applets.def: {name}: there is no src/{'|'.join(FOLDERS)}/{name}.c that "
                            f"defines `const struct applet applet_{name}`")
            continue
        page = f"man/nowcast-{name}.{FOLDERS[folder]}"
        if not (root / page).is_file():
            problems.append(f"src/applets.def: {name}: there is no {page}")
        if not re.search(rf"[\"'`]{name}[\"'`]|\bapplet_{name}\b", tests):
            problems.append(f"src/applets.def: {name}: no test names it")
    for folder in FOLDERS:
        for path in sorted((root / "src" / folder).glob("*.c")):
            for name in re.findall(r"^const struct applet applet_(\w+)", read(path), re.MULTILINE):
                if name not in names:
                    problems.append(f"src/{folder}/{path.name}: {name} is not in src/applets.def")
    return problems


def check_sources(root):
    source = root / "src"
    by_list = {name: names for name, names in lists(read(source / "meson.build")).items()
               if name.endswith("_sources")}
    listed = [name for names in by_list.values() for name in names] + ["nowcast.c"]
    there = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.c"))
    problems = [problem for name, names in by_list.items()
                for problem in check_sorted(f"src/meson.build: {name}", names)]
    problems += [f"src/{name}: it is in no list of src/meson.build" for name in there if name not in listed]
    problems += [f"src/meson.build: {name} is listed and not there" for name in listed if name not in there]
    return problems


def check_tests(root):
    tests = root / "tests"
    meson = read(tests / "meson.build")
    units = lists(meson).get("unit_tests", [])
    problems = check_sorted("tests/meson.build: unit_tests", units)
    there = sorted(path.name[len("test_"):-len(".c")] for path in (tests / "unit").glob("test_*.c"))
    problems += [f"tests/unit/test_{name}.c: it is not in unit_tests of tests/meson.build"
                 for name in there if name not in units]
    problems += [f"tests/meson.build: unit test {name} is listed, and tests/unit/test_{name}.c is not there"
                 for name in units if name not in there]
    # Scripts and programs: named there (by a loop without the ending), in src/meson.build or tests/run, or
    # imported by another one.
    named = {Path(string).name for string in strings(meson) + strings(read(root / "src/meson.build"))}
    scripts = sorted(path for folder in ("system", "fault", "tools")
                     for path in (tests / folder).glob("*") if path.is_file())
    named |= set(re.findall(r"^\s*(?:from|import) (\w+)", "".join(
        read(path) for path in scripts if path.suffix == ".py"), re.MULTILINE))
    named |= set(re.findall(r"[\w.]+", read(tests / "run")))
    problems += [f"tests/{path.relative_to(tests)}: it is not in tests/meson.build" for path in scripts
                 if path.name not in named and path.stem not in named]
    fuzzers = strings(read(tests / "fuzz/meson.build"))
    problems += [f"tests/fuzz/{path.name}: it is not in tests/fuzz/meson.build"
                 for path in sorted((tests / "fuzz").glob("fuzz_*.c")) if path.stem[len("fuzz_"):] not in fuzzers]
    return problems


def check_manual(root):
    listed = [name for name in strings(read(root / "man/meson.build")) if re.search(r"\.[1-8]$", name)]
    there = sorted(path.name for path in (root / "man").glob("*.[1-8]"))
    return check_sorted("man/meson.build", listed) + \
        [f"man/{name}: it is not in man/meson.build" for name in there if name not in listed] + \
        [f"man/meson.build: {name} is listed and not there" for name in listed if name not in there]


def check(root):
    root = Path(root)
    return check_applets(root) + check_sources(root) + check_tests(root) + check_manual(root)


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
