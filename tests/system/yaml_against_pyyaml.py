#!/usr/bin/python3
"""Our YAML against PyYAML's safe_load and safe_dump, both ways: the same values, of the same kinds.

usage: yaml_against_pyyaml.py YAML_ECHO [SEED]

Three things for each text: what PyYAML reads from it we read alike (or both refuse it); what we write of it,
block and flow, PyYAML reads back as the same. The texts are hard scalars, and thousands of generated values
as PyYAML writes them.
"""
import datetime
import json
import math
import random
import subprocess
import sys

import yaml

HARD = r"""
yes Yes YES no No NO true True TRUE false False FALSE on On ON off Off OFF y n Y N yEs nO tRue
null Null NULL ~ nUll 0 00 01 07 08 09 012 0o12 0x1F 0X1F 0xfg 0b101 0b2 0b -0 +0 +1 -1 --1 1_000 1__0 _1 1_
0_7 0x_f 190:20:30 1:60 1:59 01:30 -1:30 1:2:3:4 1:30.5 -190:20:30.15 12e3 1e3 1.0e3 1.0e+3 1.0e-3 1.e+3 .5 -.5
+.5 5. -5. 1.5 +1.5 1_0.5_0 .e+3 ._5 .5e+1 .inf -.inf +.inf .Inf .INF .iNf .nan .NaN .NAN -.nan 1.2.3 6.8523015e+5
685_230.15 2026-11-24 2026-1-2 2026-01-2 20261124 2026-11-24x 2001-12-14t21:59:43.10-05:00 2001-12-14T21:59:43Z
2001-12-15T2:59:43.1 2001-12-14T21:59:43.1234567 2001-12-14T21:59 2001-12-14T21:59:43+1 2001-12-14T21:59:43+5:30
9223372036854775807 -9223372036854775808 a-b a:b a#b /path/x http://x.y/z 1km 2.5km 06 18 1.4.2 v1 0. 0.0 -0.0 1e400
""".split() + ["2001-12-14 21:59:43.10 -5", "2001-12-14 21:59:43", "a b", "a: b", "a #b", "- a", "? a"]

STRINGS = HARD + [
    "", " ", "  lead", "trail ", "two  blanks", "tab\there", "line\nbreak", "line\n", "\nline", "a\n\nb", "a\n b\n",
    "\r", "a\r\nb", "\x07bell", "\x1b[31m", "\x7f", "\x85nel", "\u2028ls", "\u2029ps", "\ufeffbom", "\u00e9", "\u4e2d",
    "\U0001f600", "quote'", 'double"', "back\\slash", "{a}", "[a]", "a, b", "*a", "&a", "!a", "%a", "@a", "`a", "#a",
    "a:", ":a", "a: ", "<<", "=", "-", "--", "---", "...", "?", "|", ">", "x" * 3000, "a\tb\n", "\u200b", "\ue000",
]


def tagged(value):
    """As yaml_echo prints it."""
    if value is None:
        return ["null", None]
    if isinstance(value, bool):
        return ["bool", value]
    if isinstance(value, int):
        return ["int", str(value)]
    if isinstance(value, float):
        return ["float", "nan" if math.isnan(value) else repr(value)]
    if isinstance(value, str):
        return ["text", value]
    if isinstance(value, datetime.datetime):
        return ["time", value.isoformat(" ")]
    if isinstance(value, datetime.date):
        return ["date", value.isoformat()]
    if isinstance(value, set):
        return ["set", sorted((tagged(item) for item in value), key=repr)]
    if isinstance(value, list):
        return ["list", [tagged(item) for item in value]]
    if isinstance(value, dict):
        return ["map", sorted(([tagged(key), tagged(item)] for key, item in value.items()), key=repr)]
    raise TypeError(type(value))


def normal(read):
    """Floats by value, sets and mappings without their order."""
    kind, content = read
    if kind == "float":
        number = float(content)
        return [kind, "nan" if math.isnan(number) else repr(number)]
    if kind == "set":
        return [kind, sorted((normal(item) for item in content), key=repr)]
    if kind == "list":
        return [kind, [normal(item) for item in content]]
    if kind == "map":
        return [kind, sorted(([normal(key), normal(item)] for key, item in content), key=repr)]
    return read


