#!/usr/bin/python3
"""The same `logging` sections given to Python's logging.config.dictConfig and to ours, the same calls made:
the same lines in the same files and on the same streams, times and process ids aside.

The environment names the program that makes our calls: NOWCAST_TEST_LOG_DEMO (tests/tools/log_demo.c).
"""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import unittest

LOG_DEMO = os.environ["NOWCAST_TEST_LOG_DEMO"]
DEADLINE_S = 30

# What the Python side runs: its own process, so that each section meets a fresh logging module.
PYTHON_SIDE = r"""
import json, logging, logging.config, sys, yaml
logging.raiseExceptions = False
with open("nowcast.yaml") as file:
    section = yaml.safe_load(file)["logging"]
section.setdefault("disable_existing_loggers", False)
logging.config.dictConfig(section)
for line in sys.stdin:
    name, level, message = json.loads(line)
    logging.getLogger(name).log(level, "%s", message,
        extra={"logger_name": name or "root", "hostname": sys.argv[1]})
"""

FORMATS = [
    "%(asctime)s %(levelname)s [%(name)s] %(message)s",
    "%(asctime)s %(levelname)s [%(logger_name)s] %(message)s",
    "%(message)s",
    "%(levelname)-10s|%(levelname)10s|%(levelname).3s|%(levelname)-6.2s|",
    "%(name)20s|%(name)-20s|%(name).5s|%(name)2s|",
    "%(levelno)d|%(levelno)s|%(levelno)5d|%(levelno)-5d|%(levelno)05d|%(levelno)+d|%(levelno)x|%(levelno)o|%(levelno)#x|",
    "%(levelno)f|%(levelno).1f|%(levelno)8.2f|%(levelno)e|%(levelno)g|%(levelno)i|%(levelno)u|%(levelno) d|",
    "%(message)40s|%(message)-40s|%(message).4s|",
    "%(process)d %(process)s %(message)s",
    "%(threadName)s %(hostname)s %(message)s",
    "100%% %(message)s %%(name)s",
    "%(asctime)30s|%(message)s",
    "%(message)s %(message)s",
    "  %(message)s  ",
    "caf\u00e9 \u2192 %(message)s",
    "%(levelname)05s|%(message)s",
    "%(levelno)ld %(message)s",
]

CALLS = [
    ["manager", 10, "a debug line"],
    ["manager", 20, "running in process"],
    ["worker.sleep", 30, "h\u00e9llo \u6f6e \U0001f30a"],
    ["worker", 40, ""],
    ["checklist", 20, "per cent 100% %s %(name)s"],
    ["worker.sleep.deep", 50, "back\\slash \"quoted\" \ttab"],
    ["noisy.library", 20, "chatter"],
    ["noisy", 35, "between the levels"],
    ["", 20, "to root itself"],
    ["manager", 15, "level 15"],
    ["workers", 10, "not below worker"],
]


def with_format(text):
    return {
        "version": 1,
        "formatters": {"f": {"format": text}},
        "handlers": {"file": {"class": "logging.FileHandler", "filename": "log", "formatter": "f"}},
        "root": {"level": "DEBUG", "handlers": ["file"]},
    }


USUAL = {"simple": {"format": "%(levelname)s [%(name)s] %(message)s"}}


def file(name, **more):
    return {"class": "logging.FileHandler", "filename": name, "formatter": "simple", **more}


def section(handlers, root=None, loggers=None, **more):
    made = {"version": 1, "formatters": USUAL, "handlers": handlers, **more}
    if root is not None:
        made["root"] = root
    if loggers is not None:
        made["loggers"] = loggers
    return made


