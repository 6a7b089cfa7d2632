#!/usr/bin/python3
"""The contract between runner and worker (nowcast-worker(7)), with a broker that is played here.

NOWCAST_TEST_BINARY names the program. Every test has a directory, a configuration and a broker's door of its
own; no other process of the system runs.
"""
import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

import harness
import yaml

NOWCAST = os.environ["NOWCAST_TEST_BINARY"]
SOURCE_ROOT = os.environ.get(
    "NOWCAST_TEST_SOURCE_ROOT", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
)
DEADLINE_S = float(os.environ.get("NOWCAST_TEST_DEADLINE_S", "40"))
LAUNCH = "01a20eee-d6c7-729d-bbad-58403315bdaa"  # an id, for tests that play the manager

TYPES = {
    "checklist key": "plots",
    "success": "plots made",
    "success nowcast": "nowcast plots made",
    "failure": "plots not made",
    "failure nowcast": "nowcast plots not made",
    "need": "information requested",
    "clear checklist": "clearing requested",
    "crash": "plots crashed",
}


def wait_for(condition, what):
    """Until condition() is true: its value."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not seen within {DEADLINE_S} s: {what}")


def is_running(pid):
    """Is there such a process, and not as a zombie?"""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


class Broker:
    """Answers at the broker's door, and keeps what it was asked. `answer` may be replaced; None: silence."""

    def __init__(self, path):
        self.received = []
        self.checklist = {}
        self.answer = self.acknowledge
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen()
        self.connections = []
        threading.Thread(target=self.serve, daemon=True).start()

    def acknowledge(self, message):
        if message.get("type") == "need":
            if message["payload"] not in self.checklist:
                return {"type": "no such checklist key", "payload": message["payload"]}
            return {"type": "ack", "payload": self.checklist[message["payload"]]}
        if message.get("type") == "clear checklist":
            return {"type": "checklist cleared", "payload": None}
        return {"type": "ack", "payload": None}

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.socket.accept()[0]
                self.connections.append(connection)
                threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    @staticmethod
    def read_exactly(connection, count):
        data = b""
        while len(data) < count:
            part = connection.recv(count - len(data))
            if not part:
                raise OSError("closed")
            data += part
        return data

    def talk(self, connection):
        with contextlib.suppress(OSError), connection:
            while True:
                (size,) = struct.unpack("!I", self.read_exactly(connection, 4))
                message = yaml.safe_load(self.read_exactly(connection, size))
                self.received.append(message)
                reply = self.answer(message)
                if reply is None:
                    continue
                if reply == "close":
                    return
                data = yaml.safe_dump({"source": "manager", **reply}).encode()
                connection.sendall(struct.pack("!I", len(data)) + data)

    def close(self):
        self.socket.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def types(self):
        return [message["type"] for message in self.received if "type" in message]

    def final(self):
        return [message for message in self.received if "report" in message][-1]


class Contract(unittest.TestCase):
    broker = None

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="nowcast-worker-")
        self.addCleanup(temporary.cleanup)
        self.directory = temporary.name
        self.strays = []
        self.addCleanup(self.end_strays)
        os.mkdir(self.path("state"), 0o700)
        self.configure()
        if self.broker is None:
            self.broker = Broker(self.path("state/broker.sock"))
            self.addCleanup(self.broker.close)

    def end_strays(self):
        """What a test left running on purpose, or because it failed."""
        for pid in self.strays:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text))
        os.chmod(self.path(name), mode)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def configure(self, entry=None, types=None, workers=None):
        config = {
            "checklist file": "checklist.yaml",
            "state directory": "state",
            "logging": {
                "version": 1,
                "formatters": {
                    "simple": {"format": "%(asctime)s %(levelname)s [%(name)s] %(message)s"}
                },
                "handlers": {
                    "file": {
                        "class": "logging.FileHandler",
                        "level": "DEBUG",
                        "formatter": "simple",
                        "filename": self.path("nowcast.log"),
                    },
                    "console": {
                        "class": "logging.StreamHandler",
                        "level": 100,
                        "formatter": "simple",
                        "stream": "ext://sys.stdout",
                    },
                },
                "root": {"level": "DEBUG", "handlers": ["file", "console"]},
            },
            "message registry": {
                "manager": {"ack": "message acknowledged", "checklist cleared": "cleared"},
                "next workers module": "next_workers.yaml",
                "workers": {
                    "make_plots": types or TYPES,
                    "sleep": {
                        "checklist key": "sleepyhead",
                        "success": "sleep worker slept well",
                        "failure": "sleep worker slept badly",
                    },
                    "awaken": {"checklist key": "awake", "success": "s", "failure": "f"},
                    "clear_checklist": {
                        "checklist key": None,
                        "success": "s",
                        "failure": "f",
                        "clear checklist": "c",
                    },
                    **(workers or {}),
                },
            },
            "workers": {
                "make_plots": {
                    "command": ["sh", "worker.sh"],
                    "grace time": "500 ms",
                    **(entry or {}),
                }
            },
        }
        with open(self.path("nowcast.yaml"), "w", encoding="utf-8") as file:
            yaml.safe_dump(config, file, sort_keys=False)
        self.write("next_workers.yaml", "{}\n")

    def start(self, *arguments, worker="make_plots", **keywords):
        return subprocess.Popen(
            [NOWCAST, worker, self.path("nowcast.yaml"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            **keywords,
        )

    def launch_file(self, header, text):
        """The sealed file that a manager hands to a runner."""
        head = json.dumps(header).encode()
        fd = os.memfd_create("launch", os.MFD_ALLOW_SEALING)
        os.write(fd, b"nowcast launch 1 %011d\n" % len(head) + head + text.encode())
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 15)  # SEAL, SHRINK, GROW, WRITE
        return fd

    def start_launch(self, launch, *arguments, worker="make_plots", text=None, **header):
        """A runner as the manager starts it."""
        fd = self.launch_file(
            {
                "id": launch, "token": "a" * 32, "worker": worker, "why": "test", "attempt": 1,
                "arguments": list(arguments), "file": self.path("nowcast.yaml"),
                "state directory": self.path("state"), **header,
            },
            text or self.read("nowcast.yaml"),
        )
        script = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(fd), NOWCAST, worker, self.path("nowcast.yaml"), *arguments],
            pass_fds=(fd,), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        os.close(fd)
        return process

    def end(self, process):
        """Its exit status; what it printed is in self.out and self.err."""
        try:
            self.out, self.err = process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return process.returncode

    def run_worker(self, body, *arguments, **keywords):
        self.write("worker.sh", body)
        return self.end(self.start(*arguments, **keywords))

    def log(self):
        return self.read("nowcast.log") if os.path.exists(self.path("nowcast.log")) else ""

    def assert_final(self, expected_type, payload=None):
        final = self.broker.final()
        self.assertEqual(final["type"], expected_type)
        self.assertEqual(final["payload"], payload)
        return final["report"]


