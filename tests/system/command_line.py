#!/usr/bin/python3
"""The command line of the real binary: names, links, help, and what is wrong with it.

The arguments are the binary and the source directory.
"""
import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
from pathlib import Path

NOWCAST = os.path.realpath(sys.argv.pop(1))
SOURCE = Path(sys.argv.pop(1))

CONFIG = """\
checklist file: checklist.yaml
logging:
  version: 1
  handlers: {console: {class: logging.StreamHandler, level: INFO, stream: 'ext://sys.stdout'}}
  root: {level: INFO, handlers: [console]}
message registry:
  manager: {ack: message acknowledged}
  workers:
    sleep: {checklist key: sleepyhead, success: slept, failure: not slept, crash: crashed}
    make_plots: {checklist key: plots, success: plotted, failure: not plotted, crash: crashed}
    no_program: {checklist key: none, success: done, failure: not done, crash: crashed}
workers:
  make_plots: {command: [printf, 'plots of %s\\n%.0s']}
"""


def applets():
    return re.findall(r"^APPLET\((\w+)\)", (SOURCE / "src/applets.def").read_text(encoding="utf-8"), re.MULTILINE)


class Story(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="nowcast-cli-")
        self.addCleanup(place.cleanup)
        self.place = Path(place.name).resolve()
        (self.place / "nowcast.yaml").write_text(CONFIG, encoding="utf-8")

    def run_command(self, *command, **keywords):
        keywords.setdefault("env", {"PATH": "/usr/bin:/bin"})
        return subprocess.run(command, cwd=self.place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=30, check=False, **keywords)

    def run_nowcast(self, *arguments, **keywords):
        return self.run_command(NOWCAST, *arguments, **keywords)

    def good(self, *arguments, **keywords):
        """Its standard output; nothing went wrong."""
        done = self.run_nowcast(*arguments, **keywords)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return done.stdout

    def bad(self, *arguments, status=2, **keywords):
        """Its standard error; nothing stands on the standard output."""
        done = self.run_nowcast(*arguments, **keywords)
        self.assertEqual((done.returncode, done.stdout), (status, ""), (arguments, done.stderr))
        self.assertNotEqual(done.stderr, "")
        return done.stderr


class Itself(Story):
    def test_alone_it_says_what_it_is(self):
        text = self.good()
        self.assertEqual(text, self.good("--help"))
        self.assertEqual(text, self.good("-h"))
        self.assertEqual(text, self.good("help"))
        for word in ("forecast", "daemons:", "workers:", "commands:", "nowcast(1)"):
            self.assertIn(word, text)
        for name in applets():
            self.assertRegex(text, rf"(?m)^  {name} +\w")
        self.assertLessEqual(max(map(len, text.splitlines())), 88)

    def test_list_is_for_programs(self):
        lines = [line.split("\t") for line in self.good("--list").splitlines()]
        self.assertEqual([line[0] for line in lines], applets())
        kinds = {name: kind for name, kind, _ in lines}
        self.assertEqual((kinds["manager"], kinds["sleep"], kinds["check"]), ("daemon", "worker", "command"))

    def test_version_is_one_line(self):
        self.assertRegex(self.good("--version"), r"\Anowcast \d+\.\d+\.\d+\n\Z")

    def test_help_of_a_name_is_its_h(self):
        for name in applets():
            self.assertEqual(self.good("help", name), self.good(name, "-h"))

    def test_an_unknown_name_has_a_near_one(self):
        self.assertIn("did you mean `rotate_logs`?", self.bad("rotate_log"))
        self.assertIn("did you mean `awaken`?", self.bad("help", "awakn"))

    def test_an_unknown_name_without_a_near_one_says_where_to_look(self):
        said = self.bad("download_weather")
        self.assertNotIn("did you mean", said)
        self.assertIn("nowcast --list", said)

    def test_an_unknown_option_has_a_near_one(self):
        said = self.bad("--verison")
        self.assertTrue(said.startswith("usage: nowcast NAME"), said)
        self.assertIn("did you mean --version?", said)

    def test_what_is_too_much_is_refused(self):
        for arguments in (["--version", "x"], ["--list", "--json"], ["-h", "x"], ["help", "sleep", "x"],
                          ["--install-links"], ["--install-links", "a", "b"], ["--remove-links", "a", "--all"],
                          ["--install-links", ""], [""]):
            self.bad(*arguments)

    def test_what_was_typed_cannot_write_to_the_terminal(self):
        for arguments in (["\x1b[31mred"], ["--\x1b[31m"], ["sleep", "c.yaml", "\x1b]0;x\x07"], ["sleep", "--\x9b1m"],
                          ["sleep", "c.yaml", "--sleep-time", "\x1b"], ["help", "\x07"],
                          ["\x1b.", "nowcast.yaml"]):
            done = self.run_nowcast(*arguments)
            self.assertNotEqual(done.returncode, 0)
            self.assertNotRegex(done.stderr, r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", arguments)

    def test_output_that_cannot_be_written_is_a_failure(self):
        for arguments in ([], ["--list"], ["--version"], ["sleep", "-h"], ["--install-links", "."]):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([NOWCAST, *arguments], stdout=full, stderr=subprocess.PIPE, text=True,
                                      timeout=30, check=False, cwd=self.place)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn("cannot write to standard output", done.stderr)

    def test_a_closed_output_is_a_failure(self):
        for arguments in (["--list"], ["sleep", "-h"]):
            done = self.run_command("/bin/sh", "-c", '"$@" >&-', "sh", NOWCAST, *arguments)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn("cannot write to standard output", done.stderr)

    def test_no_file_takes_the_place_of_a_closed_descriptor(self):
        with subprocess.Popen(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", NOWCAST, "sleep", "nowcast.yaml",
                               "--debug", "--sleep-time", "60"], cwd=self.place) as process:
            links = [Path(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)]
            end = time.monotonic() + 20
            found = []
            while found != ["/dev/null"] * 3 and time.monotonic() < end:
                try:
                    found = [os.readlink(link) for link in links]
                except FileNotFoundError:
                    pass
            process.kill()
        self.assertEqual(found, ["/dev/null"] * 3)

    def test_an_empty_name_is_an_unknown_one(self):
        done = self.run_command("/bin/bash", "-c", 'exec -a "" "$0"', NOWCAST)
        self.assertEqual((done.returncode, done.stdout), (2, ""))