SECTIONS = {
    "stdout": section(
        {"c": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "simple"}},
        {"level": "DEBUG", "handlers": ["c"]}),
    "stderr": section(
        {"c": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "simple"}},
        {"level": "INFO", "handlers": ["c"]}),
    "default stream": section(
        {"c": {"class": "logging.StreamHandler", "formatter": "simple"}},
        {"level": "INFO", "handlers": ["c"]}),
    "both streams": section(
        {"c": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "level": "ERROR"},
         "d": {"class": "logging.StreamHandler", "formatter": "simple"}},
        {"level": "INFO", "handlers": ["c", "d"]}),
    "no formatter": section(
        {"c": {"class": "logging.FileHandler", "filename": "log"}}, {"level": 0, "handlers": ["c"]}),
    "formatter without format": {
        "version": 1, "formatters": {"f": {"datefmt": "%Y"}},
        "handlers": {"c": {"class": "logging.FileHandler", "filename": "log", "formatter": "f"}},
        "root": {"level": "DEBUG", "handlers": ["c"]}},
    "date format": {
        "version": 1, "formatters": {"f": {"format": "%(asctime)s %(message)s", "datefmt": "%Y %d%b%y %%"}},
        "handlers": {"c": {"class": "logging.FileHandler", "filename": "log", "formatter": "f"}},
        "root": {"level": "DEBUG", "handlers": ["c"]}},
    "watched": section(
        {"c": {"class": "logging.handlers.WatchedFileHandler", "filename": "log", "formatter": "simple"}},
        {"level": "DEBUG", "handlers": ["c"]}),
    "rotating": section(
        {"c": {"class": "logging.handlers.RotatingFileHandler", "filename": "log", "formatter": "simple",
               "backupCount": 7, "mode": "a", "encoding": "utf-8"}},
        {"level": "DEBUG", "handlers": ["c"]}),
    "null": section({"c": {"class": "logging.NullHandler"}}, {"level": "DEBUG", "handlers": ["c"]}),
    "level of handler": section(
        {"a": file("a", level="WARNING"), "b": file("b", level=35), "off": file("off", level=100)},
        {"level": "DEBUG", "handlers": ["a", "b", "off"]}),
    "level of root": section({"a": file("a")}, {"level": "ERROR", "handlers": ["a"]}),
    "root without level": section({"a": file("a")}, {"handlers": ["a"]}),
    "root at a number": section({"a": file("a")}, {"level": 15, "handlers": ["a"]}),
    "root at NOTSET": section({"a": file("a")}, {"level": "NOTSET", "handlers": ["a"]}),
    "other names of levels": section(
        {"a": file("a", level="WARN"), "b": file("b", level="FATAL")}, {"level": "WARN", "handlers": ["a", "b"]}),
    "no root": section({"a": file("a")}, None, {"manager": {"level": "DEBUG", "handlers": ["a"]}}),
    "no handlers": section({}, {"level": "DEBUG"}),
    "empty": {"version": 1},
    "root without handlers": section({"a": file("a")}, {"level": "DEBUG", "handlers": []}),
    "a handler twice": section({"a": file("a")}, {"level": "DEBUG", "handlers": ["a", "a"]}),
    "propagate": section(
        {"a": file("a"), "b": file("b")}, {"level": "INFO", "handlers": ["a"]},
        {"worker": {"level": "DEBUG", "handlers": ["b"]}}),
    "propagate to a higher root": section(
        {"a": file("a"), "b": file("b")}, {"level": "CRITICAL", "handlers": ["a"]},
        {"worker": {"level": "DEBUG", "handlers": ["b"]}}),
    "no propagation": section(
        {"a": file("a"), "b": file("b")}, {"level": "INFO", "handlers": ["a"]},
        {"checklist": {"level": "INFO", "handlers": ["b"], "propagate": False, "qualname": "checklist"}}),
    "no propagation, no handler": section(
        {"a": file("a")}, {"level": "INFO", "handlers": ["a"]}, {"worker": {"propagate": False}}),
    "no propagation as a number": section(
        {"a": file("a"), "b": file("b")}, {"level": "INFO", "handlers": ["a"]},
        {"worker": {"handlers": ["b"], "propagate": 0}}),
    "noisy libraries": section(
        {"a": file("a")}, {"level": "DEBUG", "handlers": ["a"], "propagate": False},
        {"noisy": {"qualname": "noisy", "level": "ERROR", "formatter": "simple"}}),
    "a chain": section(
        {"a": file("a"), "b": file("b"), "c": file("c")}, {"level": "WARNING", "handlers": ["a"]},
        {"worker": {"level": "INFO", "handlers": ["b"]},
         "worker.sleep": {"level": "DEBUG", "handlers": ["c"]},
         "worker.sleep.deep": {"level": "ERROR"}}),
    "a gap in the chain": section(
        {"a": file("a"), "b": file("b")}, {"level": "ERROR", "handlers": ["a"]},
        {"worker.sleep.deep": {"level": "NOTSET", "handlers": ["b"]}, "worker": {"level": "DEBUG"}}),
    "a chain that is cut": section(
        {"a": file("a"), "b": file("b")}, {"level": "DEBUG", "handlers": ["a"]},
        {"worker": {"handlers": ["b"]}, "worker.sleep": {"propagate": False, "handlers": ["b"]}}),
    "one handler in two loggers": section(
        {"a": file("a")}, {"level": "DEBUG", "handlers": ["a"]}, {"worker": {"handlers": ["a"]}}),
    "two handlers on one file": section(
        {"a": file("a"), "b": file("a", level="ERROR")}, {"level": "INFO", "handlers": ["a", "b"]}),
    "delay": section({"a": file("a", delay=True), "b": file("b", delay=True, level="ERROR")},
                     {"level": "INFO", "handlers": ["a", "b"]}),
    "existing loggers": section({"a": file("a")}, {"level": "INFO", "handlers": ["a"]},
                                disable_existing_loggers=True),
}
for number, text in enumerate(FORMATS):
    SECTIONS[f"format {number}"] = with_format(text)