class TheEnd(Contract):
    """The table of exit statuses."""

    def test_0_is_success(self):
        self.assertEqual(self.run_worker("exit 0\n"), 0)
        report = self.assert_final("success")
        self.assertEqual(report["exit status"], 0)
        self.assertEqual(report["attempt"], 1)
        self.assertEqual(self.broker.types(), ["success"])

    def test_1_to_125_is_failure_and_the_exit_status_is_kept(self):
        for status in (1, 3, 75, 125):
            self.assertEqual(self.run_worker(f"exit {status}\n"), status)
            report = self.assert_final("failure")
            self.assertEqual(report["exit status"], status)

    def test_77_is_a_success_unless_skipped_is_registered(self):
        self.assertEqual(self.run_worker("exit 77\n"), 77)
        self.assert_final("success")
        self.configure(types={**TYPES, "skipped": "nothing to do"})
        self.assertEqual(self.run_worker("exit 77\n"), 77)
        self.assert_final("skipped")

    def test_126_and_above_is_a_crash(self):
        for status in (126, 200, 255):
            self.assertEqual(self.run_worker(f"exit {status}\n"), status)
            report = self.assert_final("crash")
            self.assertEqual(report["reason"], f"exit status {status}")

    def test_a_signal_is_a_crash(self):
        self.assertEqual(self.run_worker("kill -SEGV $$\n"), 128 + signal.SIGSEGV)
        report = self.assert_final("crash")
        self.assertEqual(report["signal"], signal.SIGSEGV)
        self.assertIn("SIGSEGV", report["reason"])

    def test_a_crash_needs_no_registration(self):
        types = dict(TYPES)
        del types["crash"]
        self.configure(types=types)
        self.assertEqual(self.run_worker("kill -KILL $$\n"), 128 + signal.SIGKILL)
        self.assert_final("crash")

    def test_a_command_that_is_not_found_is_a_crash(self):
        self.configure({"command": ["no-such-command-here"]})
        self.assertEqual(self.run_worker(""), 127)
        self.assertEqual(
            self.assert_final("crash")["reason"], "command not found: no-such-command-here"
        )

    def test_a_command_that_is_not_executable_is_a_crash(self):
        self.configure({"command": ["./worker.sh"]})
        self.assertEqual(self.run_worker("exit 0\n"), 126)
        self.assertIn("Permission denied", self.assert_final("crash")["reason"])

    def test_an_interpreter_that_is_not_found_is_named_as_such(self):
        self.configure({"command": ["./worker.sh"]})
        self.write("worker.sh", "#!/no/such/interpreter\n", 0o755)
        self.assertEqual(self.end(self.start()), 127)
        self.assertIn("interpreter", self.assert_final("crash")["reason"])

    def test_a_worker_that_cannot_be_started_is_a_crash(self):
        self.write("state/launches", "a file in the way")
        self.assertEqual(self.run_worker("exit 0\n"), 1)
        report = self.assert_final("crash")
        self.assertIn("cannot start the worker", report["reason"])
        self.assertEqual(report["end"], "not started")

    def test_the_end_is_seen_also_when_our_parent_ignores_children(self):
        script = "trap '' CHLD; exec \"$@\" <&- >&- 2>&-"
        self.write("worker.sh", "exit 3\n")
        done = subprocess.run(
            ["sh", "-c", script, "-", NOWCAST, "make_plots", self.path("nowcast.yaml")],
            timeout=DEADLINE_S,
        )
        self.assertEqual(done.returncode, 3)
        self.assert_final("failure")

    def test_the_types_of_the_entry_have_the_arguments(self):
        self.configure({"success": "success <arguments[0]>", "failure": "failure <arguments[0]>"})
        self.assertEqual(self.run_worker("exit $3\n", "nowcast", "1"), 1)  # $1 is CONFIG
        self.assert_final("failure nowcast")
        self.assertEqual(self.run_worker("exit $3\n", "nowcast", "0"), 0)
        self.assert_final("success nowcast")

    def test_a_template_without_its_argument_is_a_crash(self):
        self.configure({"success": "success <arguments[3]>"})
        self.assertEqual(self.run_worker("exit 0\n"), 7)
        self.assertIn("message type", self.assert_final("crash")["reason"])

    def test_a_type_that_is_not_registered_becomes_a_crash(self):
        self.assertEqual(self.run_worker("echo '{\"type\": \"success x\"}' >&3\n"), 7)
        report = self.assert_final("crash")
        self.assertIn("success x", report["reason"])
        self.assertEqual(report["exit status"], 0)

    def test_the_report_knows_time_memory_and_the_last_20_lines(self):
        self.run_worker("seq 1 30; printf '\\033[1m\\377bold' >&2; sleep 0.1; exit 4\n")
        report = self.assert_final("failure")
        self.assertGreaterEqual(report["wall seconds"], 0.1)
        self.assertGreater(report["max rss KiB"], 100)
        self.assertGreaterEqual(report["user seconds"], 0)
        self.assertEqual(len(report["output"]), 20)
        self.assertEqual(report["output"][-2:], ["30", "\\x1b[1m\\xffbold"])


