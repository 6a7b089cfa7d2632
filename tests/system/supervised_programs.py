#!/usr/bin/python3
"""Programs of the section `supervisor` (nowcast.yaml(5)): when they start, when they are ready, what becomes of their
output, hanging, ending and reloading; and what is said to a service manager (sd_notify(3)).

NOWCAST_TEST_BINARY names the program. The class SlowPrograms waits for the real 60 s of the promises (R10).
"""
import ctypes
import json
import os
import re
import signal
import socket
import time
import unittest

import harness
from harness import DAEMONS, children_of, is_running, wait_until

PR_SET_CHILD_SUBREAPER = 36
FOR_EVER = "exec sleep 1000\n"


class Story(harness.Story):
    def configure(self, programs, **section):
        """programs: {name: (script, more keys)}; the script is run by sh."""
        entries = {}
        for name, (script, keys) in programs.items():
            self.system.write(f"{name}.sh", script)
            entries[name] = {"command": ["sh", f"{name}.sh"], **keys}
        self.system.configure(supervisor={**section, "programs": entries})

    def lines(self, pattern, after=0):
        return re.findall(pattern, self.system.log()[after:], re.MULTILINE)

    def assert_in_order(self, patterns, after=0):
        text, at = self.system.log()[after:], 0
        for pattern in patterns:
            found = re.compile(pattern, re.MULTILINE).search(text, at)
            self.assertIsNotNone(found, f"not there, or not in its place: {pattern}\n{text}")
            at = found.end()

    def pid_of(self, name, after=0):
        return int(self.system.wait_for_line(rf"\] {name} is ready \(process (\d+), ", after)[1])

    def status(self):
        with self.system.door("supervisor.sock") as door:
            door.send(b'{"ask": "status"}')
            return {entry["name"]: entry for entry in json.loads(door.receive())["programs"]}


