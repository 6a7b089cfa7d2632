#!/usr/bin/python3
"""nowcast simulate: the day rehearsed by the brain of the manager, with nothing started.

usage: simulate.py NOWCAST [unittest arguments]
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest

NOWCAST = os.path.abspath(sys.argv.pop(1))
ROOT = pathlib.Path(__file__).resolve().parents[2]
SALISHSEA = ROOT.parent / "shared/salishsea"

WORKERS = {
    "get": {"checklist key": "data", "success 06": "x", "success 12": "x", "failure 06": "x", "failure 12": "x"},
    "left": {"checklist key": "sides", "success": "x", "failure": "x"},
    "right": {"checklist key": "sides", "success": "x", "failure": "x"},
    "join": {"success": "x", "failure": "x"},
    "many": {"success a": "x", "success a b": "x", "success c": "x", "failure": "x"},
    "clear_checklist": {"clear checklist": "x", "success": "x", "failure": "x"},
    "idle": {"success": "x"},
}

FORK = """\
get:
  - on: success <hour>
    launch: [left <hour>, right]
    hold until all have ended: [left, right]
    give up after: 4 h
    when given up: WHEN
left:
  - on: success
    launch: join <checklist[data][file]>
"""

STORY = """\
2026-11-24
00:00:00  get reports success 06
            -> left 06  (next_workers.yaml:3)
            -> right  (next_workers.yaml:3)
            the group get#1 is open and waits for 2 workers
            || get#1 waits for left, right
00:00:01  left 06 reports success
            join is held until its group has ended
            || get#1 waits for right; it holds join x.nc
00:00:01  right reports success
            -> join x.nc  (next_workers.yaml:9)
            the group get#1 is released: all have ended
00:00:02  join x.nc reports success