class CommandLine(Contract):
    """What is the runner's, and what is the worker's own."""

    def test_all_but_the_configuration_and_debug_is_the_workers(self):
        self.write("worker.sh", "shift; echo \"got $*\"\n")
        for arguments, got in (((), ""), (("a", "--b=c"), "a --b=c"), (("--", "--debug", "-h"), "-- --debug -h")):
            self.assertEqual(self.end(self.start(*arguments)), 0)
            self.assertEqual(re.findall(r" INFO \[make_plots\] got ?(.*)$", self.log(), re.MULTILINE)[-1], got)
            self.assertEqual(len(self.broker.types()), 1)
            self.broker.received.clear()
        self.assertEqual(self.end(self.start("x", "--debug")), 0)
        self.assertEqual(self.broker.types(), [])

    def test_the_help_of_a_program_is_its_own(self):
        self.write("worker.sh", "echo \"usage: $0 $*\"; exit 5\n")
        for option in ("-h", "--help"):
            self.assertEqual(self.end(self.start(option)), 5)
            self.assertEqual(self.out, f"usage: worker.sh {self.path('nowcast.yaml')} {option}\n")
        self.assertEqual(self.broker.received, [])
        self.configure({"command": ["./no-such-program"]})
        self.assertEqual(self.end(self.start("--help")), 1)
        self.assertIn("nowcast make_plots: cannot run ./no-such-program: No such file or directory", self.err)

    def test_an_argument_that_is_not_utf_8_is_refused_with_words(self):
        done = subprocess.run([NOWCAST.encode(), b"make_plots", self.path("nowcast.yaml").encode(), b"ok", b"\xff"],
                              capture_output=True, check=False, timeout=DEADLINE_S)
        self.assertEqual((done.returncode, done.stderr), (2, b"nowcast make_plots: argument 2 is not UTF-8\n"))
        self.assertEqual(self.broker.received, [])

    def test_a_hangup_ends_what_was_started_by_hand_only(self):
        self.write("worker.sh", "trap '' HUP; echo begun >begun; sleep 1001 & wait\n")
        for by_hand in (True, False):
            process = self.start() if by_hand else self.start_launch(LAUNCH)
            self.addCleanup(process.kill)
            wait_for(lambda: os.path.exists(self.path("begun")), "the worker has begun")
            process.send_signal(signal.SIGHUP)
            if not by_hand:
                process.send_signal(signal.SIGTERM)
            self.assertEqual(self.end(process), 128 + (signal.SIGHUP if by_hand else signal.SIGTERM))
            self.assertIn("SIGHUP" if by_hand else "SIGTERM", self.assert_final("crash")["reason"])
            os.unlink(self.path("begun"))


class Printed(Contract):
    """What a worker prints goes into the log, line by line."""

    def logged(self, body):
        """[(level, logger, text)] of the lines that the worker made."""
        self.assertEqual(self.run_worker(body), 0)
        lines = re.findall(r"^\S+ \S+ ([A-Z]+) \[([^\]]*)\] (.*)$", self.log(), re.MULTILINE)
        begin = next(index for index, line in enumerate(lines) if "writing log" in line[2])
        return [line for line in lines[begin + 1:] if line[0] != "DEBUG" and "message broker" not in line[2]]

    def test_lines_of_a_log_keep_their_level_and_logger(self):
        self.write("lines", """\
2026-11-24 04:00:00,123 INFO [plots] with a comma
2026-11-24 04:00:00.123 WARNING [plots] with a point
2026-11-24 04:00:00 ERROR [plots.deep] without milliseconds
2026-11-24 04:00:00,123 CRITICAL [plots]
2026-11-24 04:00:00,123 NOLEVEL [plots] of no level
2026-11-24 04:00:00,123 VERY INFO [plots] of two words
2026-11-24 04:00:00,123 INFO [] without a logger
2026-11-24 04:00:00,123 INFO [plots without an end
2026-11-24 04:00:00,123 INFO plots without a beginning
2026-11-24 04:00:00,12 INFO [plots] of two digits
2026-11-24 04:00:00,123INFO [plots] without a blank
2026-11-2x 04:00:00,123 INFO [plots] at no date
2026-11-24
""")
        lines = self.logged("cat lines\n")
        self.assertEqual(lines[:3], [("INFO", "plots", "with a comma"), ("WARNING", "plots", "with a point"),
                                     ("ERROR", "plots.deep", "without milliseconds")])
        self.assertEqual(lines[3:], [("INFO", "make_plots", text) for text in self.read("lines").splitlines()[3:]])

    def test_what_a_terminal_would_not_show_is_not_shown(self):
        lines = self.logged(r"""printf 'half a\rwhole\n10%%\r20%%\r\r\n\n'
printf 'a\tb\033[1mc\177d\303\244e\303f\n'
printf 'without an end'
""")
        self.assertEqual([line[2] for line in lines],
                         ["whole", "20%", "a\tb\\x1b[1mc\\x7fd\u00e4e\\xc3f", "without an end"])

    def test_long_lines_are_cut_between_characters(self):
        most = 64 << 10
        lines = self.logged(f"{sys.executable} -c \"print('x' * {most - 1} + chr(228) * 3 + 'y'); print('z' * {most})\"\n")
        self.assertEqual([line[2] for line in lines], ["x" * (most - 1), "\u00e4\u00e4\u00e4y", "z" * most])

    def test_long_lines_are_cut_in_the_report(self):
        self.assertEqual(self.run_worker(f"{sys.executable} -c \"print('x' * 1999 + chr(228) * 3)\"; exit 3\n"), 3)
        self.assertEqual(self.assert_final("failure")["output"], ["x" * 1999])


