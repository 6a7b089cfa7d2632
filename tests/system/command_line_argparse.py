#!/usr/bin/python3
"""Help and parsing of command lines, held against Python's argparse itself.

The argument is tests/tools/cli_demo.c, built. Tables, widths and command lines are made at random; the seed
is printed with a failure, and NOWCAST_TEST_SEED gives it again.
"""
import argparse
import contextlib
import datetime
import difflib
import io
import json
import os
import random
import re
import subprocess
import sys
import unittest

DEMO = sys.argv.pop(1)
SEED = int(os.environ.get("NOWCAST_TEST_SEED", "20261124"))
TABLES = 400
LINES_PER_TABLE = 6
TODAY = datetime.date(2026, 11, 24)

WORDS = """the worker configuration file of nowcast sends messages to the manager process, machine-readable
    re-run e-mail well--known x a-b --sleep-time YYYY-MM-DD, non-NEMO-2 state-of-the-art (see nowcast.yaml)
    https://salishsea-meopar-docs.readthedocs.org/en/latest/nowcast/workers/index-of-all-of-them.html 42%
    ünïcödé-wörd Strait–of–Georgia ... one two/three _under_score-ed end.""".split()
NAMES = ["sleep-time", "run-date", "run-type", "debug", "config", "x", "very-long-option-name-indeed", "host",
         "forecast2", "dry-run", "a-b"]
POSITIONALS = ["config_file", "run_kind", "host_name", "args", "a_very_long_positional_name"]
VALUES = ["5", "-5", "x", "", "two words", "-.5", "-5x", "nowcast", "forecast", "2026-11-23", "2026-02-30",
          "20261123", "it's", 'say "hi"', "it's \"so\"", "tab\there", "back\\slash", "é", "--", "-", "- x",
          "--unknown", "-q", "--run date", "99999999999999999999", "+7", "nowcast.yaml"]


def arrow_date(text):
    """As the Python framework has it."""
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            raise ValueError
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"unrecognized date format: {text} - please use YYYY-MM-DD") from None


def whole_number(text):
    if not re.fullmatch(r"[-+]?\d+", text) or not -2**63 <= int(text) < 2**63:
        raise ValueError
    return int(text)


whole_number.__name__ = "int"  # argparse names the type in its message


def words(rng, most):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, most)))


def make_option(rng, name, short):
    kind = rng.choice(["flag", "int", "text", "date", "text"])
    option = {"name": name, "kind": kind}
    if short:
        option["short"] = short
    if rng.random() < 0.9:
        option["help"] = words(rng, 30)
    if kind == "text" and rng.random() < 0.4:
        option["choices"] = ["nowcast", "forecast", "it's"][:rng.randint(1, 3)]
    elif kind in ("int", "text") and rng.random() < 0.3:
        option["metavar"] = rng.choice(["N", "FILE", "a-b"])
    if kind == "int":
        option["default"] = rng.randint(-3, 9)
    if kind == "date":
        option["default"] = rng.randint(0, 3)
    return option


def make_table(rng):
    table = {
        "command": rng.choice(["nowcast sleep", "nowcast rotate_logs",
                               "nowcast a_worker_with_a_name_that_takes_a_good_part_of_the_line"]),
        "width": rng.choice([0, 80, 80, 100, 132, 60, 40, 25, 22, 16, 10, 3, 1]),
    }
    if rng.random() < 0.8:
        table["description"] = words(rng, 40)
    if rng.random() < 0.3:
        table["epilog"] = words(rng, 40)
    options = []
    shorts = list("fnvx")
    for name in rng.sample(NAMES, rng.randint(0, 7)):
        short = "-" + shorts.pop() if shorts and rng.random() < 0.4 else None
        options.append(make_option(rng, "--" + name, short))
    positionals = rng.sample(POSITIONALS, rng.randint(0, 3))
    for i, name in enumerate(positionals):
        option = {"name": name, "kind": "text", "help": words(rng, 12)}
        last = i == len(positionals) - 1
        if last and rng.random() < 0.6:
            option.update(rng.choice([{"optional": True}, {"repeated": True},
                                      {"optional": True, "repeated": True}]))
        if rng.random() < 0.3:
            option["choices"] = ["nowcast", "forecast"]
        if rng.random() < 0.2:
            option["metavar"] = "WHAT"
        options.append(option)
    rng.shuffle(options)
    # Positionals keep their order: only the last of them takes what is left.
    order = iter([o for name in positionals for o in options if o["name"] == name])
    table["options"] = [o if o["name"].startswith("-") else next(order) for o in options]
    return table


def make_argv(rng, table):
    argv = []
    for option in table["options"]:
        if not option["name"].startswith("-"):
            if rng.random() < 0.9:
                argv.append(rng.choice(["nowcast.yaml", "nowcast", "forecast", rng.choice(VALUES)]))
        elif rng.random() < 0.5:
            name = rng.choice([option["name"], option.get("short", option["name"])])
            if option["kind"] == "flag" and rng.random() < 0.9:
                argv.append(name)
                continue
            good = {"int": "7", "date": "2026-11-23", "flag": ""}.get(option["kind"], "nowcast")
            value = rng.choice([good, good, rng.choice(VALUES)])
            if rng.random() < 0.4:
                argv.append(f"{name}={value}")
            elif not name.startswith("--") and rng.random() < 0.4:
                argv.append(name + value)
            else:
                argv += [name, value]
    if rng.random() < 0.1:
        argv.insert(rng.randint(0, len(argv)), rng.choice(VALUES))
    return argv


def default_date(option):
    if option["default"] == 0:
        return None
    return (TODAY + datetime.timedelta(days=(0, 0, -1, 1)[option["default"]])).isoformat()


