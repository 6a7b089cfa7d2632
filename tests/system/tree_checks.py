#!/usr/bin/python3
"""The checks of the tree itself (tests/tools/check_*.py) find what they are there to find.

Each story makes a small tree in which all is well, spoils one thing, and looks for the complaint.
"""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent / "tools"

GOOD = {
    "src/nowcast.c": '#include <stdio.h>\n#include "applets.h"\n',
    "src/applets.h": '#include "core/system/log.h"\n',
    "src/applets.def": "APPLET(awaken)\nAPPLET(manager)\n",
    "src/meson.build": "system_sources = [\n  'core/data/value.c',\n  'core/system/log.c',\n]\n"
                       "top_sources = [\n  'daemons/manager.c',\n  'workers/awaken.c',\n]\n",
    "src/core/data/value.c": '#include <string.h>\n#include "core/data/value.h"\n',
    "src/core/data/value.h": "",
    "src/core/system/log.c": '#include <unistd.h>\n#include "core/system/log.h"\n',
    "src/core/system/log.h": '#include "core/data/value.h"\n',
    "src/core/decide/brain.h": '#include "core/system/log.h"\n',
    "src/core/work/worker.h": '#include "core/system/log.h"\n',
    "src/daemons/manager.c": '#include "core/decide/brain.h"\nconst struct applet applet_manager = {\n',
    "src/workers/awaken.c": '#include "core/work/worker.h"\nconst struct applet applet_awaken = {\n',
    "man/meson.build": "install_man(\n  'nowcast-awaken.1',\n  'nowcast-manager.8',\n)\n",
    "man/nowcast-awaken.1": "",
    "man/nowcast-manager.8": "",
    "tests/meson.build": "unit_tests = [\n  'value',\n]\ntest(files('system/story.py'))\n",
    "tests/unit/test_value.c": "",
    "tests/system/story.py": "import harness\nrun('awaken')\nrun('manager')\n",
    "tests/system/harness.py": "",
    "tests/fuzz/meson.build": "foreach name : ['yaml']\n  executable('fuzz_' + name)\nendforeach\n",
    "tests/fuzz/fuzz_yaml.c": "",
}

PAGE = """.Sh SYNOPSIS
.Op Fl h
.Op Fl -debug
.Op Fl -sleep-time Ar SLEEP_TIME
.Ar config_file
.Sh OPTIONS
.Bl -tag -width Ds
.It Ar config_file
A file.
.It Fl h , -help
Help.
.It Fl -debug
Say more.
.It Fl -sleep-time Ar SLEEP_TIME
Seconds.
.El
"""
PAGE_TOP = ".Dd November 24, 2026\n.Dt NOWCAST-{} 1\n.Os\n.Sh NAME\n.Nm nowcast-{}\n.Nd a page\n"
OWN_PAGE = ".Sh OPTIONS\n.Bl -tag -width Ds\n.It Fl h , -help\nHelp.\n.El\n"
BINARY = """#!/bin/sh
case "$*" in
--list) printf 'sleep\\tworker\\tsleep for some seconds\\n' ;;
--help) printf 'usage: nowcast\\n\\noptions:\\n  -h, --help  show help\\n' ;;
"sleep -h") cat <<'END' ;;
usage: nowcast sleep [-h] [--debug] [--sleep-time SLEEP_TIME] config_file

positional arguments:
  config_file           a file

options:
  -h, --help            show this help message and exit
  --debug               say more
  --sleep-time SLEEP_TIME
                        seconds
END
esac
"""