class Descriptor3(Contract):
    def test_the_last_success_type_and_its_payload_are_sent(self):
        status = self.run_worker(
            """\
            echo '{"type": "success", "payload": 1}' >&3
            echo '{"type": "failure", "payload": 2}' >&3
            echo '{"type": "success nowcast", "payload": {"run date": "2026-11-24", "n": [1, null]}}' >&3
            """
        )
        self.assertEqual(status, 0)
        self.assert_final("success nowcast", {"run date": "2026-11-24", "n": [1, None]})
        self.assertIn("WARNING [make_plots] exit status 0 is a success, but", self.log())

    def test_the_last_failure_type_is_sent_after_a_failure(self):
        body = """\
            echo '{"type": "failure nowcast", "payload": "why"}' >&3
            echo '{"type": "success", "payload": 1}' >&3
            exit 9
            """
        self.assertEqual(self.run_worker(body), 9)
        self.assert_final("failure nowcast", "why")

    def test_a_last_line_without_a_newline_counts(self):
        self.run_worker("printf '{\"type\": \"success nowcast\"}' >&3\n")
        self.assert_final("success nowcast")

    def test_need_is_answered_with_a_part_of_the_checklist(self):
        self.broker.checklist["NEMO run"] = {"host": "x", "date": "2026-11-24"}
        self.run_worker(
            """\
            echo '{"need": "NEMO run"}' >&3
            read -r answer <&3
            echo "{\\"type\\": \\"success\\", \\"payload\\": $answer}" >&3
            """
        )
        self.assert_final("success", {"payload": {"host": "x", "date": "2026-11-24"}})
        self.assertEqual(self.broker.types(), ["need", "success"])

    def test_need_of_an_absent_key_is_answered_with_an_error(self):
        self.run_worker(
            """\
            echo '{"need": "nothing"}' >&3
            read -r answer <&3
            echo "{\\"type\\": \\"success\\", \\"payload\\": $answer}" >&3
            """
        )
        answer = self.broker.final()["payload"]
        self.assertIn("nothing", answer["error"])
        self.assertEqual(answer["type"], "no such checklist key")

    def test_tell_is_sent_at_once_and_answered_with_the_reply(self):
        self.run_worker(
            """\
            echo '{"tell": "clear checklist", "payload": {"all": true}}' >&3
            read -r answer <&3
            echo "{\\"type\\": \\"success\\", \\"payload\\": $answer}" >&3
            """
        )
        self.assert_final("success", {"type": "checklist cleared", "payload": None})
        told = [m for m in self.broker.received if m.get("type") == "clear checklist"]
        self.assertEqual([m["payload"] for m in told], [{"all": True}])

    def test_a_tell_whose_answer_nobody_reads_is_sent_all_the_same(self):
        self.run_worker("echo '{\"tell\": \"clear checklist\"}' >&3\n")
        self.assertEqual(self.broker.types(), ["clear checklist", "success"])

    def test_tell_of_a_type_that_is_not_registered_is_an_error(self):
        self.run_worker(
            """\
            echo '{"tell": "something else"}' >&3
            read -r answer <&3
            echo "{\\"type\\": \\"success\\", \\"payload\\": $answer}" >&3
            """
        )
        self.assertEqual(self.broker.final()["payload"]["type"], "unregistered message type")
        self.assertEqual(self.broker.types(), ["success"])
        self.assertIn("something else", self.log())

    def test_answers_come_in_the_order_of_the_questions(self):
        self.broker.checklist.update({str(n): n for n in range(50)})
        self.configure({"command": ["/usr/bin/python3", "worker.sh"]})
        self.run_worker(
            """\
            import json, socket
            f = socket.socket(fileno=3).makefile("rw")
            for n in range(50):
                print(json.dumps({"need": str(n)}), file=f)
            f.flush()
            got = [json.loads(f.readline())["payload"] for n in range(50)]
            print(json.dumps({"type": "success", "payload": got}), file=f, flush=True)
            """
        )
        self.assert_final("success", list(range(50)))

    def test_the_error_about_a_bad_line_does_not_overtake_an_answer(self):
        self.broker.checklist["slow"] = 1
        self.configure({"command": ["/usr/bin/python3", "worker.sh"]})
        self.run_worker(
            """\
            import json, socket
            s = socket.socket(fileno=3)
            s.sendall(b'{"need": "slow"}\\nbad line\\n')
            f = s.makefile("r")
            got = [list(json.loads(f.readline())) for n in range(2)]
            s.sendall(json.dumps({"type": "success", "payload": got}).encode())
            """
        )
        self.assert_final("success", [["payload"], ["error"]])

    def test_log_lines_have_their_level(self):
        self.run_worker(
            """\
            echo '{"log": "ERROR", "message": "no data"}' >&3
            echo '{"log": 10, "message": "really"}' >&3
            """
        )
        self.assertIn(" ERROR [make_plots] no data\n", self.log())
        self.assertIn(" DEBUG [make_plots] really\n", self.log())

    def test_progress_is_an_event(self):
        self.run_worker("echo '{\"progress\": 0.25}' >&3; sleep 0.3\n")
        progress = [m for m in self.broker.received if m.get("event") == "progress"]
        self.assertEqual([m["payload"] for m in progress], [0.25])

    def test_a_flood_of_progress_is_thinned_out(self):
        self.configure({"command": ["/usr/bin/python3", "worker.sh"]})
        self.run_worker(
            """\
            import socket, time
            s = socket.socket(fileno=3)
            for n in range(20001):
                s.sendall(b'{"progress": %g}\\n' % (n / 20000))
            time.sleep(0.6)
            """
        )
        progress = [m["payload"] for m in self.broker.received if m.get("event") == "progress"]
        self.assertLess(len(progress), 40)
        self.assertEqual(progress[-1], 1)

    def test_bad_lines_are_answered_logged_and_survived(self):
        self.configure({"command": ["/usr/bin/python3", "worker.sh"]})
        self.run_worker(
            """\
            import json, os, socket
            s = socket.socket(fileno=3)
            f = s.makefile("r")
            bad = [b"hello", b"{", b'{"type": "success", "paylod": 1}', b'{"need": 5}',
                   b'{"need": "\\xff"}', b'{"need": "x\\0y"}', b"[" * 5000,
                   b'{"need": "' + b"x" * 1100000 + b'"}', b'{"type": "clear checklist"}']
            answers = []
            for line in bad:
                s.sendall(line + b"\\n")
                answers.append(json.loads(f.readline()))
            s.sendall(json.dumps({"type": "success", "payload": answers}).encode() + b"\\n")
            """
        )
        answers = self.assert_final_payload("success")
        self.assertEqual(len(answers), 9)
        for answer in answers:
            self.assertEqual(list(answer), ["error"])
        self.assertIn("did you mean `payload`", answers[2]["error"])
        self.assertIn("1 MiB", answers[7]["error"])
        self.assertEqual(self.log().count("ERROR [make_plots] bad line on descriptor 3"), 9)

    def assert_final_payload(self, expected_type):
        final = self.broker.final()
        self.assertEqual(final["type"], expected_type)
        return final["payload"]

    def test_a_worker_that_reads_no_answers_is_not_held(self):
        self.configure({"command": ["/usr/bin/python3", "worker.sh"]})
        self.run_worker(
            """\
            import socket
            s = socket.socket(fileno=3)
            for n in range(20000):
                s.sendall(b"bad line\\n")
            s.sendall(b'{"type": "success nowcast"}\\n')
            """
        )
        self.assert_final("success nowcast")

    def test_a_payload_that_is_too_large_for_a_message_is_a_crash(self):
        self.configure({"command": ["/usr/bin/python3", "worker.sh"]})
        self.run_worker(
            """\
            import socket
            line = b'{"type": "success", "payload": "' + b"x" * (1048576 - 40) + b'"}\\n'
            socket.socket(fileno=3).sendall(line)
            """
        )
        self.assertIn("1 MiB", self.assert_final("crash")["reason"])