class Links(Story):
    def link(self, name, target=NOWCAST):
        path = self.place / name
        path.symlink_to(target)
        return str(path)

    def test_a_link_is_the_entry_point_of_its_name(self):
        for name in ("sleep", "manager", "check"):
            done = self.run_command(self.link(name), "-h")
            self.assertEqual((done.returncode, done.stdout), (0, self.good(name, "-h")))

    def test_a_link_by_another_link_is_the_same(self):
        self.link("first")
        done = self.run_command(self.link("awaken", "first"), "-h")
        self.assertIn("usage: nowcast awaken", done.stdout)

    def test_a_link_of_an_unknown_name_is_refused(self):
        done = self.run_command(self.link("rotate_logz"), "--version")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("did you mean `rotate_logs`?", done.stderr)

    def test_a_link_called_nowcast_is_the_binary(self):
        self.assertEqual(self.run_command(self.link("nowcast"), "--version").stdout, self.good("--version"))

    def test_a_link_may_have_the_name_of_a_configured_worker(self):
        done = self.run_command(self.link("make_plots"), "nowcast.yaml", "--debug")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("plots of", done.stdout + done.stderr)

    def install(self, *arguments, path="/nowhere"):
        return self.run_nowcast("--install-links", *arguments, env={"PATH": path})

    def test_links_are_installed_and_removed(self):
        (self.place / "bin").mkdir()
        done = self.install("bin")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(os.listdir(self.place / "bin")), applets())
        for name in applets():
            self.assertEqual(os.readlink(self.place / "bin" / name), NOWCAST)
        self.assertEqual(self.install("bin").returncode, 0)
        done = self.run_nowcast("--remove-links", "bin")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(os.listdir(self.place / "bin"), [])

    def test_a_link_that_would_hide_a_command_is_named_and_left_out(self):
        (self.place / "bin").mkdir()
        done = self.install("bin", path="/nowhere:/usr/bin")
        self.assertEqual(done.returncode, 0)
        self.assertIn("skipped sleep: it would hide /usr/bin/sleep\n", done.stdout)
        self.assertEqual(sorted(os.listdir(self.place / "bin")), [n for n in applets() if n != "sleep"])
        self.assertEqual(self.install("bin", "--all", path="/usr/bin").returncode, 0)
        self.assertIn("sleep", os.listdir(self.place / "bin"))

    def test_our_own_links_hide_nothing(self):
        (self.place / "one").mkdir()
        (self.place / "two").mkdir()
        self.install("one")
        done = self.install("two", path=f"{self.place}/one:{self.place}/two")
        self.assertNotIn("skipped", done.stdout)

    @staticmethod
    def identity(path):
        status = os.lstat(path)
        return status.st_ino, status.st_mode, status.st_mtime_ns

    def test_what_is_there_is_never_replaced(self):
        for kind in ("file", "link", "dangling", "directory"):
            directory = self.place / kind
            directory.mkdir()
            if kind == "file":
                (directory / "sleep").write_text("mine", encoding="utf-8")
            elif kind == "directory":
                (directory / "sleep").mkdir()
            else:
                (directory / "sleep").symlink_to("/usr/bin/env" if kind == "link" else "/nowhere/nowcast")
            before = self.identity(directory / "sleep")
            done = self.install(kind, "--all")
            self.assertEqual(done.returncode, 1)
            self.assertIn("something else has that name", done.stderr)
            self.assertIn("manager", os.listdir(directory))
            self.run_nowcast("--remove-links", kind)
            self.assertEqual(self.identity(directory / "sleep"), before)
            self.assertEqual(os.listdir(directory), ["sleep"])

    def test_links_to_another_copy_are_not_removed(self):
        shutil.copy(NOWCAST, self.place / "nowcast")
        (self.place / "bin").mkdir()
        self.assertEqual(self.run_command("./nowcast", "--install-links", "bin").returncode, 0)
        done = self.run_nowcast("--remove-links", "bin")
        self.assertEqual(done.returncode, 0)
        self.assertIn("no link in bin", done.stdout)
        self.assertIn("manager", os.listdir(self.place / "bin"))

    def test_a_binary_of_such_a_name_is_no_link(self):
        (self.place / "bin").mkdir()
        shutil.copy(NOWCAST, self.place / "bin/sleep")
        done = self.run_command("/bin/bash", "-c", 'exec -a nowcast bin/sleep --remove-links bin')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(os.listdir(self.place / "bin"), ["sleep"])

    def test_a_directory_that_is_none_is_one_complaint(self):
        for name in ("nowhere", "nowcast.yaml"):
            for option in ("--install-links", "--remove-links"):
                said = self.bad(option, name, status=1)
                self.assertEqual(len(said.splitlines()), 1, said)