The day is over at 00:00:02, after 4 messages: nothing is under way any more. The last was join: success
Never ran: many, clear_checklist, idle
"""

WEATHER = "collect_weather success 2.5km {}"
HOST = "arbutus.cloud-nowcast"


class Simulate(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="nowcast simulate ")
        self.addCleanup(place.cleanup)
        self.directory = pathlib.Path(place.name)
        self.environment = dict(os.environ, NOWCAST_LOGS=place.name, NOWCAST_ENV=place.name, COLUMNS="80",
                                TZ="Canada/Pacific")
        self.environment.pop("NOWCAST_YAML", None)

    def write(self, name, text):
        path = self.directory / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return str(path)

    def configure(self, rules, more="", workers=None):
        registry = {"workers": workers or WORKERS, "next workers module": "next_workers.yaml",
                    "manager": {name: "x" for name in ("ack", "checklist cleared", "unregistered worker",
                                                       "unregistered message type")}}
        self.write("nowcast.yaml", f"checklist file: c.yaml\nlogging: {{version: 1}}\n"
                                   f"message registry: {json.dumps(registry)}\n{more}")
        if rules is not None:
            self.write("next_workers.yaml", rules)

    def run_day(self, *arguments):
        done = subprocess.run([NOWCAST, "simulate", self.directory / "nowcast.yaml", "--today", "2026-11-24",
                               *arguments], env=self.environment, capture_output=True, text=True, timeout=120,
                              check=False)
        return done.returncode, done.stdout, done.stderr

    def day(self, *arguments, status=0):
        got, out, err = self.run_day(*arguments)
        self.assertEqual((got, err), (status, ""), out)
        return out

    def story(self, *arguments, status=0):
        return json.loads(self.day("--json", *arguments, status=status))

    def refuses(self, status, words, *arguments):
        got, out, err = self.run_day(*arguments)
        self.assertEqual((got, out), (status, ""), err)
        self.assertIn(words, err)

    def reports(self, *arguments, status=0):
        """`worker args: type` of all messages."""
        return [" ".join([event["worker"], *event["args"]]) + ": " + event["type"]
                for event in self.story(*arguments, status=status)["events"] if event["what"] == "message"]


class Story(Simulate):
    def test_of_a_group(self):
        self.configure(FORK.replace("WHEN", "drop"))
        payloads = self.write("p.yaml", "get: {file: x.nc}\n")
        self.assertEqual(self.day("--start", "get success 06", "--payloads", payloads), STORY)

    def test_of_the_toy(self):
        shutil.copytree(ROOT / "examples/toy", self.directory, dirs_exist_ok=True)
        out = self.day("--start", "clear_checklist")
        self.assertIn("-> rotate_logs  (next_workers.yaml:", out)
        self.assertIn("after 2 messages", out)
        self.assertIn("Never ran: sleep, awaken", out)

    def test_leaves_nothing_behind(self):
        self.configure(FORK.replace("WHEN", "drop"))
        before = sorted(os.listdir(self.directory))
        self.day("--start", "left", status=8)
        self.assertEqual(sorted(os.listdir(self.directory)), before)

    def test_for_programs(self):
        self.configure(FORK.replace("WHEN", "drop"))
        payloads = self.write("p.yaml", "get: {file: x.nc}\n")
        story = self.story("--start", "get success 12", "--payloads", payloads)
        first, *_, last = story["events"]
        self.assertEqual((first["at"], first["worker"], first["type"]), ("2026-11-24 00:00:00", "get", "success 12"))
        self.assertEqual([(launch["worker"], launch["args"], launch["host"], launch["line"])
                          for launch in first["launches"]], [("left", ["12"], "localhost", 3), ("right", [], "localhost", 3)])
        self.assertEqual(first["groups"][0]["waits for"], ["left", "right"])
        self.assertEqual((last["worker"], last["args"]), ("join", ["x.nc"]))
        self.assertEqual((story["end"], story["messages"], story["waiting"], story["rule errors"]), ("quiet", 4, [], 0))
        self.assertEqual(story["never ran"], ["many", "clear_checklist", "idle"])

    def test_rules_that_fail_are_told_and_launch_nothing(self):
        self.configure(FORK.replace("WHEN", "drop"))
        out = self.day("--start", "left success", status=8)
        self.assertIn("CRITICAL: nothing was launched after the message (success) from left", out)
        self.assertIn("next_workers.yaml:9", out)
        self.assertIn("Rules failed after 1 message, which then launched nothing", out)
        self.assertEqual(self.story("--start", "left success", status=8)["rule errors"], 1)

    def test_the_day_is_the_one_that_is_rehearsed(self):
        self.configure("get: [{on: success <hour>, launch: left <today - 1 day>}]\n")
        for zone in ("Canada/Pacific", "UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
            self.environment["TZ"] = zone
            self.assertEqual(self.reports("--start", "get success 06"), ["get: success 06", "left 2026-11-23: success"])

    def test_no_text_reaches_the_terminal_as_a_command(self):
        self.configure('get: [{on: success <hour>, launch: "left \\e[31m", alarm: "\\a"}]\n')
        self.assertFalse(set(self.day("--start", "get success 06")) & {"\x1b", "\a"})


class Reports(Simulate):
    def rules(self, *launches):
        self.configure("get:\n  - on: success 06\n    launch:\n" + "".join(f"      - {one}\n" for one in launches))

    def test_the_arguments_say_which_success(self):
        self.rules("get --cycle 12", "many a", "many b --x a", "many c", "left")
        self.assertEqual(self.reports("--start", "get success 06")[1:],
                         ["get --cycle 12: success 12", "many a: success a", "many b --x a: success a b",
                          "many c: success c", "left: success"])

    def test_what_they_do_not_say_is_a_guess(self):
        self.rules("many z")
        out = self.day("--start", "get success 06")
        self.assertIn("many z reports success a (a guess", out)
        events = self.story("--start", "get success 06")["events"]
        self.assertEqual([event["guessed"] for event in events], [False, True])

    def test_payloads_say_it_too(self):
        self.rules("many z")
        payloads = self.write("p.yaml", "many success c: null\n")
        self.assertEqual(self.reports("--start", "get success 06", "--payloads", payloads)[1], "many z: success c")

    def test_the_entry_of_the_program_says_it_first(self):
        self.configure("get: [{on: success 06, launch: many x c}]\n",
                       "workers: {many: {command: [x], success: 'success a <arguments[0]>'}}\n",
                       dict(WORKERS, many={"success c": "x", "success a x": "x"}))
        self.assertEqual(self.reports("--start", "get success 06")[1], "many x c: success a x")

    def test_the_payload_with_the_most_words_counts(self):
        self.configure("get: [{on: success 06, launch: [left 1 2, left 1 3, left 4]}]\n"
                       "left: [{on: success, launch: join <payload>}]\n")
        payloads = self.write("p.yaml", "left: any\nleft success: of the type\nleft 1: one\nleft 1 2: two\nleft 1 22: no\n")
        joins = [line for line in self.reports("--start", "get success 06", "--payloads", payloads) if "join" in line]
        self.assertEqual(joins, ["join two: success", "join one: success", "join of the type: success"])

    def test_one_that_fails(self):
        self.configure("get: [{on: failure 12, launch: idle}, {on: success 06, launch: get 12}]\n")
        self.assertEqual(self.reports("--start", "get success 06", "--fail", "get"),
                         ["get: success 06", "get 12: failure 12", "idle: success"])

    def test_one_that_crashes(self):
        self.configure("left: [{on: crash, launch: 'join <launch[reason]>'}]\nget: [{on: success 06, launch: left}]\n")
        self.assertEqual(self.reports("--start", "get success 06", "--crash", "left"),
                         ["get: success 06", "left: crash", "join rehearsed (--crash): success"])
        self.assertIn("CRITICAL: left crashed: rehearsed (--crash)", self.day("--start", "get success 06", "--crash", "left"))

    def test_who_can_clears_the_checklist(self):
        self.configure("get: [{on: success 06, launch: clear_checklist}]\n"
                       "clear_checklist:\n  - on: success\n    when: <checklist[data]> is missing\n    launch: idle\n")
        payloads = self.write("p.yaml", "get: {file: x.nc}\n")
        self.assertEqual(self.reports("--start", "get success 06", "--payloads", payloads),
                         ["get: success 06", "clear_checklist: clear checklist", "clear_checklist: success",
                          "idle: success"])


class Groups(Simulate):
    """What waits in vain is given up when nothing else is under way."""

    def test_is_dropped(self):
        self.configure(FORK.replace("WHEN", "drop").replace("launch: [left <hour>, right]", "launch: left <hour>"))
        out = self.day("--start", "get success 06", "--payloads", self.write("p.yaml", "get: {file: x.nc}\n"))
        self.assertIn("04:00:00  nothing is under way, and time passes", out)
        self.assertIn("CRITICAL: the group get#1 was dropped", out)
        self.assertNotIn("-> join", out)

    def test_is_released(self):
        self.configure(FORK.replace("WHEN", "release").replace("launch: [left <hour>, right]", "launch: left <hour>"))
        out = self.day("--start", "get success 06", "--payloads", self.write("p.yaml", "get: {file: x.nc}\n"))
        self.assertIn("04:00:00  nothing is under way, and time passes\n            -> join x.nc  (next_workers.yaml:9)",
                      out)
        self.assertIn("04:00:01  join x.nc reports success", out)


class Endless(Simulate):
    def test_a_circle_is_noticed(self):
        self.configure("left: [{on: success, launch: right}]\nright: [{on: success, launch: left}]\n")
        out = self.day("--start", "left success", status=1)
        self.assertIn("This has no end: after 10000 messages 1 are still under way. Most of them were of left (5000), "
                      "right (5000).", out)
        story = self.story("--start", "left success", "--limit", "50", status=1)
        self.assertEqual((story["end"], story["messages"]), ("endless", 50))

    def test_so_is_one_that_grows(self):
        self.configure("left: [{on: success, launch: [left, left, left]}]\n")
        self.assertIn("This has no end", self.day("--start", "left success", "--limit", "200", status=1))

    def test_a_day_of_just_so_many_messages_has_an_end(self):
        self.configure("left: [{on: success, launch: right}]\n")
        self.assertIn("The day is over", self.day("--start", "left success", "--limit", "2"))
        self.assertIn("no end", self.day("--start", "left success", "--limit", "1", status=1))


class Beginning(Simulate):
    def test_schedules_begin_the_day_in_their_order(self):
        self.configure("left: [{on: success, launch: right}]\n",
                       "scheduled workers:\n  - x.join: {every: day, at: '14:30', cmd line opts: --fast}\n"
                       "  - x.left: {every: day, at: '05:00'}\n")
        self.assertEqual([(event["at"][11:], event["what"], event["worker"]) for event in self.story()["events"]],
                         [("05:00:00", "due", "left"), ("05:00:01", "message", "left"), ("05:00:02", "message", "right"),
                          ("14:30:00", "due", "join"), ("14:30:01", "message", "join")])
        self.assertIn("14:30:00  the clock launches join --fast\n", self.day())

    def test_several_messages_can(self):
        self.configure("get: [{on: success <hour>, launch: left <hour>}]\n")
        self.assertEqual(self.reports("--start", "get success 06", "--start", "get success 12"),
                         ["get: success 06", "get: success 12", "left 06: success", "left 12: success"])

    def test_nothing_does(self):
        self.configure("left: [{on: success, launch: right}]\nright: [{on: success, launch: join}]\n")
        self.refuses(2, "--start \"WORKER TYPE\"; here it may be left\n")

    def test_who_is_not_registered_does_not(self):
        self.configure("left: [{on: success, launch: right}]\n")
        self.refuses(4, "did you mean `left`?", "--start", "leff success")
        self.refuses(4, "left has no message type `sucess` in the message registry; did you mean `success`?",
                     "--start", "left sucess")
        for option in ("--fail", "--crash"):
            self.refuses(4, "did you mean `right`?", "--start", "left", option, "rigth")
        self.assertEqual(self.reports("--start", "left crash"), ["left: crash"])


class Programs(Simulate):
    def test_that_decide_are_not_run(self):
        self.configure("left:\n  - on: success\n    launch: right\n    decide with: [./ran.sh]\n")
        self.write("ran.sh", f"#!/bin/sh\ntouch '{self.directory}/ran'\n")
        os.chmod(self.directory / "ran.sh", 0o755)
        out = self.day("--start", "left success")
        self.assertIn("the program ./ran.sh would decide now; it is not run, and is taken to say nothing", out)
        self.assertIn("right reports success", out)
        self.assertFalse((self.directory / "ran").exists())


class Refused(Simulate):
    def test_no_rules(self):
        self.configure(None)
        self.refuses(4, "no worker launches another", "--start", "left")

    def test_rules_with_errors(self):
        self.configure("left: [{on: success, launch: nobody}]\n")
        self.refuses(8, "next_workers.yaml:1:", "--start", "left")

    def test_payloads_that_cannot_be_used(self):
        self.configure("left: [{on: success, launch: right}]\n")
        for text, words in (("a: [\n", "p.yaml:2:1: "), ("- a\n", "payloads are a mapping"),
                            ("left: 1\nleft2 success: 2\n", "p.yaml:2:1: `left2 success` begins with no worker")):
            self.refuses(8, words, "--start", "left", "--payloads", self.write("p.yaml", text))
        self.refuses(8, "absent.yaml", "--start", "left", "--payloads", "absent.yaml")

    def test_numbers_and_days_that_are_none(self):
        self.configure("left: [{on: success, launch: right}]\n")
        self.refuses(2, "--limit", "--start", "left", "--limit", "0")
        self.refuses(2, "--today", "--start", "left", "--today", "2026-02-30")


@unittest.skipUnless(SALISHSEA.is_dir(), f"there is no {SALISHSEA}")
class SalishSea(Simulate):
    """The day of a real deployment: a copy of its files, from the weather forecast to the plots."""

    def setUp(self):
        super().setUp()
        for name in ("nowcast.yaml", "next_workers.yaml"):
            shutil.copyfile(SALISHSEA / name, self.directory / name)

    def payloads(self):
        day, before = "2026-11-24", "2026-11-23"
        dates = {"nowcast": day, "forecast": day, "forecast2": before, "nowcast-green": day}
        found = {
            "collect_weather success 2.5km 00": {"00 2.5km": "/data/20261124/00"},
            "collect_NeahBay_ssh": {"data date": day},
            "download_live_ocean": {day: "/data/live-ocean"},
            "make_forcing_links": {HOST: {"run date": day}},
            "make_ww3_current_file": {"run date": day},
        }
        for forcing in ("nowcast+", "forecast2", "turbidity"):
            for host in (HOST, "orcinus-nowcast-agrif", "robot.nibi", "optimum-hindcast"):
                found[f"upload_forcing {host} {forcing}"] = {host: {forcing: {"run date": day}}}
        for run, date in dates.items():
            for worker in ("run_NEMO", "watch_NEMO", "run_ww3", "watch_ww3", "download_results",
                           "make_CHS_currents_file"):
                if run == "nowcast-green" and "ww3" in worker or run.startswith("nowcast") and "CHS" in worker:
                    continue
                found[f"{worker} success {run}"] = {run: {"host": HOST, "run date": date}}
        for group in ("biology", "chemistry", "physics"):
            found[f"make_averaged_dataset success day {group}"] = {f"day {group}": {"run date": day}}
        return self.write("payloads.yaml", json.dumps(found))

    def rehearsal(self, hours, *arguments, status=0):
        starts = [word for hour in hours for word in ("--start", WEATHER.format(hour))]
        return self.story(*starts, "--fail", "collect_weather", "--payloads", self.payloads(), *arguments, status=status)

    def goes_well(self, hours, *workers):
        story = self.rehearsal(hours)
        notes = [note["text"] for event in story["events"] for note in event["notes"] if note["level"] == "CRITICAL"]
        self.assertEqual((story["end"], story["rule errors"], notes), ("quiet", 0, []))
        order = [event["worker"] for event in story["events"]]
        self.assertFalse(set(workers) - set(order))
        return order

    def test_the_morning_goes_from_the_weather_to_the_plots(self):
        order = self.goes_well(("06", "12"), "grib_to_netcdf", "upload_forcing", "run_NEMO", "watch_NEMO", "run_ww3",
                               "download_results", "update_forecast_datasets", "make_plots", "make_feeds")
        # Nothing that is held comes before its group has ended.
        for member in ("grib_to_netcdf", "make_live_ocean_files", "make_runoff_file"):
            self.assertLess(order.index(member), order.index("upload_forcing"))

    def test_the_evening_ends_with_new_logs(self):
        order = self.goes_well(("00", "06"), "run_NEMO", "watch_NEMO", "make_feeds", "clear_checklist")
        self.assertEqual(order[-1], "rotate_logs")

    def test_without_the_model_there_is_no_forecast(self):
        story = self.rehearsal(("06", "12"), "--crash", "run_NEMO")
        self.assertIn("watch_NEMO", story["never ran"])
        self.assertIn("make_plots", story["never ran"])

    def test_the_weather_goes_round_for_ever(self):
        story = self.story("--start", WEATHER.format("00"), "--limit", "300", "--payloads", self.write("p.yaml", """\
            collect_weather success 2.5km 00: {00 2.5km: /data/20261124/00}
            collect_weather success 2.5km 18: {18 2.5km: /data/20261124/18}
            """), status=1)
        self.assertEqual(story["end"], "endless")


if __name__ == "__main__":
    unittest.main()