class Surroundings(Contract):
    def test_the_worker_has_what_the_contract_says(self):
        self.configure({"command": ["/usr/bin/python3", "worker.sh"]})
        self.write(
            "worker.sh",
            """\
            import json, os, signal, socket, sys
            facts = {
                "argv": sys.argv[1:], "cwd": os.getcwd(), "stdin": os.readlink("/proc/self/fd/0"),
                "group": os.getpgid(0) == os.getpid(),
                "environment": {k: v for k, v in os.environ.items() if k.startswith("NOWCAST_")
                                and not k.startswith("NOWCAST_TEST")},
                "blocked": [int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
                "pipe": open("/proc/self/status").read().split("SigIgn:")[1].split()[0],
                "descriptors": sorted(int(n) for n in os.listdir("/proc/self/fd"))[:4],
                "parent": os.getppid(),
            }
            facts["many"] = len(os.listdir("/proc/self/fd"))
            line = json.dumps({"type": "success", "payload": facts}) + "\\n"
            socket.socket(fileno=3).sendall(line.encode())
            """,
        )
        read_end, write_end = os.pipe()
        with os.fdopen(read_end), os.fdopen(write_end, "w"):
            process = self.start(
                "a b", "", "$(id)", "*",
                pass_fds=(read_end, write_end),
                cwd="/",
                env={**os.environ, "NOWCAST_READY_FD": "5"},
            )
            self.assertEqual(self.end(process), 0, self.err)
        facts = self.broker.final()["payload"]
        self.assertEqual(facts["argv"], [self.path("nowcast.yaml"), "a b", "", "$(id)", "*"])
        self.assertEqual(facts["cwd"], os.path.realpath(self.directory))
        self.assertEqual(facts["stdin"], "/dev/null")
        self.assertTrue(facts["group"])
        launch = self.broker.final()["launch"]
        self.assertEqual(
            facts["environment"],
            {
                "NOWCAST_CONFIG": self.path("nowcast.yaml"),
                "NOWCAST_WORKER": "make_plots",
                "NOWCAST_LAUNCH": launch,
            },
        )
        self.assertEqual(facts["blocked"], [])
        self.assertEqual(int(facts["pipe"], 16) & ~(1 << 12 | 1 << 24), 0)  # Python's own: PIPE, XFSZ
        self.assertEqual(facts["descriptors"], [0, 1, 2, 3])
        self.assertEqual(facts["many"], 6)  # the claim, and the one that lists them
        self.assertEqual(facts["parent"], process.pid)

    def test_output_goes_into_the_log_line_by_line(self):
        self.run_worker(
            """\
            echo one
            echo two >&2
            printf '10%%\\r20%%\\r30%%\\r\\n'
            echo '2026-11-24 04:00:00,123 CRITICAL [other.logger] three'
            printf 'bell\\007 \\377\\n'
            printf 'no newline'
            """
        )
        log = self.log()
        for line in (
            " INFO [make_plots] one\n",
            " WARNING [make_plots] two\n",
            " INFO [make_plots] 30%\n",
            " CRITICAL [other.logger] three\n",
            " INFO [make_plots] no newline\n",
        ):
            self.assertIn(line, log)
        self.assertNotIn("10%", log)
        self.assertRegex(log, r"INFO \[make_plots\] bell\\\\?x07 \\\\?xff\n")
        # All of it is in the log; what stays is the log of the launch.
        (launch,) = os.listdir(self.path("state/launches"))
        self.assertEqual(os.listdir(self.path(f"state/launches/{launch}")), ["make_plots.log"])

    def test_output_appears_while_the_worker_runs(self):
        self.write("worker.sh", "echo soon; while [ ! -e go ]; do sleep 0.05; done\n")
        process = self.start()
        wait_for(lambda: " INFO [make_plots] soon\n" in self.log(), "the line")
        self.assertIsNone(process.poll())
        self.write("go", "")
        self.assertEqual(self.end(process), 0)

    def test_much_output_and_long_lines_are_logged_whole(self):
        self.configure({"command": ["/usr/bin/python3", "worker.sh"]})
        self.run_worker("print('x' * 200000); print('y\\n' * 20000, end='')\n")
        log = self.log()
        self.assertEqual(log.count("x" * 65536), 3)
        self.assertEqual(log.count(" INFO [make_plots] y\n"), 20000)

    def test_the_lines_of_the_runner_are_those_of_the_framework(self):
        process = self.start(worker="awaken")
        self.assertEqual(self.end(process), 0)
        for line in (
            f" INFO [awaken] running in process {process.pid}\n",
            f" INFO [awaken] read config from {self.path('nowcast.yaml')}\n",
            " INFO [awaken] writing log messages to local file system\n",
            f" INFO [awaken] connected to message broker at {self.path('state/broker.sock')}\n",
            " INFO [awaken] awoke\n",
            " DEBUG [awaken] sent message: (success) s\n",
            " DEBUG [awaken] received message from manager: (ack) message acknowledged\n",
            " DEBUG [awaken] shutting down\n",
        ):
            self.assertIn(line, self.log())