class Ready(Story):
    def test_by_a_descriptor(self):
        self.configure({"feed": (f"while ! test -e {self.system.path('go')}; do sleep 0.02; done\n"
                                 "eval \"echo ready >&$NOWCAST_READY_FD\"\n" + FOR_EVER, {"ready": "descriptor"}),
                        "second": (FOR_EVER, {"after": "feed"})})
        supervisor = self.system.start("supervisor", wait=False)
        self.system.wait_for_line("scheduler is ready")
        self.assertEqual(self.status()["feed"]["state"], "starting")
        self.assertEqual((self.status()["second"]["state"], self.status()["second"]["waits_for"]), ("waiting", "feed"))
        self.assertFalse(supervisor.is_ready())
        self.system.write("go", "")
        supervisor.wait_ready()
        self.assert_in_order(["starting feed$", "feed is ready", "starting second$", "second is ready",
                              "all 3 daemons and 2 programs are ready$"])

    def test_by_a_port(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        self.system.write("listen.py", "import socket, sys, time, os\n"
                          f"while not os.path.exists({self.system.path('go')!r}): time.sleep(0.02)\n"
                          "s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
                          f"s.bind(('127.0.0.1', {port})); s.listen()\n"
                          "while True: s.accept()[0].close()\n")
        self.configure({"feed": ("exec /usr/bin/python3 listen.py\n", {"ready": {"port": port}})})
        supervisor = self.system.start("supervisor", wait=False)
        self.system.wait_for_line("scheduler is ready")
        self.assertEqual(self.status()["feed"]["state"], "starting")
        self.system.write("go", "")
        supervisor.wait_ready()

    def test_by_a_file_that_comes_or_changes(self):
        # That it is there from the last time does not count.
        self.system.write("feed.ready", "old")
        self.configure({"feed": (f"while ! test -e {self.system.path('go')}; do sleep 0.02; done\n"
                                 "echo new >feed.ready\n" + FOR_EVER, {"ready": {"file": "feed.ready"}})})
        supervisor = self.system.start("supervisor", wait=False)
        self.system.wait_for_line("scheduler is ready")
        self.assertEqual(self.status()["feed"]["state"], "starting")
        self.system.write("go", "")
        supervisor.wait_ready()

    def test_when_it_is_started(self):
        self.configure({"feed": (FOR_EVER, {})})
        self.system.start_supervisor()
        self.assert_in_order(["starting feed$", "feed is ready", "message_broker is ready"])

    def test_one_that_is_not_ready_in_time_is_killed_and_started_again(self):
        self.configure({"feed": (FOR_EVER, {"ready": "descriptor", "ready time": "1 s"})})
        self.system.start("supervisor", wait=False)
        self.system.wait_for_line(r"feed is not ready after 1 s; it is killed and started again$")
        self.system.wait_for_line(r"feed ended: killed by signal 9 \(SIGKILL\); starting again in 0\.5 s$")

    def test_after_all_that_it_names(self):
        self.configure({"third": (FOR_EVER, {"after": ["second", "scheduler"]}),
                        "second": (FOR_EVER, {"after": "manager"}), "first": (FOR_EVER, {})})
        supervisor = self.system.start_supervisor()
        self.assert_in_order(["manager is ready", "second is ready"])
        self.assert_in_order(["scheduler is ready", "starting third$"])
        self.assert_in_order(["second is ready", "starting third$"])
        mark = self.system.mark()
        self.assertEqual(supervisor.stop(), 0)
        self.assert_in_order(["stopping third$", "third ended", "stopping second$", "second ended", "stopping manager$"],
                             mark)
        self.assert_in_order(["third ended", "stopping scheduler$", "scheduler ended", "stopping manager$"], mark)
        self.assertEqual(self.system.own_pids(), [])


class Watch(Story):
    def test_what_it_writes_is_logged_by_line_under_its_name(self):
        self.configure({"feed": (
            "echo one; echo two >&2; printf 'three\\0x\\r\\n'; printf '\\377\\n\\n'; printf 'x%.0s' $(seq 20000); echo; "
            "echo '2026-11-24 04:00:00,000 CRITICAL [manager] forged'; printf 'no end'\n" + FOR_EVER, {})})
        self.system.start_supervisor()
        self.system.wait_for_line(r" INFO \[feed\] 2026-11-24 04:00:00,000 CRITICAL \[manager\] forged$")
        self.assertEqual(len(self.lines(r" WARNING \[feed\] two$")), 1)
        self.assertEqual(self.lines(r" INFO \[feed\] (three.*|\?|one)$"), ["one", "three?x", "?"])
        self.assertEqual([len(part) for part in self.lines(r" INFO \[feed\] (x+)$")], [16384, 20000 - 16384])
        # What has no end of line is there when it ends.
        mark = self.system.mark()
        os.kill(self.pid_of("feed"), signal.SIGKILL)
        self.system.wait_for_line(r" INFO \[feed\] no end$", mark)

    def test_much_output_is_not_lost_and_stops_nobody(self):
        self.configure({"feed": ("seq 200000\nexit 3\n", {}), "quiet": (FOR_EVER, {})}, restart={"wait": "1 min",
                                                                                                 "at most": "1 min"})
        self.system.start_supervisor()
        # A supervisor with sanitizers writes some thousands of lines a second.
        self.system.wait_for_line(r"feed ended: exit status 3; starting again in 60\.0 s$", seconds=120)
        self.assertEqual(self.lines(r"\[feed\] (\d+)$"), [str(number) for number in range(1, 200001)])

    def test_one_that_ends_is_started_again_by_the_waits_of_the_section(self):
        self.configure({"feed": ("exit 8\n", {})}, restart={"wait": "100 ms", "at most": "300 ms"})
        self.system.start("supervisor", wait=False)
        wait_until(lambda: len(self.lines("feed ended: exit status 8")) >= 5, "five ends", 10, self.system.tail)
        # What it means by 8 is its own business.
        self.assertEqual(self.lines(r"feed ended: exit status 8; starting again in ([\d.]+) s$")[:5],
                         ["0.1", "0.2", "0.3", "0.3", "0.3"])
        self.system.wait_for_line(r"CRITICAL \[supervisor\] feed has ended 5 times in ten minutes$")
        self.assertEqual(self.status()["feed"]["alarm"], "it has ended 5 times in ten minutes")
        self.assertGreaterEqual(self.status()["feed"]["restarts"], 4)

    def test_one_that_does_not_exist_is_said_and_tried_again(self):
        self.system.configure(supervisor={"programs": {"feed": {"command": ["no-such-program", "x"]}}})
        self.system.start("supervisor", wait=False)
        self.system.wait_for_line(r"ERROR \[supervisor\] feed was not started: cannot run no-such-program: No such file or "
                                  r"directory; trying again in 0\.5 s$")
        self.system.wait_for_line(r"trying again in 1\.0 s$")
        self.system.wait_for_line("scheduler is ready")

    def test_what_is_in_its_group_ends_with_it(self):
        self.configure({"feed": ("sleep 1001 & sleep 1002 & wait\n", {})})
        self.system.start_supervisor()
        feed = self.pid_of("feed")
        kept = wait_until(lambda: len(children_of(feed)) == 2 and list(children_of(feed)), "two children")
        os.kill(feed, signal.SIGKILL)
        wait_until(lambda: not any(map(is_running, kept)), "the end of its children", 5)

    def test_it_runs_beside_the_configuration_without_a_shell_and_with_signals_as_usual(self):
        self.system.write("look.py", "import os, signal, sys\n"
                          "print('in', os.getcwd(), sys.argv[1], int(signal.getsignal(signal.SIGTERM)), "
                          "signal.pthread_sigmask(signal.SIG_BLOCK, []), sorted(n for n in os.environ if "
                          "n in ('NOTIFY_SOCKET', 'NOWCAST_LIFE_FD', 'NOWCAST_SUPERVISOR_VERSION')), flush=True)\n"
                          "signal.pause()\n")
        self.system.configure(supervisor={"programs": {
            "look": {"command": ["/usr/bin/python3", "look.py", "$(touch oops); `touch oops`"]}}})
        self.system.start_supervisor()
        self.system.wait_for_line(re.escape(f"[look] in {self.system.directory} $(touch oops); `touch oops` "
                                            "0 set() []") + "$")
        self.assertFalse(os.path.exists(self.system.path("oops")))

    def test_the_children_of_others_are_reaped(self):
        """As process 1 of a container, which a subreaper is like."""
        libc = ctypes.CDLL(None)
        self.configure({"feed": ("sh -c 'sleep 0.3 & echo left' &\n" + FOR_EVER, {})})
        supervisor = self.system.start("supervisor",
                                       preexec_fn=lambda: libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
        self.system.wait_for_line(r"\[feed\] left$")
        wait_until(lambda: len(children_of(supervisor.pid)) == 4, "the end of the stranger", 3,
                   lambda: str(children_of(supervisor.pid)))


class Reload(Story):
    def hang_up(self, supervisor):
        mark = self.system.mark()
        supervisor.send_signal(signal.SIGHUP)
        self.system.wait_for_line(r"\[supervisor\] read config from ", mark)
        return mark

    def test_new_programs_are_started_and_those_that_are_gone_are_stopped(self):
        self.configure({"old": (FOR_EVER, {}), "kept": (FOR_EVER, {})})
        supervisor = self.system.start_supervisor()
        old, kept = self.pid_of("old"), self.pid_of("kept")
        self.configure({"kept": (FOR_EVER, {}), "new": (FOR_EVER, {"after": "kept"})})
        mark = self.hang_up(supervisor)
        self.assertTrue(is_running(self.pid_of("new", mark)))
        wait_until(lambda: not is_running(old), "the end of the old one", 5)
        wait_until(lambda: list(self.status()) == [*DAEMONS, "kept", "new"], "those that are there", 5)
        self.assertTrue(is_running(kept))
        # And back.
        self.configure({"old": (FOR_EVER, {}), "kept": (FOR_EVER, {})})
        mark = self.hang_up(supervisor)
        self.assertTrue(is_running(self.pid_of("old", mark)))
        wait_until(lambda: set(self.status()) == {*DAEMONS, "kept", "old"}, "those that are there", 5)
        self.assertEqual(supervisor.stop(), 0)
        self.assertEqual(self.system.own_pids(), [])

    def test_another_command_is_said_and_used_by_restart(self):
        self.configure({"feed": ("echo old\n" + FOR_EVER, {})})
        supervisor = self.system.start_supervisor()
        before = self.pid_of("feed")
        self.system.write("feed2.sh", "echo new\n" + FOR_EVER)
        self.system.configure(supervisor={"programs": {"feed": {"command": ["sh", "feed2.sh"]}}})
        mark = self.hang_up(supervisor)
        self.system.wait_for_line(r"the command of feed has changed in the configuration; `nowcast restart feed` acts on "
                                  r"it$", mark)
        self.assertTrue(is_running(before))
        self.assertEqual(self.system.run("restart", "feed").returncode, 0)
        self.system.wait_for_line(r"\[feed\] new$", mark)

    def test_a_file_that_cannot_be_used_changes_nothing(self):
        self.configure({"feed": (FOR_EVER, {})})
        supervisor = self.system.start_supervisor()
        before, mark = self.pid_of("feed"), self.system.mark()
        self.configure({"feed": (FOR_EVER, {"after": "nobody"}), "new": (FOR_EVER, {})})
        supervisor.send_signal(signal.SIGHUP)
        self.system.wait_for_line(r"ERROR \[supervisor\] the new configuration cannot be used, the one before stays in "
                                  r"force: .*is to start after `nobody`", mark)
        self.assertEqual(list(self.status()), [*DAEMONS, "feed"])
        self.assertTrue(is_running(before))

    def test_a_changed_environment_file_is_for_what_starts_from_then_on(self):
        self.system.write("nowcast.env", "X_WORD=old\n")
        self.configure({"feed": ("echo \"word: $X_WORD\"\n" + FOR_EVER, {})}, **{"environment file": "nowcast.env"})
        supervisor = self.system.start_supervisor()
        self.system.wait_for_line(r"\[feed\] word: old$")
        self.system.write("nowcast.env", "X_WORD=new\n")
        mark = self.hang_up(supervisor)
        self.assertEqual(self.system.run("restart", "feed").returncode, 0)
        self.system.wait_for_line(r"\[feed\] word: new$", mark)


class ServiceManager(Story):
    """What systemd hears (a socket of the test plays it)."""

    def listen(self, name):
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(("\0" + name[1:]) if name[0] == "@" else name)
        self.manager.settimeout(10)
        return {"NOTIFY_SOCKET": name}

    def hear(self, pattern):
        """Until something like that is said: all that was said before it."""
        said = []
        end = time.monotonic() + 15
        while time.monotonic() < end:
            said.append(self.manager.recv(4096).decode())
            if re.match(pattern, said[-1]):
                return said[:-1]
        raise AssertionError(f"{pattern} was not said, but {said}")

    def test_ready_reloading_stopping_at_a_path(self):
        environment = self.listen(self.system.path("notify"))
        self.configure({"feed": (f"while ! test -e {self.system.path('go')}; do sleep 0.02; done; touch up\n" + FOR_EVER,
                                 {"ready": {"file": "up"}})})
        supervisor = self.system.start("supervisor", wait=False, environment=environment)
        self.system.wait_for_line("scheduler is ready")
        self.manager.setblocking(False)
        self.assertRaises(BlockingIOError, self.manager.recv, 100)
        self.manager.settimeout(10)
        self.system.write("go", "")
        self.assertEqual(self.hear("READY=1"), [])
        supervisor.send_signal(signal.SIGHUP)
        self.assertEqual(self.hear(r"RELOADING=1\nMONOTONIC_USEC=\d+$"), [])
        self.assertEqual(self.hear("READY=1"), [])
        supervisor.send_signal(signal.SIGTERM)
        self.assertEqual(self.hear("STOPPING=1"), [])
        self.assertEqual(supervisor.wait(), 0)

    def test_at_an_abstract_name_and_with_a_watchdog(self):
        name = f"@nowcast-test-{os.getpid()}"
        environment = {**self.listen(name), "WATCHDOG_USEC": "200000"}
        supervisor = self.system.start("supervisor", environment=environment)
        self.hear("READY=1")
        for _ in range(3):
            self.assertEqual(self.hear("WATCHDOG=1"), [])
        # What it starts does not speak for it.
        for pid in children_of(supervisor.pid):
            with open(f"/proc/{pid}/environ", "rb") as file:
                self.assertNotIn(b"NOTIFY_SOCKET", file.read())
        # A supervisor that begins anew goes on with it.
        self.assertEqual(self.system.run("restart").returncode, 0)
        self.hear("READY=1")
        self.hear("WATCHDOG=1")

    def test_a_watchdog_of_another_process_and_an_address_that_is_none(self):
        environment = {**self.listen(self.system.path("notify")), "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}
        supervisor = self.system.start("supervisor", environment=environment)
        self.hear("READY=1")
        self.assertEqual(supervisor.stop(), 0)
        self.assertEqual([word for word in self.hear("STOPPING=1") if word != "READY=1"], [])
        for bad in ("", "@", "relative", "/" + "x" * 200, self.system.path("nobody")):
            with self.subTest(bad):
                supervisor = self.system.start("supervisor", environment={"NOTIFY_SOCKET": bad})
                self.assertEqual(supervisor.stop(), 0)

    def test_a_daemon_alone_says_it_too(self):
        environment = self.listen(self.system.path("notify"))
        scheduler = self.system.start("scheduler", environment=environment)
        self.assertEqual(self.hear("READY=1"), [])
        self.assertEqual(scheduler.stop(), 0)
        self.assertEqual(self.hear("STOPPING=1"), [])


class SlowPrograms(Story):
    def test_one_that_has_said_that_it_is_alive_has_to_go_on_saying_it(self):
        self.configure({"chatty": ("eval \"echo ready >&$NOWCAST_READY_FD; echo alive >&$NOWCAST_READY_FD\"\n" + FOR_EVER,
                                   {"ready": "descriptor"}),
                        "silent": (FOR_EVER, {})})
        self.system.start_supervisor()
        chatty, silent, mark = self.pid_of("chatty"), self.pid_of("silent"), self.system.mark()
        self.system.wait_for_line(r"CRITICAL \[supervisor\] chatty gave no sign of life for 60 s; it is ended and started "
                                  r"again$", mark, 70)
        self.assertNotEqual(self.pid_of("chatty", mark), chatty)
        self.assertTrue(is_running(silent))


if __name__ == "__main__":
    unittest.main()
