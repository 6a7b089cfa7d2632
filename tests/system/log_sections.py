#!/usr/bin/python3
"""The same `logging` sections given to Python's logging.config.dictConfig and to ours, the same calls made:
the same lines in the same files, on the same streams and in the same datagrams, times and process ids aside.

The environment names the program that makes our calls: NOWCAST_TEST_LOG_DEMO (tests/tools/log_demo.c).
"""
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import yaml

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


def rotating(size, count, **more):
    return section({"a": {"class": "logging.handlers.RotatingFileHandler", "filename": "log", "formatter": "simple",
                          "maxBytes": size, "backupCount": count, **more}}, {"level": "DEBUG", "handlers": ["a"]})


def timed(**more):
    return section({"a": {"class": "logging.handlers.TimedRotatingFileHandler", "filename": "log",
                          "formatter": "simple", **more}}, {"level": "DEBUG", "handlers": ["a"]})


def syslog(**more):
    return section({"a": {"class": "logging.handlers.SysLogHandler", "formatter": "simple", **more}},
                   {"level": "DEBUG", "handlers": ["a"]})


SECTIONS.update({
    "rotating at a size": rotating(120, 3),
    "rotating at a size, one backup": rotating(90, 1),
    "rotating at a size, in time for each line": rotating(60, 20),
    "rotating at a size that is never reached": rotating(100000, 3),
    "rotating without backups": rotating(60, 0),
    "rotating without a size": rotating(0, 3),
    "rotating with delay": rotating(120, 3, delay=True),
    "timed, a day": timed(when="D"),
    "timed, by default": timed(),
    "timed, midnight": timed(when="midnight", backupCount=3),
    "timed, midnight in UTC": timed(when="MIDNIGHT", utc=True, backupCount=2),
    "timed, a week": timed(when="W3", backupCount=1),
    "timed, a week in UTC": timed(when="w0", utc=True),
    "timed, hours": timed(when="H", interval=6),
    "timed, minutes": timed(when="M", interval=30, backupCount=1),
    "timed, seconds": timed(when="s", interval=3600, backupCount=5, utc=True),
    "timed, not yet": timed(when="D", interval=10000),
    "timed with delay": timed(when="midnight", delay=True),
    "filter of a handler": section(
        {"a": file("a", filters=["work"]), "b": file("b")}, {"level": "DEBUG", "handlers": ["a", "b"]},
        filters={"work": {"name": "worker"}}),
    "filters of a handler": section(
        {"a": file("a", filters=["work", "sleep"])}, {"level": "DEBUG", "handlers": ["a"]},
        filters={"work": {"name": "worker"}, "sleep": {"name": "worker.sleep"}}),
    "filter without a name": section(
        {"a": file("a", filters=["all"])}, {"level": "DEBUG", "handlers": ["a"]}, filters={"all": {}}),
    "filter of root": section(
        {"a": file("a")}, {"level": "DEBUG", "handlers": ["a"], "filters": ["work"]},
        filters={"work": {"name": "worker"}}),
    "filter of a logger": section(
        {"a": file("a")}, {"level": "DEBUG", "handlers": ["a"]}, {"worker": {"filters": ["other"]}},
        filters={"other": {"name": "manager"}}),
    "filter that the handler of another logger has": section(
        {"a": file("a", filters=["noisy"]), "b": file("b")}, {"level": "DEBUG", "handlers": ["b"]},
        {"noisy": {"handlers": ["a"], "level": "ERROR"}}, filters={"noisy": {"name": "noisy"}}),
    "no filters": section({"a": file("a", filters=[])}, {"level": "DEBUG", "handlers": ["a"]}, filters={}),
    "syslog": syslog(address="SOCKET"),
    "syslog, facility by name": syslog(address="SOCKET", facility="local3"),
    "syslog, facility by number": syslog(address="SOCKET", facility=16, level="INFO"),
    "syslog, a stream": syslog(address="STREAM"),
    "syslog, a stream by its type": syslog(address="STREAM", socktype="ext://socket.SOCK_STREAM"),
    "syslog, UDP": syslog(address=["127.0.0.1", "PORT"], facility="daemon"),
    "syslog that is not there": syslog(address="nowhere"),
    "formatter by its class": {
        "version": 1, "formatters": {"f": {"class": "logging.Formatter", "format": "%(message)s", "validate": True}},
        "handlers": {"a": file("a", formatter="f")}, "root": {"level": "DEBUG", "handlers": ["a"]}},
    "logger above a logger that is not there": section(
        {"a": file("a")}, {"level": "CRITICAL", "handlers": ["a"]}, {"worker.sleep": {"level": 11}}),
    "level 0 of a logger": section(
        {"a": file("a")}, {"level": "ERROR", "handlers": ["a"]}, {"worker": {"level": 0}, "manager": {"level": 1}}),
})
for number, text in enumerate(FORMATS):
    SECTIONS[f"format {number}"] = with_format(text)