class EndedByUs(Contract):
    IGNORES = """\
        trap '' TERM
        echo $$ >pid
        while :; do sleep 0.05; done
        """

    def test_the_time_limit_ends_it_as_a_crash(self):
        self.configure({"time limit": "300 ms"})
        self.assertEqual(self.run_worker("sleep 60 & sleep 60\n"), 6)
        report = self.assert_final("crash")
        self.assertEqual(report["reason"], "timed out")
        self.assertEqual(report["signal"], signal.SIGTERM)

    def test_what_ignores_TERM_is_killed_after_the_grace_time(self):
        self.configure({"time limit": "200 ms", "grace time": "300 ms"})
        self.assertEqual(self.run_worker(self.IGNORES), 6)
        report = self.assert_final("crash")
        self.assertEqual((report["reason"], report["signal"]), ("timed out", signal.SIGKILL))
        self.assertGreaterEqual(report["wall seconds"], 0.5)
        self.assertFalse(is_running(int(self.read("pid"))))

    def end_runner(self, signo):
        self.write("worker.sh", "echo $$ >pid.new; mv pid.new pid; sleep 60\n")
        process = self.start()
        wait_for(lambda: os.path.exists(self.path("pid")), "the worker")
        process.send_signal(signo)
        self.assertEqual(self.end(process), 128 + signo)
        self.assertFalse(is_running(int(self.read("pid"))))
        report = self.assert_final("crash")
        self.assertIn(f"(SIG{signo.name[3:]}) sent to the runner", report["reason"])

    def test_TERM_to_the_runner_ends_both_and_is_reported(self):
        self.end_runner(signal.SIGTERM)
        self.assertIn(
            " INFO [make_plots] termination signal (SIGTERM) received; shutting down\n", self.log()
        )

    def test_INT_to_the_runner_ends_both_and_is_reported(self):
        self.end_runner(signal.SIGINT)
        self.assertIn("interrupt signal (SIGINT) received; shutting down\n", self.log())

    def test_a_worker_dies_with_its_runner(self):
        self.write("worker.sh", "echo $$ >pid.new; mv pid.new pid; exec sleep 60\n")
        process = self.start()
        wait_for(lambda: os.path.exists(self.path("pid")), "the worker")
        pid = int(self.read("pid"))
        self.strays.append(pid)
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
        wait_for(lambda: not is_running(pid), "the end of the worker")


class Leftovers(Contract):
    LEAVES = """\
        setsid sh -c 'echo $$ >%s.new; mv %s.new %s; exec sleep 60' &
        while ! grep -q sleep "/proc/$(cat %s)/comm"; do sleep 0.02; done 2>/dev/null
        """

    def test_after_a_success_they_are_left_and_named(self):
        self.assertEqual(self.run_worker(self.LEAVES.replace("%s", "pid")), 0)
        pid = int(self.read("pid"))
        self.strays.append(pid)
        self.assertTrue(is_running(pid))
        self.assertIn(f" INFO [make_plots] left running: process {pid} (sleep)\n", self.log())
        self.assertEqual(len(os.listdir(self.path("state/launches"))), 1)

    def test_after_a_failure_they_are_ended(self):
        self.assertEqual(self.run_worker(self.LEAVES.replace("%s", "pid") + "exit 3\n"), 3)
        pid = int(self.read("pid"))
        self.strays.append(pid)
        self.assertFalse(is_running(pid))
        self.assert_final("failure")
        self.assertIn(f"ending process {pid} (sleep), which the worker left running", self.log())

    def test_after_a_failure_those_that_ignore_TERM_are_killed(self):
        body = """\
            setsid sh -c 'trap "" TERM; echo $$ >pid.new; mv pid.new pid; while :; do sleep 0.1; done' &
            while [ ! -e pid ]; do sleep 0.02; done
            exit 3
            """
        begin = time.monotonic()
        self.assertEqual(self.run_worker(body), 3)
        self.assertGreaterEqual(time.monotonic() - begin, 0.5)
        self.strays.append(int(self.read("pid")))
        self.assertFalse(is_running(self.strays[0]))

    def test_what_was_adopted_is_reaped_while_the_worker_runs(self):
        body = """\
            sh -c 'sh -c "echo \\$\\$ >pid.new; mv pid.new pid; sleep 0.2" &'
            while [ ! -e go ]; do sleep 0.05; done
            """
        self.write("worker.sh", body)
        process = self.start()
        wait_for(lambda: os.path.exists(self.path("pid")), "the grandchild")
        pid = self.read("pid").strip()
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the reaping")
        self.assertIsNone(process.poll())
        self.write("go", "")
        self.assertEqual(self.end(process), 0)


