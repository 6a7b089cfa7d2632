#!/usr/bin/python3
"""nowcast graph: the flow of the rules as text, JSON and pictures. The pictures are looked at as Graphviz lays
them out: nothing on top of another, nothing cut.

usage: graph.py NOWCAST [unittest arguments]
"""
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest
import xml.etree.ElementTree

NOWCAST = os.path.abspath(sys.argv.pop(1))
ROOT = pathlib.Path(__file__).resolve().parents[2]
SALISHSEA = ROOT.parent / "shared/salishsea"
SVG = "{http://www.w3.org/2000/svg}"

WORKERS = {"a": ["success 06", "success 12", "failure"], "b": ["success", "failure"], "c": ["success"],
           "lonely": ["success"]}

TOY = """\
sleep
  success
    -> awaken

clear_checklist
  success
    -> rotate_logs

launched, and nothing follows them:
    awaken, rotate_logs
"""

ALL_KINDS = """\
any worker
  crash
    -> c

a  -- every day at 12:30; launched by b
  success 06
    -> b            --fast <today>, on far, for each x, when <payload> is set
    -> nobody_here
  success <hour>  = success 12
    -> b
  failure
    !! alarm: a failed
    ?? decide with: ./after.py -v
    || hold what follows until all have ended: b success, c; when <payload> is
       set

b  -- launched by a
  success
    -> a  06, when <payload> is set
    -> a  12, otherwise

launched, and nothing follows them:
    c, nobody_here

neither launched by a rule nor launching another:
    lonely
"""

ALL_KINDS_RULES = """\
a:
  - on: success 06
    launch:
      - for each x in: [1, 2]
        when: <payload> is set
        on host: far
        launch: b --fast <today>
      - nobody_here
  - on: success <hour>
    when: <hour> is not 06
    launch: b
  - on: failure
    when: <payload> is set
    hold until all have ended: [b success, c]
  - on: failure
    alarm: a failed
    decide with: [./after.py, -v]
b:
  - on: success
    first of:
      - when: <payload> is set
        launch: a 06
      - launch: a 12
any worker:
  - on: crash
    launch: c
"""


def boxes_of(picture):
    """The boxes of all texts and nodes as Graphviz has laid them out: [(what it is, x0, y0, x1, y1)]."""
    nodes, texts = [], []
    for node in picture["objects"]:
        x, y = map(float, node["pos"].split(","))
        width, height = (72 * float(node[key]) / 2 for key in ("width", "height"))
        nodes.append((node["name"], x - width, y - height, x + width, y + height))
    for edge in picture["edges"]:
        names = " -> ".join(picture["objects"][edge[key]]["name"] for key in ("tail", "head"))
        for size, operation in with_font_size(edge.get("_ldraw_", [])):
            x, y = operation["pt"]
            half = operation["width"] / 2
            # Letters go down a fifth of their size below the line that they stand on.
            texts.append((f"{names}: {operation['text']}", x - half, y - 0.2 * size, x + half, y + 0.75 * size))
    return nodes, texts


def with_font_size(operations):
    size = 0
    for operation in operations:
        if operation["op"] == "F":
            size = operation["size"]
        elif operation["op"] == "T":
            yield size, operation


def overlap(one, other):
    (_, ax0, ay0, ax1, ay1), (_, bx0, by0, bx1, by1) = one, other
    return min(ax1, bx1) - max(ax0, bx0) > 0.5 and min(ay1, by1) - max(ay0, by0) > 0.5