class Tree(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory(prefix="nowcast-tree-")
        self.addCleanup(self.place.cleanup)
        self.root = Path(self.place.name)

    def write(self, files):
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def run_check(self, tool, *arguments):
        done = subprocess.run([sys.executable, "-B", TOOLS / tool, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=30, check=False)
        return done.returncode, done.stdout

    def complains(self, tool, changes, *words):
        """With each of `changes` made to the good tree, the check fails and says these words."""
        self.write(GOOD)
        self.write({name: text for name, text in changes.items() if text is not None})
        for name, text in changes.items():
            if text is None:
                (self.root / name).unlink()
        status, said = self.run_check(tool, str(self.root), str(self.root / "stamp"))
        self.assertEqual(status, 1, said)
        self.assertEqual(len(said.splitlines()), 1, said)
        for word in words:
            self.assertIn(word, said)
        self.assertFalse((self.root / "stamp").exists())


class Layers(Tree):
    def complains_of(self, path, text, *words):
        self.complains("check_layers.py", {path: GOOD.get(path, "") + text + "\n"}, path, *words)

    def test_1_a_good_tree_passes(self):
        self.write(GOOD)
        self.assertEqual(self.run_check("check_layers.py", str(self.root), str(self.root / "stamp")), (0, ""))
        self.assertTrue((self.root / "stamp").exists())

    def test_data_does_not_include_system(self):
        self.complains_of("src/core/data/value.c", '#include "core/system/log.h"', "data may include only itself")

    def test_system_does_not_include_decide(self):
        self.complains_of("src/core/system/log.h", '  #  include "core/decide/brain.h"', "not decide")

    def test_decide_and_work_do_not_include_each_other(self):
        self.complains_of("src/core/decide/brain.h", '#include "core/work/worker.h"', "not work")

    def test_work_does_not_include_decide(self):
        self.complains_of("src/core/work/worker.h", '#include "core/decide/brain.h"', "not decide")

    def test_core_does_not_include_the_table_of_entry_points(self):
        self.complains_of("src/core/work/worker.h", '#include "applets.h"', "not top")

    def test_a_worker_does_not_include_rules(self):
        self.complains_of("src/workers/awaken.c", '#include "core/decide/brain.h"', "not decide")

    def test_a_path_around_the_floors_is_seen(self):
        self.complains_of("src/core/data/value.c", '#include "../system/log.h"', "not system")

    def test_a_header_that_is_not_there_is_named(self):
        self.complains_of("src/core/system/log.c", '#include "core/system/lgo.h"', "which is not there")

    def test_data_includes_no_header_of_the_system(self):
        self.complains_of("src/core/data/value.h", "#include <unistd.h>", "nothing of the system")

    def test_nng_is_used_in_its_module_only(self):
        self.complains_of("src/core/system/log.c", "#include <nng/nng.h>", "net")

    def test_the_store_alone_uses_its_library(self):
        self.complains_of("src/core/decide/brain.h", "#include <sqlite3.h>", "store")

    def test_the_file_that_may_use_a_library_passes(self):
        self.write({**GOOD, "src/core/system/net.c": "#include <nng/nng.h>\n",
                    "src/core/data/json.c": "#include <jansson.h>\n",
                    "src/core/data/yaml_read.c": "#include <yaml.h>\n",
                    "src/core/system/config_bind.c": "#include <cyaml/cyaml.h>\n",
                    "src/core/decide/store_rows.c": "#include <sqlite3.h>\n"})
        self.assertEqual(self.run_check("check_layers.py", str(self.root)), (0, ""))

    def test_an_empty_tree_does_not_pass(self):
        status, said = self.run_check("check_layers.py", str(self.root))
        self.assertEqual(status, 1)
        self.assertIn("hardly anything", said)


class Lists(Tree):
    def complains_of(self, changes, *words):
        self.complains("check_lists.py", changes, *words)

    def test_1_a_good_tree_passes(self):
        self.write(GOOD)
        self.assertEqual(self.run_check("check_lists.py", str(self.root), str(self.root / "stamp")), (0, ""))
        self.assertTrue((self.root / "stamp").exists())

    def test_entry_points_are_sorted(self):
        self.complains_of({"src/applets.def": "APPLET(manager)\nAPPLET(awaken)\n"}, "awaken stands behind manager")

    def test_an_entry_point_has_its_file(self):
        self.complains_of({"src/applets.def": GOOD["src/applets.def"] + "APPLET(sleep)\n"}, "applet_sleep")

    def test_a_file_has_its_entry_point(self):
        self.complains_of({"src/applets.def": "APPLET(awaken)\n"}, "manager is not in src/applets.def")

    def test_an_entry_point_has_its_man_page(self):
        self.complains_of({"man/nowcast-manager.8": None, "man/meson.build": "install_man('nowcast-awaken.1')\n"},
                          "there is no man/nowcast-manager.8")

    def test_an_entry_point_has_a_test(self):
        self.complains_of({"tests/system/story.py": "import harness\nrun('manager')\n# we awaken\n"},
                          "awaken: no test names it")

    def test_a_source_file_is_in_a_list(self):
        self.complains_of({"src/core/system/loop.c": ""}, "src/core/system/loop.c: it is in no list")

    def test_a_source_file_in_a_comment_is_in_no_list(self):
        self.complains_of({"src/core/system/loop.c": "",
                           "src/meson.build": GOOD["src/meson.build"] + "# 'core/system/loop.c'\n"}, "loop.c")

    def test_a_listed_source_file_is_there(self):
        self.complains_of({"src/core/system/log.c": None}, "core/system/log.c is listed and not there")

    def test_sources_are_sorted(self):
        swapped = GOOD["src/meson.build"].replace("  'daemons/manager.c',\n  'workers/awaken.c',\n",
                                                  "  'workers/awaken.c',\n  'daemons/manager.c',\n")
        self.complains_of({"src/meson.build": swapped}, "top_sources: daemons/manager.c stands behind")

    def test_a_unit_test_is_listed(self):
        self.complains_of({"tests/unit/test_log.c": ""}, "test_log.c: it is not in unit_tests")

    def test_a_listed_unit_test_is_there(self):
        self.complains_of({"tests/unit/test_value.c": None}, "test_value.c is not there")

    def test_a_script_is_listed(self):
        self.complains_of({"tests/system/forgotten.py": ""}, "tests/system/forgotten.py")

    def test_a_fuzzer_is_listed(self):
        self.complains_of({"tests/fuzz/fuzz_json.c": ""}, "tests/fuzz/fuzz_json.c: it is not in")

    def test_a_man_page_is_listed(self):
        self.complains_of({"man/nowcast-worker.7": ""}, "man/nowcast-worker.7: it is not in man/meson.build")

    def test_a_listed_man_page_is_there(self):
        self.complains_of({"man/meson.build": GOOD["man/meson.build"] + "'nowcast.yaml.5'\n"},
                          "nowcast.yaml.5 is listed and not there")


class Options(Tree):
    def setUp(self):
        super().setUp()
        self.write({"nowcast": BINARY, "man/nowcast-sleep.1": PAGE_TOP.format("SLEEP", "sleep") + PAGE,
                    "man/nowcast.1": PAGE_TOP.format("ALL", "all") + OWN_PAGE})
        (self.root / "nowcast").chmod(0o755)

    def check(self):
        return self.run_check("check_options.py", str(self.root / "nowcast"), str(self.root / "man"))

    def complains_after(self, old, new, *words, page="nowcast-sleep.1"):
        path = self.root / "man" / page
        text = path.read_text(encoding="utf-8")
        self.assertIn(old, text)
        path.write_text(text.replace(old, new), encoding="utf-8")
        status, said = self.check()
        self.assertEqual(status, 1, said)
        for word in words:
            self.assertIn(word, said)

    def test_1_a_page_that_says_the_same_passes(self):
        self.assertEqual(self.check(), (0, ""))

    def test_an_option_that_the_page_forgot(self):
        self.complains_after(".It Fl -debug\nSay more.\n", "", "--debug is in -h, and not in OPTIONS")

    def test_an_option_that_is_no_more(self):
        self.complains_after(".It Fl -debug\n", ".It Fl -verbose\nMore.\n.It Fl -debug\n", "--verbose",
                             "and not in -h")

    def test_a_short_name_that_the_page_forgot(self):
        self.complains_after("Fl h , -help", "Fl -help", "-h, --help is in -h, and not in OPTIONS")

    def test_another_word_for_a_value(self):
        self.complains_after(".It Fl -sleep-time Ar SLEEP_TIME", ".It Fl -sleep-time Ar N", "takes `SLEEP_TIME`")

    def test_an_argument_that_the_page_forgot(self):
        self.complains_after(".It Ar config_file\nA file.\n", "", "config_file is in -h")

    def test_an_option_that_the_synopsis_forgot(self):
        self.complains_after(".Op Fl -debug\n", "", "--debug is not in SYNOPSIS")

    def test_what_mandoc_does_not_like(self):
        self.complains_after(".El\n", ".El\n.El\n", "nowcast-sleep.1:")

    def test_an_option_of_the_binary_itself(self):
        self.complains_after("Help.\n", "Help.\n.It Fl -all\nAll.\n", "--all is in nowcast(1), and not in --help",
                             page="nowcast.1")

    def test_a_page_that_is_not_there(self):
        (self.root / "man/nowcast-sleep.1").unlink()
        status, said = self.check()
        self.assertEqual(status, 1)
        self.assertIn("there is no man page nowcast-sleep.1", said)


class Promises(Tree):
    def table(self, *lines):
        self.write({"report": "".join(f"{line}\n" for line in lines)})
        return self.run_check("promises.py", str(self.root / "report"))

    def test_cases_are_added_up_and_all_is_well(self):
        status, said = self.table("promise R2 cases 1500 violations 0", "figure soak kills 212",
                                  "promise R2 cases 3 violations 0", "promise R10 cases 1 violations 0")
        self.assertEqual(status, 0, said)
        self.assertRegex(said, r"R2 +1,503 +0\n  R10 +1 +0\n")
        self.assertIn("kills: 212", said)

    def test_a_violation_fails_the_run(self):
        status, said = self.table("promise R2 cases 1500 violations 1", "promise R2 cases 1500 violations 0")
        self.assertEqual(status, 1)
        self.assertRegex(said, r"R2 +3,000 +1\n")

    def test_a_line_of_another_form_fails_the_run(self):
        status, said = self.table("promise R2 cases many violations 0")
        self.assertEqual(status, 1)
        self.assertIn("cases many", said)

    def test_no_report_is_no_violation(self):
        self.assertEqual(self.run_check("promises.py", str(self.root / "none"))[0], 0)


unittest.main()