class Delivery(Contract):
    def test_messages_carry_id_launch_and_token_and_the_launch_is_registered_first(self):
        self.run_worker("exit 0\n", "a", "b")
        started, final = self.broker.received
        self.assertEqual(started["event"], "started")
        self.assertEqual(started["source"], "make_plots")
        self.assertEqual(started["payload"]["arguments"], ["a", "b"])
        self.assertEqual(started["payload"]["host"], socket.gethostname())
        self.assertIs(started["payload"]["by hand"], True)
        self.assertNotEqual(started["id"], final["id"])
        for key in ("launch", "token"):
            self.assertEqual(started[key], final[key])
        self.assertRegex(final["launch"], r"^[0-9a-f-]{36}$")
        self.assertRegex(final["token"], r"^[0-9a-f]{32}$")

    def test_a_message_that_was_not_answered_is_sent_again_with_its_id(self):
        lost = []

        def lose_twice(message):
            if message.get("type") == "success" and len(lost) < 2:
                lost.append(message)
                return "close"
            return self.broker.acknowledge(message)

        self.broker.answer = lose_twice
        self.assertEqual(self.run_worker("exit 0\n"), 0)
        ids = [m["id"] for m in self.broker.received if m.get("type") == "success"]
        self.assertEqual(len(ids), 3)
        self.assertEqual(len(set(ids)), 1)

    def test_retry_later_is_no_answer(self):
        seen = []

        def later(message):
            seen.append(message)
            return {"type": "retry later", "payload": None} if len(seen) < 3 else {
                "type": "ack", "payload": None}

        self.broker.answer = later
        self.assertEqual(self.run_worker("exit 0\n"), 0)
        self.assertGreaterEqual(len(seen), 4, seen)

    def test_silence_in_the_middle_is_survived(self):
        silent = []

        def silent_once(message):
            if message.get("type") == "success" and not silent:
                silent.append(message)
                return None
            return self.broker.acknowledge(message)

        self.broker.answer = silent_once
        self.assertEqual(self.run_worker("exit 0\n"), 0)
        self.assertEqual(self.broker.types(), ["success", "success"])

    def test_an_unregistered_worker_is_refused_before_it_runs(self):
        self.broker.answer = lambda message: {"type": "unregistered worker", "payload": None}
        self.assertEqual(self.run_worker("echo ran >ran\n"), 7)
        self.assertFalse(os.path.exists(self.path("ran")))
        self.assertIn("unregistered worker", self.err)

    def test_a_type_that_the_manager_does_not_know_is_reported_as_a_crash(self):
        def refuse(message):
            if message.get("type") == "success":
                return {"type": "unregistered message type", "payload": None}
            return {"type": "ack", "payload": None}

        self.broker.answer = refuse
        self.assertEqual(self.run_worker("exit 0\n"), 7)
        self.assertEqual(self.broker.types(), ["success", "crash"])
        self.assertIn("unregistered message type", self.broker.final()["report"]["reason"])

    def test_a_copy_that_is_running_is_named_on_the_terminal(self):
        def running(message):
            payload = None
            if message.get("event") == "started":
                payload = {
                    "running": [{"pid": 4711, "since": 1795500000, "arguments": []}]
                }
            return {"type": "ack", "payload": payload}

        self.broker.answer = running
        self.assertEqual(self.run_worker("exit 0\n"), 0)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1795500000))
        self.assertIn(f"already running: process 4711 since {since}\n", self.err)

    def test_a_launch_of_the_managers_uses_what_it_was_handed(self):
        text = self.read("nowcast.yaml")
        self.write("nowcast.yaml", "half saved: [")
        self.write("worker.sh", "exit 5\n")
        process = self.start_launch(LAUNCH, "x", text=text, attempt=2)
        self.assertEqual(self.end(process), 5, self.err)
        final = self.broker.final()
        self.assertEqual((final["launch"], final["token"]), (LAUNCH, "a" * 32))
        self.assertEqual(final["report"]["attempt"], 2)
        self.assertIs(self.broker.received[0]["payload"]["by hand"], False)
        self.assertEqual(self.out + self.err, "")

    def test_a_worker_inside_a_worker_is_a_launch_by_hand(self):
        self.configure({"command": ["sh", "worker.sh", NOWCAST]})
        self.assertEqual(self.run_worker('"$1" awaken "$2"\n'), 0)
        launches = {m["launch"] for m in self.broker.received if "report" in m}
        self.assertEqual(len(launches), 2)
        self.assertEqual(self.broker.types(), ["success", "success"])