class Help(Story):
    def test_usage_is_what_the_framework_had(self):
        for name, ours in (("awaken", ""), ("clear_checklist", ""), ("rotate_logs", "[--only HANDLER] ")):
            self.assertEqual(self.good(name, "-h").splitlines()[0],
                             f"usage: nowcast {name} [-h] [--debug] {ours}config_file")

    def test_help_comes_with_and_without_the_configuration_file(self):
        for name in applets():
            text = self.good(name, "-h")
            self.assertTrue(text.startswith(f"usage: nowcast {name} [-h]"), text)
            self.assertRegex(text, r"\n\noptions:\n  -h, --help +show this help message and exit\n")
            self.assertEqual(text, self.good(name, "--help"))
            self.assertEqual(text, self.good(name, "nowcast.yaml", "-h"))
            self.assertEqual(text, self.good(name, "no_such_file.yaml", "--help", "--nonsense"))

    def test_it_is_as_wide_as_it_is_told(self):
        for columns in (60, 100, 132):
            text = self.good("sleep", "-h", env={"COLUMNS": str(columns)})
            longest = max(map(len, text.splitlines()))
            self.assertLessEqual(longest, columns - 2)
            self.assertGreater(longest, columns - 22)
        for nonsense in ("0", "-5", "wide", ""):
            self.assertEqual(self.good("sleep", "-h", env={"COLUMNS": nonsense}), self.good("sleep", "-h"))

    def test_it_is_as_wide_as_the_terminal(self):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
        with subprocess.Popen([NOWCAST, "sleep", "-h"], stdout=theirs, env={}) as process:
            os.close(theirs)
            text = b""
            try:
                while chunk := os.read(ours, 4096):
                    text += chunk
            except OSError:  # how a terminal ends
                pass
            self.assertEqual(process.wait(30), 0)
        os.close(ours)
        self.assertEqual(text.decode().replace("\r\n", "\n"), self.good("sleep", "-h", env={"COLUMNS": "50"}))

    def test_wrong_arguments_are_told_as_argparse_does(self):
        usage = "usage: nowcast sleep [-h] [--debug] [--sleep-time SLEEP_TIME] config_file\n"
        cases = {
            (): "the following arguments are required: config_file",
            ("c.yaml", "--sleep-time", "x"): "argument --sleep-time: invalid int value: 'x'",
            ("c.yaml", "--sleep-time", "it's"): "argument --sleep-time: invalid int value: \"it's\"",
            ("c.yaml", "--sleep-time"): "argument --sleep-time: expected one argument",
            ("c.yaml", "--sleep-time", "-1"): "argument --sleep-time: -1 is not between 0 and 86400",
            ("c.yaml", "--debug=yes"): "argument --debug: ignored explicit argument 'yes'",
            ("c.yaml", "more", "still more"): "unrecognized arguments: more still more",
            ("c.yaml", "--sleep", "5"): "unrecognized arguments: --sleep 5; did you mean --sleep-time?",
            ("c.yaml", "--debgu"): "unrecognized arguments: --debgu; did you mean --debug?",
            ("c.yaml", "--zork"): "unrecognized arguments: --zork",
        }
        for arguments, problem in cases.items():
            self.assertEqual(self.bad("sleep", *arguments), f"{usage}nowcast sleep: error: {problem}\n")

    def test_every_entry_point_refuses_what_it_does_not_know(self):
        needed = {"next": ("sleep", "success")}
        for name in applets():
            said = self.bad(name, "nowcast.yaml", *needed.get(name, ()), "--zork")
            self.assertTrue(said.startswith(f"usage: nowcast {name} "), said)
            self.assertTrue(said.endswith(f"nowcast {name}: error: unrecognized arguments: --zork\n"), said)