def generate(random_, depth=0):
    kind = random_.randrange(16 if depth < 4 else 10)
    if kind == 0:
        return None
    if kind == 1:
        return random_.random() < 0.5
    if kind == 2:
        return random_.randrange(-(2**63), 2**63)
    if kind == 3:
        return random_.randrange(-100, 100)
    if kind == 4:
        return random_.choice([random_.uniform(-1e6, 1e6), random_.gauss(0, 1) * 10 ** random_.randrange(-300, 300)])
    if kind == 5:
        return datetime.date(random_.randrange(1, 9999), random_.randrange(1, 13), random_.randrange(1, 29))
    if kind == 6:
        zone = random_.choice([None, datetime.timezone(datetime.timedelta(minutes=15 * random_.randrange(-56, 57)))])
        return datetime.datetime(2026, 11, random_.randrange(1, 31), random_.randrange(24), random_.randrange(60),
                                 random_.randrange(60), random_.choice([0, random_.randrange(10**6)]), zone)
    if kind < 10:
        return random_.choice([random_.choice(STRINGS), "".join(
            random_.choice("ab:-#,[]{}'\" \n\t.0159_+eE/<>|&*!%@`?=~\u00e9\U0001f600") for _ in range(random_.randrange(12)))])
    if kind == 10:
        return {random_.choice(STRINGS) for _ in range(random_.randrange(1, 4))}
    if kind < 13:
        return [generate(random_, depth + 1) for _ in range(random_.randrange(5))]
    keys = [random_.choice([generate(random_, 9), random_.choice(STRINGS)]) for _ in range(random_.randrange(5))]
    return {key: generate(random_, depth + 1) for key in keys}


def ask(echo, texts):
    data = b"".join(b"%d\n%s" % (len(text), text) for text in (text.encode() for text in texts))
    done = subprocess.run([echo], input=data, stdout=subprocess.PIPE, check=True)
    lines = done.stdout.decode().split("\n")[:-1]
    assert len(lines) == len(texts), (len(lines), len(texts))
    return [json.loads(line) for line in lines]


def load(text):
    try:
        return yaml.load(text, yaml.CSafeLoader), None
    except Exception as error:  # whatever PyYAML may raise (ValueError for 2024-02-30)
        return None, error


def check(text, reply, refused, problems):
    value, error = load(text)
    if error is not None:
        # `=` alone is a defect of PyYAML; what it refuses otherwise we refuse.
        if "error" not in reply and text not in refused:
            problems.append(f"PyYAML refuses {text!r} ({type(error).__name__}), and it was read as {reply['read']}")
        return
    if "error" in reply:
        problems.append(f"{text!r} was refused: {reply['error']}")
        return
    if normal(reply["read"]) != tagged(value):
        problems.append(f"{text!r} was read as {reply['read']}, PyYAML reads {tagged(value)}")
    for style in ("block", "flow"):
        again, error = load(reply[style])
        if error is not None or tagged(again) != tagged(value):
            problems.append(f"{text!r} was written ({style}) as {reply[style]!r}, which PyYAML reads as "
                            f"{error or tagged(again)}")


def main():
    echo = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)
    print(f"seed {seed}")
    random_ = random.Random(seed)
    texts = list(HARD)
    texts += [f"[{text}]" for text in HARD] + [f"{{k: {text}}}" for text in HARD] + [f"{text}: 1" for text in HARD]
    texts += [f"!!str {text}" for text in HARD] + [f"'{text}'" for text in HARD]
    texts += ["a: &x [1, 2]\nb: *x\n", "a: &x {k: 1}\nb:\n  <<: *x\n  l: 2\n", "!!set {a, b}", "a: |\n  x\n  y\n", "--- 5\n...\n",
              "b: {<<: [{a: 1, c: 3}, {a: 2, d: 4}], c: 5}", "? a\n: b\n", "", "# only a comment\n", "!!int '7'", "!!float 3",
              "!!bool 'yes'", "!!null ''", "!!bool yEs", "{k: !!bool oN}", "!!timestamp 2026-1-2",
              "{k: !!timestamp '2026-1-2'}", "!!float 0x10", "!!float '1e5'", "! 12", "! '12'", "! yes", "! x",
              "{z: 0, <<: {k: 1}, <<: {k: 2}}", "<<: [{k: 1}, {k: 2, l: 3}]", "!!python/name:os.system", "!local x", "a: 1\n---\nb: 2\n", "[1, 2", "a: [}", "*x",
              "2024-02-30", "2001-13-01", "2001-12-14T25:00:00"]
    texts += [yaml.safe_dump(text, allow_unicode=random_.random() < 0.5) for text in STRINGS]
    for number in range(4000):
        texts.append(yaml.safe_dump(generate(random_), allow_unicode=number % 2 == 0,
                                    default_flow_style=random_.choice([True, False, None])))
    problems = []
    for text, reply in zip(texts, ask(echo, texts)):
        check(text, reply, {"="}, problems)
    for problem in problems[:20]:
        print(problem)
    print(f"{len(texts)} texts, {len(problems)} problems")
    return 1 if problems else 0


sys.exit(main())