class Graph(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="nowcast graph ")
        self.addCleanup(place.cleanup)
        self.directory = pathlib.Path(place.name)
        self.environment = dict(os.environ, NOWCAST_LOGS=place.name, NOWCAST_ENV=place.name, COLUMNS="80")
        self.environment.pop("NOWCAST_YAML", None)
        self.config = self.directory / "nowcast.yaml"

    def configure(self, rules, scheduled=""):
        registry = {"workers": {name: {type_: "x" for type_ in types} for name, types in WORKERS.items()},
                    "next workers module": "next_workers.yaml"}
        self.config.write_text(f"checklist file: c.yaml\nlogging: {{version: 1}}\n"
                               f"message registry: {json.dumps(registry)}\n{scheduled}", encoding="utf-8")
        if rules is not None:
            (self.directory / "next_workers.yaml").write_text(textwrap.dedent(rules), encoding="utf-8")

    def run_graph(self, *arguments, config=None):
        done = subprocess.run([NOWCAST, "graph", config or self.config, *arguments], env=self.environment,
                              capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def graph(self, *arguments, config=None):
        status, out, err = self.run_graph(*arguments, config=config)
        self.assertEqual((status, err), (0, ""))
        return out

    def refuses(self, status, words, *arguments):
        got, out, err = self.run_graph(*arguments)
        self.assertEqual((got, out), (status, ""), err)
        self.assertIn(words, err)


class Text(Graph):
    def test_the_toy(self):
        self.assertEqual(self.graph(config=ROOT / "examples/toy/nowcast.yaml"), TOY)

    def test_all_that_rules_can_say(self):
        self.configure(ALL_KINDS_RULES, "scheduled workers: [{a: {every: day, at: '12:30'}}]\n")
        self.assertEqual(self.graph(), ALL_KINDS)

    def test_lines_are_not_longer_than_the_terminal(self):
        self.configure("b: [{on: success, launch: a " + "word " * 40 + "}]\n")
        for columns in ("60", "100"):
            self.environment["COLUMNS"] = columns
            self.assertLessEqual(max(map(len, self.graph().splitlines())), int(columns))

    def test_no_text_reaches_the_terminal_as_a_command(self):
        self.configure('b: [{on: success, launch: "a \\e[31m", alarm: "\\a"}]\n')
        self.assertFalse(set(self.graph()) & {"\x1b", "\a"})

    def test_from_a_worker_some_launches_far(self):
        self.configure(ALL_KINDS_RULES)
        self.assertIn("nobody_here", self.graph("--from", "a"))
        one = self.graph("--from", "any worker", "--depth", "1")
        self.assertEqual(one, "any worker\n  crash\n    -> c\n")

    def test_what_is_no_rule_is_named_and_the_rest_shown(self):
        self.configure("a: 5\nb: [{on: success, launch: a}, nonsense]\n")
        status, out, err = self.run_graph()
        self.assertEqual(status, 0)
        self.assertIn("-> a", out)
        self.assertIn("next_workers.yaml:1:4: this and more cannot be shown", err)


class Refused(Graph):
    def test_no_rules(self):
        self.configure(None)
        self.refuses(4, "no worker launches another")

    def test_no_such_worker(self):
        self.configure(ALL_KINDS_RULES)
        self.refuses(4, "there is no worker `nobody`", "--from", "nobody")

    def test_rules_that_are_not_yaml(self):
        self.configure("a: [\n")
        self.refuses(8, "next_workers.yaml:2:1: ")
        self.configure("- a\n")
        self.refuses(8, "next_workers.yaml:1:1: the rules are a mapping")

    def test_a_bad_configuration(self):
        self.config.write_text("nonsense\n", encoding="utf-8")
        self.refuses(8, "nowcast.yaml:1:1: error")

    def test_a_depth_that_counts_from_nowhere(self):
        self.configure(ALL_KINDS_RULES)
        self.refuses(2, "--from WORKER", "--depth", "2")
        self.refuses(2, "--depth", "--from", "a", "--depth", "0")
        self.refuses(2, "invalid choice", "--format", "png")


class Json(Graph):
    def test_all_that_rules_can_say(self):
        self.configure(ALL_KINDS_RULES, "scheduled workers: [{a: {every: day, at: '12:30'}}]\n")
        out = self.graph("--json")
        self.assertEqual(out, self.graph("--format", "json"))
        flow = json.loads(out)
        self.assertEqual(flow["launches"][0], {
            "launch": "b", "after": "a", "on": "success 06", "types": ["success 06"], "when": "<payload> is set",
            "for each": "x", "same as after": None, "line": 7, "column": 17, "arguments": "--fast <today>",
            "host": "far"})
        self.assertEqual([(step["after"], step["launch"]) for step in flow["launches"]],
                         [("a", "b"), ("a", "nobody_here"), ("a", "b"), ("b", "a"), ("b", "a"), ("any worker", "c")])
        self.assertEqual(flow["groups"][0]["members"], [{"worker": "b", "on": "success"}, {"worker": "c", "on": None}])
        self.assertEqual([alarm["alarm"] for alarm in flow["alarms"]], ["a failed"])
        self.assertEqual([program["decide with"] for program in flow["programs"]], ["./after.py -v"])
        self.assertEqual(flow["workers"][0], {"worker": "a", "registered": True, "scheduled": "every day at 12:30"})
        self.assertEqual(flow["workers"][-1], {"worker": "nobody_here", "registered": False, "scheduled": None})


class Program(Graph):
    """The program that lays out the picture."""

    def use_dot(self, script):
        path = self.directory / "bin/dot"
        path.parent.mkdir()
        if script is not None:
            path.write_text(script, encoding="utf-8")
            path.chmod(0o755)
        self.environment["PATH"] = str(path.parent)

    def test_is_not_installed(self):
        self.configure(ALL_KINDS_RULES)
        self.use_dot(None)
        self.refuses(1, "apt install graphviz", "--format", "svg")

    def test_fails(self):
        self.configure(ALL_KINDS_RULES)
        self.use_dot("#!/bin/sh\necho half a picture\necho it is broken >&2\nexit 3\n")
        self.refuses(1, "ended with status 3 and made no picture; it says: it is broken", "--format", "svg")

    def test_is_killed(self):
        self.configure(ALL_KINDS_RULES)
        self.use_dot("#!/bin/sh\nkill -9 $$\n")
        self.refuses(1, "ended by signal 9", "--format", "svg")

    def test_gets_the_graph_and_its_picture_is_printed(self):
        self.configure(ALL_KINDS_RULES)
        self.use_dot("#!/bin/sh\nwhile read -r line; do echo \"[$line]\"; done\n")
        first, *_, last = self.graph("--format", "svg").splitlines()
        self.assertEqual((first, last), ("[digraph nowcast {]", "[}]"))


class Drawn(Graph):
    """Stories that look at pictures."""

    def setUp(self):
        super().setUp()
        if not shutil.which("dot"):
            self.skipTest("Graphviz is not installed")

    def lay_out(self, *arguments, config=None):
        source = self.graph("--format", "dot", *arguments, config=config)
        done = subprocess.run(["dot", "-Tjson"], input=source, env=self.environment, capture_output=True, text=True,
                              timeout=60, check=True)
        self.assertEqual(done.stderr, "")
        return json.loads(done.stdout)

    def is_legible(self, picture):
        nodes, texts = boxes_of(picture)
        width, height = map(float, picture["bb"].split(",")[2:])
        for one, other in itertools.combinations(nodes + texts, 2):
            # The lines of one label are close to each other.
            if one[0].split(":")[0] != other[0].split(":")[0]:
                self.assertFalse(overlap(one, other), f"{one} and {other}")
        for name, x0, y0, x1, y1 in nodes + texts:
            self.assertTrue(x0 >= -0.5 and y0 >= -0.5 and x1 <= width + 0.5 and y1 <= height + 0.5, name)
        return nodes, texts, width, height

    def drawn(self, *arguments, config=None):
        """The picture as an element tree, and all its texts."""
        tree = xml.etree.ElementTree.fromstring(self.graph("--format", "svg", *arguments, config=config))
        self.assertEqual(tree.tag, SVG + "svg")
        return tree, [text.text for text in tree.iter(SVG + "text")]


class Picture(Drawn):
    def test_of_all_that_rules_can_say(self):
        self.configure(ALL_KINDS_RULES, "scheduled workers: [{a: {every: day, at: '12:30'}}]\n")
        _, texts = self.drawn()
        for text in ("a", "every day at 12:30", "nobody_here", "any worker", "a failed", "./after.py -v", "lonely",
                     "hold until all have ended", "failure", "crash"):
            self.assertIn(text, [found.strip() for found in texts])
        self.is_legible(self.lay_out())

    def test_on_top_of_another_is_seen(self):
        """What the other stories look with."""
        one = ("one", 0, 0, 10, 10)
        for other, is_over in (((5, 5, 15, 15), True), ((2, 2, 3, 3), True), ((10, 0, 20, 10), False),
                               ((0, 11, 10, 20), False)):
            self.assertEqual(overlap(one, ("other", *other)), is_over)
        with self.assertRaises(AssertionError):
            self.is_legible({"bb": "0,0,99,99", "edges": [], "objects": [
                {"name": name, "pos": f"{x},50", "width": "1", "height": "1"} for name, x in (("a", 40), ("b", 60))]})
        with self.assertRaises(AssertionError):
            self.is_legible({"bb": "0,0,99,99", "edges": [], "objects": [
                {"name": "cut", "pos": "90,50", "width": "1", "height": "1"}]})

    def test_of_the_toy(self):
        _, texts = self.drawn(config=ROOT / "examples/toy/nowcast.yaml")
        self.assertEqual(sorted(texts[-4:]), ["awaken", "clear_checklist", "rotate_logs", "sleep"])

    def test_of_part_of_the_day(self):
        self.configure(ALL_KINDS_RULES)
        _, texts = self.drawn("--from", "b", "--depth", "1")
        self.assertIn("a", texts)
        self.assertNotIn("nobody_here", texts)

    def test_of_names_that_mean_something_to_graphviz_or_browsers(self):
        names = ['"];x[label="y', "<b>bold</b>", "a&amp;b", "\\\\N", "tail\\\\", "<script>alert(1)</script>", "é→",
                 "{x|y}"]
        self.configure("b:\n" + "".join(
            f"  - on: success\n    launch: {json.dumps(name, ensure_ascii=False)}\n" for name in names) +
            '  - on: failure\n    alarm: "\\e[31m \\uFFFE \\uFFFF \\u0085 & <x> \\" end"\n')
        _, texts = self.drawn()
        for name in names:
            self.assertIn(name, texts)
        self.assertIn('?[31m', " ".join(texts))
        self.assertIn('& <x> " end', " ".join(texts))
        # What was inside of quotes has made no node of its own.
        self.assertEqual(len(self.lay_out()["objects"]), len(WORKERS) + len(names) + 1)


@unittest.skipUnless(SALISHSEA.is_dir(), f"there is no {SALISHSEA}")
class SalishSea(Drawn):
    """The day of a real deployment: a copy of its files."""

    def setUp(self):
        super().setUp()
        for name in ("nowcast.yaml", "next_workers.yaml"):
            shutil.copyfile(SALISHSEA / name, self.directory / name)

    def flow(self, *arguments):
        return json.loads(self.graph("--json", *arguments))

    def test_launches_are_found(self):
        flow = self.flow()
        launches = {(step["after"], step["launch"]): step["types"] for step in flow["launches"]}
        self.assertEqual(launches["crop_gribs", "grib_to_netcdf"], ["success 12"])
        self.assertEqual(launches["watch_NEMO", "make_ww3_wind_file"], ["success forecast", "success forecast2"])
        self.assertEqual(launches["update_forecast_datasets", "make_surface_current_tiles"],
                         ["success nemo forecast", "success nemo forecast2"])
        # `same as after`
        self.assertEqual(launches["collect_weather", "get_onc_ctd"], ["success 2.5km 06"])
        self.assertEqual(len({group["line"] for group in flow["groups"]}), 3)
        self.assertEqual(flow["skipped"], 0)

    def test_a_part_of_the_day(self):
        names = {worker["worker"] for worker in self.flow("--from", "make_CHS_currents_file", "--depth", "2")["workers"]}
        self.assertEqual(names, {"make_CHS_currents_file", "update_forecast_datasets", "ping_erddap", "make_plots",
                                 "make_surface_current_tiles"})

    def test_the_text_is_for_a_terminal(self):
        text = self.graph()
        self.assertLess(len(text.splitlines()), 300)
        for worker in self.flow()["workers"]:
            self.assertIn(worker["worker"], text)

    def test_the_picture_is_legible_at_1920_by_1080(self):
        nodes, texts, width, height = self.is_legible(self.lay_out())
        self.assertGreater(len(nodes), 41)
        self.assertGreater(len(texts), 50)
        # Labels of 12 points are 9 pixels high at least.
        self.assertGreater(min(1920 / width, 1080 / height) * 12, 9)

    def test_its_hubs_are_larger(self):
        tree, _ = self.drawn()
        large = {text.text for text in tree.iter(SVG + "text") if float(text.get("font-size")) > 14}
        self.assertEqual(large, {"collect_weather", "download_weather", "watch_NEMO", "download_results",
                                 "ping_erddap"})

    def test_every_worker_is_in_the_picture_once(self):
        _, texts = self.drawn()
        for worker in self.flow()["workers"]:
            self.assertEqual(texts.count(worker["worker"]), 1, worker)


if __name__ == "__main__":
    unittest.main()