class WithoutSystem(Contract):
    """Nobody answers."""

    broker = "none"

    def test_r6_by_hand_it_runs_gets_no_answers_and_its_message_is_kept(self):
        self.write(
            "worker.sh",
            """\
            echo '{"need": "x"}' >&3
            read -r answer <&3
            echo "$answer" >answer
            """,
        )
        begin = time.monotonic()
        self.assertEqual(self.end(self.start()), 5)
        self.assertEqual(list(json.loads(self.read("answer"))), ["error"])
        self.assertIn("no answer from the manager within 2 s; starting without it", self.err)
        self.assertIn("(success) is kept, and will be delivered when the manager is back", self.err)
        [launch] = os.listdir(self.path("state/spool"))
        message = yaml.safe_load(self.read(f"state/spool/{launch}"))
        self.assertEqual((message["type"], message["launch"]), ("success", launch))
        self.assertEqual(json.loads(self.read(f"state/ends/{launch}"))["type"], "success")
        self.assertEqual(os.listdir(self.path("state/claims")), [launch])
        self.assertGreaterEqual(time.monotonic() - begin, 2 + 10 + 10 - 0.5)
        self.assertIn(" ERROR [make_plots] ", self.log())

    def test_a_manager_that_comes_back_in_time_gets_the_message(self):
        self.write("worker.sh", "echo ran >ran\n")
        process = self.start()
        wait_for(lambda: os.path.exists(self.path("ran")), "the worker without a manager")
        broker = Broker(self.path("state/broker.sock"))
        self.addCleanup(broker.close)
        self.assertEqual(self.end(process), 0, self.err)
        self.assertEqual(broker.types(), ["success"])

    def test_a_second_INT_ends_the_wait(self):
        self.write("worker.sh", "echo $$ >pid.new; mv pid.new pid; sleep 60\n")
        process = self.start()
        wait_for(lambda: os.path.exists(self.path("pid")), "the worker")
        process.send_signal(signal.SIGINT)
        wait_for(lambda: "worker crashed" in self.log(), "its end")
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        self.assertIn(self.end(process), (5, 130))
        self.assertLess(time.monotonic() - begin, 5)
        self.assertIn("(crash) is kept", self.err)

    def test_debug_makes_no_connection_and_logs_what_would_have_been_sent(self):
        self.write(
            "worker.sh",
            """\
            echo "on the terminal"
            echo '{"need": "x"}' >&3
            read -r answer <&3
            echo "$answer"
            echo '{"type": "success nowcast"}' >&3
            """,
        )
        for arguments in (["--debug", "x"], ["x", "--debug"]):
            self.assertEqual(self.end(self.start(*arguments)), 0)
            self.assertIn("on the terminal\n", self.out)
            self.assertIn('{"error"', self.out)
            self.assertIn(
                "**debug mode** message that would have been sent to manager: "
                "(success nowcast nowcast plots made)",
                self.out + self.err,
            )
        self.assertEqual(os.listdir(self.path("state")), [])

    def test_debug_of_a_worker_that_is_built_in(self):
        self.assertEqual(self.end(self.start("--sleep-time", "0", "--debug", worker="sleep")), 0)
        shown = self.out + self.err
        for line in (
            " INFO [sleep] slept for 0 seconds\n",
            " DEBUG [sleep] **debug mode** message that would have been sent to manager: "
            "(success sleep worker slept well)\n",
            " DEBUG [sleep] shutting down\n",
        ):
            self.assertIn(line, shown)

    def test_a_bad_configuration_and_bad_usage_come_first(self):
        self.write("nowcast.yaml", "checklist file: [\n")
        self.assertEqual(self.end(self.start(worker="awaken")), 8)
        self.assertIn("nowcast.yaml:", self.err)
        self.assertEqual(self.end(self.start("--no-such-option", worker="awaken")), 2)
        self.assertIn("usage: nowcast awaken", self.err)


class BuiltIn(Contract):
    def test_sleep_reports_how_long(self):
        self.assertEqual(self.end(self.start("--sleep-time", "0", worker="sleep")), 0)
        self.assert_final("success", {"sleep time": 0})
        self.assertIn(" INFO [sleep] slept for 0 seconds\n", self.log())
        self.assertEqual(self.broker.received[0]["payload"]["arguments"], ["--sleep-time", "0"])

    def test_awaken_reports_that_it_awoke(self):
        self.assertEqual(self.end(self.start(worker="awaken")), 0)
        self.assert_final("success", {"awoke": True})

    def test_clear_checklist_asks_the_manager(self):
        self.assertEqual(self.end(self.start(worker="clear_checklist")), 0)
        self.assertEqual(self.broker.types(), ["clear checklist", "success"])
        self.assert_final("success", None)
        self.assertIn("requesting that manager clear system state checklist\n", self.log())
        self.assertIn("nowcast system checklist cleared\n", self.log())

    def test_clear_checklist_fails_when_the_manager_refuses(self):
        def refuse(message):
            if message.get("type") == "clear checklist":
                return {"type": "bad message", "payload": "no"}
            return {"type": "ack", "payload": None}

        self.broker.answer = refuse
        self.assertEqual(self.end(self.start(worker="clear_checklist")), 1)
        self.assert_final("failure", None)
        self.assertIn("CRITICAL [clear_checklist] failed to clear", self.log())

    def test_sleep_ends_early_by_TERM(self):
        process = self.start("--sleep-time", "60", worker="sleep")
        wait_for(lambda: harness.children_of(process.pid), "the worker")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.end(process), 128 + signal.SIGTERM)
        self.assert_final("crash")


class ManualPage(Contract):
    """The whole workers that nowcast-worker(7) shows."""

    def examples(self):
        page = os.path.join(SOURCE_ROOT, "man/nowcast-worker.7")
        with open(page, encoding="utf-8") as file:
            blocks = re.findall(r"^\.Bd -literal\n(#!.*?)^\.Ed$", file.read(), re.M | re.S)
        self.assertEqual(len(blocks), 2)
        return [block.replace("\\-", "-").replace("\\e", "\\") for block in blocks]

    def test_the_worker_in_sh_runs(self):
        self.write("fetch_weather", self.examples()[0], 0o755)
        self.configure(
            {"command": ["./fetch_weather"]}, types={**TYPES, "success 2026-11-24": "fetched"}
        )
        self.broker.checklist["weather source"] = "north"
        self.assertEqual(self.end(self.start("2026-11-24")), 0, self.log())
        self.assert_final("success 2026-11-24", {"run date": "2026-11-24"})
        self.assertEqual(json.loads(self.read("weather/2026-11-24/source.json")), {"payload": "north"})
        self.assertIn(" INFO [make_plots] fetching the weather of 2026-11-24\n", self.log())
        self.assertIn('the manager says {"payload": "north"}', self.log().replace('":"', '": "'))

    def test_the_worker_in_python_runs(self):
        self.write("make_plots.py", self.examples()[1])
        self.configure(
            {"command": ["/usr/bin/python3", "make_plots.py"]},
            types={**TYPES, "failure weather": "no weather"},
        )
        self.broker.checklist["weather"] = {}
        self.assertEqual(self.end(self.start("2026-11-24")), 0, self.log())
        self.assert_final(
            "success", {"2026-11-24": ["wind_2026-11-24.png", "rain_2026-11-24.png"]}
        )
        self.assertIn(" DEBUG [make_plots] made wind_2026-11-24.png\n", self.log())
        del self.broker.checklist["weather"]
        self.assertEqual(self.end(self.start("2026-11-24")), 1, self.log())
        self.assert_final("failure weather")


if __name__ == "__main__":
    unittest.main(verbosity=2)