class Syslog:
    """What was sent to a local datagram socket, a local stream and a UDP port: texts."""

    def __init__(self, directory):
        self.directory = directory
        self.datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.datagrams.bind(os.path.join(directory, ".datagrams"))
        self.stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.stream.bind(os.path.join(directory, ".stream"))
        self.stream.listen()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        for one in (self.datagrams, self.stream, self.udp):
            one.setblocking(False)

    def place(self, text):
        """A section's text with the places filled in."""
        return text.replace('"SOCKET"', json.dumps(os.path.join(self.directory, ".datagrams"))).replace(
            '"STREAM"', json.dumps(os.path.join(self.directory, ".stream"))).replace(
            '"PORT"', str(self.udp.getsockname()[1]))

    def take(self):
        """The process has ended: all that it sent is here. Python's datagrams and ours, one a line."""
        taken = []
        for one in (self.datagrams, self.udp):
            with contextlib.suppress(BlockingIOError):
                while True:
                    taken.append(one.recv(65536))
        with contextlib.suppress(BlockingIOError):
            connection, _ = self.stream.accept()
            with connection:
                taken += connection.makefile("rb").read().split(b"\0")
        for one in (self.datagrams, self.stream, self.udp):
            one.close()
        return "".join(datagram.decode() + "\n" for datagram in taken)


def outcome(arguments, directory, calls=None):
    """Files and streams after the run, times and process ids replaced."""
    process = subprocess.Popen(arguments, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, encoding="utf-8",
                               env={**os.environ, "PYTHONUTF8": "1"})
    stdout, stderr = process.communicate("".join(json.dumps(call) + "\n" for call in calls or CALLS),
                                         timeout=DEADLINE_S)
    texts = {"status": str(process.returncode), "stdout": stdout, "stderr": stderr}
    for name in sorted(os.listdir(directory)):
        if name != "nowcast.yaml" and not name.startswith("."):
            with open(os.path.join(directory, name), encoding="utf-8") as opened:
                texts[name] = opened.read()
    for name, text in texts.items():
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", "TIME", text)
        texts[name] = re.sub(rf"\b{process.pid}\b", "PID", text)
    return texts