def make_parser(table):
    parser = argparse.ArgumentParser(prog=table["command"], description=table.get("description"),
                                     epilog=table.get("epilog"), allow_abbrev=False, add_help=False)
    for text in ("description", "epilog"):  # as if it had come from a docstring: `%` is not special there
        assert getattr(parser, text) == table.get(text)
    parser.add_argument("-h", "--help", action="store_true", help="show this help message and exit")
    for option in table["options"]:
        positional = not option["name"].startswith("-")
        names = [option["name"]] if positional else [n for n in (option.get("short"), option["name"]) if n]
        keywords = {}
        text = option.get("help")
        if option["kind"] == "date":
            text = (text + " " if text else None) and text + " Use YYYY-MM-DD format."
            if text and default_date(option):
                text += f" Defaults to {default_date(option)}."
        if text:
            keywords["help"] = text.replace("%", "%%")
        if option["kind"] == "flag":
            keywords["action"] = "store_true"
        else:
            if "metavar" in option:
                keywords["metavar"] = option["metavar"]
            if "choices" in option:
                keywords["choices"] = option["choices"]
        if option["kind"] == "int":
            keywords.update(type=whole_number, default=option["default"])
        if option["kind"] == "date":
            keywords.update(type=arrow_date, default=default_date(option))
        if option.get("optional") and option.get("repeated"):
            keywords.update(nargs="*", default=[])
        elif option.get("optional"):
            keywords["nargs"] = "?"
        elif option.get("repeated"):
            keywords["nargs"] = "+"
        parser.add_argument(*names, **keywords)
    return parser


def argparse_answer(table, parser, argv):
    answer = {}
    os.environ["COLUMNS"] = str(table["width"] or 80)
    answer["usage"] = parser.format_usage()
    # textwrap leaves a blank at the end of a line when a long word follows; we do not.
    answer["help"] = re.sub(r" +$", "", parser.format_help(), flags=re.MULTILINE)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            given = parser.parse_args(argv)
    except SystemExit:
        answer["result"] = "wrong"
        answer["error"] = said.getvalue().split(": error: ", 1)[1].rstrip("\n")
        return answer
    answer["result"] = "help" if given.help else "parsed"
    if not given.help:
        answer["values"] = {}
        for option in table["options"]:
            value = getattr(given, option["name"].lstrip("-").replace("-", "_"))
            answer["values"][option["name"]] = value if option.get("repeated") else [value]
    return answer


# Where we are kinder or stricter than argparse on purpose.
def differs_on_purpose(table, argv, ours, theirs):
    positionals = [o for o in table["options"] if not o["name"].startswith("-")]
    # `--name=--` gives nothing there, a defect of argparse.
    if any(re.search(r"^-(-[^=]*=|.=?)--$", a) for a in argv):
        return True
    # argparse takes the first `--` out of each option's words, and calls one that is left over a mistake.
    if argv.count("--") > 1 or "--" in argv and "unrecognized" in theirs.get("error", ""):
        return True
    # -h wins over other mistakes.
    if ours["result"] == "help" or any(a.startswith("-") and "h" in a[1:3] for a in argv):
        return True
    # argparse gives an optional or repeated positional up when options stand between.
    return theirs["result"] == "wrong" and any(o.get("optional") or o.get("repeated") for o in positionals)


class Argparse(unittest.TestCase):
    """Each case is a table, a width and a command line."""

    @classmethod
    def setUpClass(cls):
        rng = random.Random(SEED)
        cls.cases = []
        for _ in range(TABLES):
            table = make_table(rng)
            cls.cases += [dict(table, argv=make_argv(rng, table)) for _ in range(LINES_PER_TABLE)]
        told = "".join(json.dumps(case) + "\n" for case in cls.cases)
        done = subprocess.run([DEMO], input=told, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
        cls.ours = [json.loads(line) for line in done.stdout.splitlines()]
        cls.theirs = [argparse_answer(case, make_parser(case), case["argv"]) for case in cls.cases]

    def compare(self, what):
        for case, ours, theirs in zip(self.cases, self.ours, self.theirs):
            if ours[what] != theirs[what]:
                self.fail(f"seed {SEED}: {json.dumps(case)}\n" + "".join(difflib.unified_diff(
                    theirs[what].splitlines(True), ours[what].splitlines(True), "argparse", "nowcast")))

    def test_1_every_case_was_answered(self):
        self.assertEqual(len(self.ours), TABLES * LINES_PER_TABLE)

    def test_2_usage_lines_are_those_of_argparse(self):
        self.compare("usage")

    def test_3_help_is_that_of_argparse(self):
        self.compare("help")

    def test_4_command_lines_mean_the_same(self):
        compared = {"parsed": 0, "wrong": 0}
        for case, ours, theirs in zip(self.cases, self.ours, self.theirs):
            if "error" in ours:
                # We say what is near, show an empty word, and let no tab through to the terminal.
                if ours["error"].startswith("unrecognized"):
                    ours["error"] = ours["error"].replace("''", "")
                theirs["error"] = theirs.get("error", "").replace("\t", r"\t")
                ours["error"] = re.sub(r"(; unrecognized.*)?; did you mean --?[\w-]+\?$", "", ours["error"])
            result = {key: ours.get(key) for key in ("result", "error", "values")}
            if all(result[key] == theirs.get(key) for key in result):
                compared[theirs["result"]] += 1
            elif not differs_on_purpose(case, case["argv"], ours, theirs):
                theirs = {key: theirs.get(key) for key in result}
                self.fail(f"seed {SEED}: {json.dumps(case)}\n--- nowcast\n{result}\n--- argparse\n{theirs}")
        # Not all of one kind, and not all excused.
        self.assertGreater(compared["parsed"], 100)
        self.assertGreater(compared["wrong"], 100)


unittest.main()