def outcome(arguments, directory):
    """Files and streams after the run, times and process ids replaced."""
    calls = "".join(json.dumps(call) + "\n" for call in CALLS)
    process = subprocess.Popen(arguments, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, encoding="utf-8",
                               env={**os.environ, "PYTHONUTF8": "1"})
    stdout, stderr = process.communicate(calls, timeout=DEADLINE_S)
    texts = {"status": str(process.returncode), "stdout": stdout, "stderr": stderr}
    for name in sorted(os.listdir(directory)):
        if name != "nowcast.yaml":
            with open(os.path.join(directory, name), encoding="utf-8") as opened:
                texts[name] = opened.read()
    for name, text in texts.items():
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", "TIME", text)
        texts[name] = re.sub(rf"\b{process.pid}\b", "PID", text)
    return texts


class SameAsPython(unittest.TestCase):
    maxDiff = None

    def test_every_section(self):
        lines = 0
        for name, made in SECTIONS.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as theirs, \
                    tempfile.TemporaryDirectory() as ours:
                for directory in (theirs, ours):
                    with open(os.path.join(directory, "nowcast.yaml"), "w", encoding="utf-8") as config:
                        json.dump({"logging": made}, config, ensure_ascii=False)
                expected = outcome([sys.executable, "-c", PYTHON_SIDE, socket.gethostname()], theirs)
                self.assertEqual(expected["status"], "0", expected["stderr"])
                self.assertEqual(expected, outcome([LOG_DEMO, "nowcast.yaml", "manager", "normal"], ours))
                lines += sum(text.count("\n") for text in expected.values())
        self.assertGreater(lines, 400)

    def test_debug_uses_the_console_handler_for_all_levels(self):
        made = section(
            {"console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "level": 100,
                         "formatter": "simple"}, "a": file("a")},
            {"level": "ERROR", "handlers": ["a"]})
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "nowcast.yaml"), "w", encoding="utf-8") as config:
                json.dump({"logging": made}, config)
            texts = outcome([LOG_DEMO, "nowcast.yaml", "manager", "debug"], directory)
        self.assertEqual(texts["stdout"].count("\n"), len(CALLS))
        self.assertIn("DEBUG [manager] a debug line\n", texts["stdout"])
        self.assertNotIn("a", texts)

    def test_without_console_handler_debug_goes_to_standard_error_in_the_usual_form(self):
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "nowcast.yaml"), "w", encoding="utf-8") as config:
                json.dump({"logging": section({"a": file("a")}, {"handlers": ["a"]})}, config)
            texts = outcome([LOG_DEMO, "nowcast.yaml", "manager", "debug"], directory)
        self.assertEqual(texts["stderr"].splitlines()[0], "TIME DEBUG [manager] a debug line")

    def test_a_closed_standard_output_ends_nothing(self):
        made = section(
            {"console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}, "a": file("a")},
            {"level": "DEBUG", "handlers": ["console", "a"]})
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "nowcast.yaml"), "w", encoding="utf-8") as config:
                json.dump({"logging": made}, config)
            reader, writer = os.pipe()
            os.close(reader)
            calls = "".join(json.dumps(call) + "\n" for call in CALLS)
            done = subprocess.run([LOG_DEMO, "nowcast.yaml", "manager", "normal"], cwd=directory,
                                  input=calls, text=True, stdout=writer, timeout=DEADLINE_S, check=False)
            os.close(writer)
            self.assertEqual(done.returncode, 0)
            with open(os.path.join(directory, "a"), encoding="utf-8") as opened:
                self.assertEqual(len(opened.read().splitlines()), len(CALLS))


if __name__ == "__main__":
    unittest.main(verbosity=2)