def prepare(name, made, directory):
    """The directory with what is there before: the section; old files when it rotates by time."""
    syslog_place = Syslog(directory)
    with open(os.path.join(directory, "nowcast.yaml"), "w", encoding="utf-8") as config:
        config.write(syslog_place.place(json.dumps({"logging": made}, ensure_ascii=False)))
    if name.startswith("timed"):
        noon = (time.time() // 86400 - 8) * 86400 + 43200
        for old in ("log", "log.2026-11-10", "log.2026-11-11", "log.2026-11-12_09-30", "log.2026-11-13_10",
                    "log.2026-11-09_01-02-03", "log.10", "logbook"):
            path = os.path.join(directory, old)
            with open(path, "w", encoding="utf-8") as opened:
                opened.write(f"what was in {old}\n")
            os.utime(path, (noon, noon))
    return syslog_place


class SameAsPython(unittest.TestCase):
    maxDiff = None

    def compare(self, name, made, calls=None):
        """The number of lines that were the same."""
        with tempfile.TemporaryDirectory() as theirs, tempfile.TemporaryDirectory() as ours:
            syslog_place = prepare(name, made, theirs)
            expected = outcome([sys.executable, "-c", PYTHON_SIDE, socket.gethostname()], theirs, calls)
            expected["syslog"] = syslog_place.take()
            self.assertEqual(expected["status"], "0", expected["stderr"])
            syslog_place = prepare(name, made, ours)
            seen = outcome([LOG_DEMO, "nowcast.yaml", "manager", "normal"], ours, calls)
            seen["syslog"] = syslog_place.take()
            self.assertEqual(expected, seen)
            return sum(text.count("\n") for text in expected.values())

    def test_every_section(self):
        lines = 0
        self.assertGreaterEqual(len(SECTIONS), 60)
        for name, made in SECTIONS.items():
            with self.subTest(name):
                lines += self.compare(name, made)
        self.assertGreater(lines, 700)

    def test_the_section_of_a_real_deployment(self):
        shared = os.path.join(os.environ.get("NOWCAST_TEST_SOURCE_ROOT", "."), "..", "shared", "salishsea",
                              "nowcast.yaml")
        if not os.path.exists(shared):
            self.skipTest(f"there is no {shared}")
        with open(shared, encoding="utf-8") as opened:
            text = opened.read().replace("$(NOWCAST.ENV.NOWCAST_LOGS)/", "")
        parts = yaml.safe_load(re.search(r"(?ms)^logging:.*?(?=^\S)", text)[0])["logging"]
        calls = CALLS + [[logger, level, f"{logger} at {level}"]
                         for logger in ("checklist", "run_NEMO_hindcast", "reshapr", "matplotlib.font_manager", "PIL")
                         for level in (10, 20, 30, 40)]
        # What is mailed and what goes to the aggregator is compared elsewhere.
        del parts["aggregator"]["handlers"]["email"]
        parts["aggregator"]["root"]["handlers"].remove("email")
        del parts["publisher"]["handlers"]["zmq_pub"]
        parts["publisher"]["root"]["handlers"].remove("zmq_pub")
        self.assertGreater(self.compare("aggregator", parts["aggregator"], calls), 50)
        self.assertGreater(self.compare("publisher", parts["publisher"], calls), 10)

    def test_the_journal_is_told_in_its_own_words(self):
        made = section({"j": {"class": "nowcast.Journal", "address": "journal", "formatter": "simple"}},
                       {"level": "DEBUG", "handlers": ["j"]})
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "nowcast.yaml"), "w", encoding="utf-8") as config:
                json.dump({"logging": made}, config)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
                journal.bind(os.path.join(directory, "journal"))
                process = subprocess.Popen([LOG_DEMO, "nowcast.yaml", "manager", "normal"], cwd=directory,
                                           stdin=subprocess.PIPE, text=True)
                process.communicate("".join(json.dumps(call) + "\n" for call in [
                    ["worker", 40, "x\nPRIORITY=0"], ["worker", 35, "y" * 500000]]), timeout=DEADLINE_S)
                journal.setblocking(False)
                self.assertEqual(
                    journal.recv(65536).decode(),
                    "PRIORITY=3\nMESSAGE=ERROR [worker] x\\nPRIORITY=0\nSYSLOG_IDENTIFIER=manager\nLOGGER=worker\n"
                    f"SYSLOG_PID={process.pid}\n")
                # What is too long for a datagram comes as a file.
                empty, files, _, _ = socket.recv_fds(journal, 65536, 1)
                with os.fdopen(files[0], "rb") as opened:
                    text = os.pread(opened.fileno(), 1 << 20, 0).decode()
                self.assertEqual(empty, b"")
                self.assertTrue(text.startswith("PRIORITY=4\nMESSAGE=Level 35 [worker] yyy"), text[:50])
                self.assertIn("y" * 500000 + "\nSYSLOG_IDENTIFIER", text)

    def test_a_syslog_daemon_that_does_not_read_or_comes_back_stalls_nobody(self):
        made = section({"s": {"class": "logging.handlers.SysLogHandler", "address": "log", "formatter": "simple"},
                        "a": file("a")}, {"level": "DEBUG", "handlers": ["s", "a"]})
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "nowcast.yaml"), "w", encoding="utf-8") as config:
                json.dump({"logging": made}, config)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
                daemon.bind(os.path.join(directory, "log"))
                process = subprocess.Popen([LOG_DEMO, "nowcast.yaml", "manager", "normal"], cwd=directory, text=True,
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)

                def tell(*calls):
                    for call in [*calls, ["say", "done"]]:
                        process.stdin.write(json.dumps(call) + "\n")
                    process.stdin.flush()
                    self.assertEqual(process.stdout.readline(), "done\n")

                started = time.monotonic()
                tell(*[["worker", 20, f"line {number}"] for number in range(2000)])
                self.assertLess(time.monotonic() - started, 5)
                daemon.setblocking(False)
                kept = 0
                with contextlib.suppress(BlockingIOError):
                    while daemon.recv(65536):
                        kept += 1
                self.assertGreater(kept, 0)
                tell(["worker", 20, "there is room again"])
                self.assertIn(b"INFO [worker] there is room again", daemon.recv(65536))
                self.assertIn(f"ERROR [manager] {2000 - kept} log lines could not be written here: ".encode(),
                              daemon.recv(65536))
            os.unlink(os.path.join(directory, "log"))
            tell(["worker", 20, "nobody is there"])
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
                daemon.bind(os.path.join(directory, "log"))
                daemon.setblocking(False)
                end = time.monotonic() + DEADLINE_S
                got = None
                while got is None and time.monotonic() < end:
                    tell(["worker", 20, "is it back?"])
                    with contextlib.suppress(BlockingIOError):
                        got = daemon.recv(65536)
                    time.sleep(0.01)
                self.assertIn(b"INFO [worker] is it back?", got or b"")
            process.communicate(timeout=DEADLINE_S)
            self.assertEqual(process.returncode, 0)
            with open(os.path.join(directory, "a"), encoding="utf-8") as opened:
                self.assertEqual(opened.read().count("] line "), 2000)

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