class Check(Story):
    def test_json_says_what_the_text_says(self):
        config = self.place / "nowcast.yaml"
        config.write_text(CONFIG + "checklst file: x.yaml\nzmq: {host: localhost, prts: {}}\nlogging: no\n", encoding="utf-8")
        text = self.run_nowcast("check", "nowcast.yaml")
        done = self.run_nowcast("check", "nowcast.yaml", "--json")
        self.assertEqual((done.returncode, text.returncode, done.stderr), (8, 8, ""))
        report = json.loads(done.stdout)
        self.assertEqual(report["file"], "nowcast.yaml")
        lines = []
        for found in report["findings"]:
            place = f":{found['line']}:{found['column']}" if found["line"] is not None else ""
            lines.append(f"{found['file']}{place}: {found['severity']}: {found['text']} [{found['name']}]")
        self.assertEqual(lines, text.stdout.splitlines()[:-1])
        for kind in ("error", "warning", "note"):
            self.assertEqual(report[f"{kind}s"], sum(found["severity"] == kind for found in report["findings"]))
        self.assertGreater(report["errors"], 0)

    def test_the_file_is_that_of_the_environment_or_the_usual_one(self):
        self.assertTrue(self.good("check").splitlines()[-1].startswith("nowcast.yaml: 0 errors"))
        (self.place / "nowcast.yaml").rename(self.place / "other.yaml")
        self.assertEqual(self.run_nowcast("check").returncode, 8)
        shown = self.good("check", env={"PATH": "/usr/bin:/bin", "NOWCAST_YAML": "other.yaml"})
        self.assertTrue(shown.splitlines()[-1].startswith("other.yaml: 0 errors"))

    def test_a_full_disk_is_told(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([NOWCAST, "check"], cwd=self.place, stdout=full, stderr=subprocess.PIPE, text=True,
                                  timeout=30, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No space left on device", done.stderr)


class Configured(Story):
    """Workers that only the configuration file names."""

    def test_the_help_of_a_program_is_its_own(self):
        self.assertEqual(self.good("make_plots", "nowcast.yaml", "-h"), f"plots of {self.place}/nowcast.yaml\n")

    def test_without_a_configuration_its_link_says_what_is_missing(self):
        (self.place / "make_plots").symlink_to(NOWCAST)
        done = self.run_command(self.place / "make_plots")
        self.assertEqual(done.returncode, 2)
        self.assertIn("make_plots", done.stderr)

    def test_its_program_is_run(self):
        done = self.run_nowcast("make_plots", "nowcast.yaml", "--debug")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"plots of {self.place}/nowcast.yaml", done.stdout + done.stderr)

    def test_a_name_that_the_configuration_does_not_have_has_a_near_one(self):
        self.assertIn("did you mean `make_plots`?", self.bad("make_plot", "nowcast.yaml", status=4))
        self.assertEqual(self.bad("slep", "nowcast.yaml", status=4),
                         "nowcast: nowcast.yaml has no worker of that name; did you mean `sleep`?\n")
        said = self.bad("download_weather", "nowcast.yaml", status=4)
        self.assertIn("nowcast.yaml has no worker of that name", said)
        self.assertNotIn("did you mean", said)

    def test_a_registered_worker_without_a_program_is_a_fault_of_the_configuration(self):
        self.assertNotIn("no worker of that name", self.bad("no_program", "nowcast.yaml", status=8))

    def test_without_a_configuration_it_is_an_unknown_name(self):
        self.assertIn("nowcast NAME nowcast.yaml", self.bad("make_plots"))

    def test_an_option_is_no_worker(self):
        self.assertIn("did you mean --list?", self.bad("--lits", "nowcast.yaml"))


unittest.main()
