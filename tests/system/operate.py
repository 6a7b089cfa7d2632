#!/usr/bin/python3
"""The commands that start and stop a system (nowcast-up(1), -down, -restart, -start, -stop), and the door of the
supervisor that they speak to.

NOWCAST_TEST_BINARY names the program.
"""
import json
import os
import re
import shutil
import signal
import struct
import time
import unittest

import harness
from harness import DAEMONS, is_running, wait_until

OLD, NEW = b"0.1.0", b"9.1.0"


class Operated(harness.Story):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.end_background)

    def end_background(self):
        """What `up` has started is nobody's child: end it by its own command first."""
        if self.system.own_pids():
            self.system.run("down")

    def order(self, name, *arguments, status=0, **keywords):
        done = self.system.run(name, *arguments, **keywords)
        self.assertEqual(done.returncode, status, f"{done.stdout}{done.stderr}{self.system.tail()}")
        return done

    def up(self, *arguments, **keywords):
        return self.order("up", *arguments, **keywords)

    def ask(self, **question):
        """What the supervisor answers at its door."""
        with self.system.door("supervisor.sock") as door:
            door.send(json.dumps({"version": OLD.decode(), **question}).encode())
            return json.loads(door.receive())

    def status(self):
        return self.ask(ask="status")

    def entry(self, name):
        return next(entry for entry in self.status()["programs"] if entry["name"] == name)

    def pids(self):
        return {entry["name"]: entry["pid"] for entry in self.status()["programs"]}


class Up(Operated):
    def test_it_starts_all_and_says_when_all_are_ready(self):
        done = self.up()
        self.assertRegex(done.stdout, r"^nowcast is up: all 3 are ready \(supervisor: process \d+\)\n$")
        self.assertEqual(done.stderr, "")
        pids = self.pids()
        self.assertEqual(list(pids), list(DAEMONS))
        self.assertEqual(self.system.run("sleep", "--sleep-time", "0").returncode, 0)
        # In a session of its own, without the terminal, and not our child.
        supervisor = self.status()["pid"]
        self.assertEqual(os.getsid(supervisor), supervisor)
        self.assertEqual(os.readlink(f"/proc/{supervisor}/fd/0"), "/dev/null")
        self.assertEqual(os.readlink(f"/proc/{supervisor}/fd/1"), self.system.path("state/supervisor.out"))
        self.assertEqual(self.order("down").stdout, "nowcast is down\n")
        self.assertEqual(self.system.own_pids(), [])
        for pid in (supervisor, *pids.values()):
            self.assertFalse(is_running(pid))

    def test_what_is_up_already_is_left_alone(self):
        self.up()
        before = self.pids()
        self.assertRegex(self.up().stdout, "^nowcast is up already: all 3 are ready")
        self.assertEqual(self.pids(), before)

    def test_json(self):
        said = json.loads(self.up("--json").stdout)
        self.assertEqual((said["ok"], [entry["state"] for entry in said["programs"]]), (True, ["running"] * 3))
        said = json.loads(self.order("down", "--json").stdout)
        self.assertEqual(said, {"ok": True, "done": "nowcast is down"})

    def test_what_is_not_ready_is_told_with_why_and_where_its_log_is(self):
        self.system.write("nowcast_checklist.yaml", "{")
        done = self.up(status=1)
        self.assertRegex(done.stderr, "nowcast up: not all is ready:\n"
                         "  manager: backoff; it last ended with: exit status 78; its state is damaged\n"
                         "  scheduler: waiting for manager\n"
                         f"  Why is in the log, {self.system.path('nowcast.log')}; what was said before it was open "
                         f"is in {self.system.path('state/supervisor.out')}\n")
        said = json.loads(self.up("--json", status=1).stdout)
        self.assertEqual((said["ok"], said["programs"][1]["alarm"]), (False, "its state is damaged"))

    def test_one_that_takes_long_is_a_time_limit_and_goes_on(self):
        self.system.write("slow.sh", f"while ! test -e {self.system.path('go')}; do sleep 0.05; done; touch ready; "
                          "exec sleep 1000\n")
        self.system.configure(supervisor={"programs": {
            "slow": {"command": ["sh", "slow.sh"], "ready": {"file": "ready"}}}})
        self.assertIn("  slow: starting\n", self.up("--wait", "1", status=6).stderr)
        self.system.write("go", "")
        self.up()
        self.assertEqual(self.entry("slow")["state"], "running")

    def test_a_configuration_that_cannot_be_used_starts_nothing(self):
        self.system.write("nowcast.yaml", "logging: no\n")
        self.assertRegex(self.up(status=8).stderr, r"nowcast\.yaml:1:")
        self.assertEqual(self.system.own_pids(), [])

    def test_a_supervisor_that_cannot_begin_is_quoted(self):
        # It is another one's lock, not another one's door.
        self.system.start_supervisor().stop()
        os.unlink(self.system.path("state/supervisor.lock"))
        os.mkdir(self.system.path("state/supervisor.lock"))
        done = self.up(status=1)
        self.assertRegex(done.stderr, r"the supervisor has ended: exit status 1; it said:\n.*cannot lock .*Is a directory")

    def test_variables_of_the_environment_file_reach_all(self):
        self.system.write("nowcast.env", "export X_STATE='state'\nX_WORD=\"two words\"\n")
        self.system.write("feed.sh", 'echo "the word is $X_WORD"; exec sleep 1000\n')
        self.system.configure(
            **{"state directory": "$(NOWCAST.ENV.X_STATE)"}, rules={"awaken": [{"on": "success", "launch": "third"}]},
            workers={"third": {"checklist key": "third", "success": "well"}},
            programs={"third": {"command": ["sh", "-c", "echo \"worker: $X_WORD\""]}},
            supervisor={"environment file": "nowcast.env",
                        "programs": {"feed": {"command": ["sh", "feed.sh"], "after": "manager"}}})
        self.up()
        self.system.wait_for_line(r" INFO \[feed\] the word is two words$")
        self.system.run("awaken")
        self.system.wait_for_line(r" INFO \[third\] worker: two words$")
        by_hand = self.system.run("third")
        self.assertEqual(by_hand.returncode, 0, by_hand.stderr)
        self.assertEqual(len(re.findall(r"\[third\] worker: two words$", self.system.log(), re.MULTILINE)), 2)


class One(Operated):
    def test_stop_and_start(self):
        self.up()
        before = self.pids()
        self.assertEqual(self.order("stop", "scheduler").stdout, "scheduler is stopped\n")
        self.assertFalse(is_running(before["scheduler"]))
        self.assertEqual((self.entry("scheduler")["state"], self.entry("scheduler")["wanted"]), ("stopped", False))
        # It stays away, also when others are started again.
        mark = self.system.mark()
        os.kill(before["manager"], signal.SIGKILL)
        self.system.wait_for_line(r"\[supervisor\] manager is ready", mark)
        self.assertEqual(self.entry("scheduler")["state"], "stopped")
        self.assertRegex(self.order("start", "scheduler").stdout, r"^scheduler is running \(process \d+\)\n$")
        self.assertEqual(self.entry("scheduler")["state"], "running")
        running = self.pids()
        self.order("start", "scheduler")
        self.assertEqual(self.pids(), running)

    def test_one_may_be_stopped_that_others_were_started_after(self):
        self.up()
        before = self.pids()
        self.order("stop", "manager")
        self.assertTrue(is_running(before["scheduler"]))
        # Nobody waits for what was stopped by hand.
        self.order("restart", "scheduler")
        self.order("start", "manager")
        self.assertEqual({entry["state"] for entry in self.status()["programs"]}, {"running"})

    def test_restart(self):
        self.up()
        before = self.pids()
        done = self.order("restart", "message_broker")
        after = self.pids()
        self.assertEqual(done.stdout, f"message_broker is running (process {after['message_broker']})\n")
        self.assertEqual({name for name in after if after[name] != before[name]}, {"message_broker"})
        self.assertEqual(self.entry("message_broker")["restarts"], 0)
        self.assertEqual(self.system.run("sleep", "--sleep-time", "0").returncode, 0)

    def test_restart_takes_an_alarm_back(self):
        self.system.write("nowcast_checklist.yaml", "{")
        self.up(status=1)
        self.system.write("nowcast_checklist.yaml", "{}")
        self.order("restart", "manager")
        self.up()
        self.assertIsNone(self.entry("manager")["alarm"])

    def test_json(self):
        self.up()
        said = json.loads(self.order("restart", "manager", "--json").stdout)
        self.assertEqual((said["ok"], said["name"], said["state"]), (True, "manager", "running"))
        said = json.loads(self.order("stop", "manager", "--json").stdout)
        self.assertEqual((said["ok"], said["state"], said["pid"]), (True, "stopped", None))
        said = json.loads(self.order("start", "manger", "--json", status=4).stdout)
        self.assertFalse(said["ok"])

    def test_the_words_may_stand_in_any_order(self):
        self.up()
        config = self.system.path("nowcast.yaml")
        for words in (["manager", config], [config, "manager"]):
            self.order("restart", *words, config=False)
        self.order("restart", "manager", config=False, environment={"NOWCAST_YAML": config})

    def test_a_name_that_is_none(self):
        self.up()
        self.assertIn("no daemon or program `managr`; did you mean `manager`?",
                      self.order("stop", "managr", status=4).stderr)
        self.assertIn("required: name", self.order("start", status=2).stderr)

    def test_where_no_supervisor_runs(self):
        for name in ("start", "stop", "restart"):
            self.assertIn("`nowcast up` starts one", self.order(name, "manager", status=5).stderr)
        self.assertIn("`nowcast up` starts one", self.order("restart", status=5).stderr)
        self.assertIn("nowcast is down: no supervisor runs", self.order("down").stdout)


class All(Operated):
    def test_restart_without_a_name_begins_anew_and_workers_go_on(self):
        self.system.configure(rules={"awaken": [{"on": "success", "launch": "sleep --sleep-time 30"}]})
        self.up()
        before, supervisor = self.pids(), self.status()
        self.assertEqual(self.system.run("awaken").returncode, 0)
        worker = int(self.system.wait_for_line(r"\[sleep\] running in process (\d+)$")[1])
        self.assertRegex(self.order("restart").stdout, r"^nowcast is up again: all 3 are ready, version 0\.1\.0\n$")
        after = self.pids()
        self.assertFalse(set(before.values()) & set(after.values()))
        self.assertEqual(self.status()["pid"], supervisor["pid"])
        self.assertNotEqual(self.status()["since"], supervisor["since"])
        self.assertTrue(is_running(worker))

    def test_the_supervisor_of_a_manager_alone_takes_orders_too(self):
        supervisor = self.system.start("manager", "--supervised", "--ignore-checklist")
        before = self.pids()
        self.assertEqual(list(before), ["manager"])
        self.order("restart")
        after = self.pids()
        self.assertEqual((list(after), after == before), (["manager"], False))
        with open(f"/proc/{supervisor.pid}/cmdline", "rb") as file:
            self.assertEqual(file.read().split(b"\0")[1:-2], [b"manager", b"--supervised"])
        self.order("down")
        self.assertEqual(supervisor.wait(), 0)

    def test_who_waits_for_readiness_by_a_descriptor_hears_of_it_again(self):
        supervisor = self.system.start_supervisor()
        supervisor.said = b""
        self.order("restart")
        supervisor.wait_ready()
        self.assertEqual(supervisor.stop(), 0)

    def test_down_ends_what_somebody_else_started(self):
        supervisor = self.system.start_supervisor()
        mark = self.system.mark()
        self.order("down")
        self.assertEqual(supervisor.wait(), 0)
        log = self.system.log()[mark:]
        places = [log.index(f"[supervisor] {name} ended") for name in reversed(DAEMONS)]
        self.assertEqual(places, sorted(places))

    def test_down_while_it_restarts_is_the_end(self):
        self.system.write("slow.sh", "trap 'sleep 1; exit' TERM; while :; do sleep 0.05; done\n")
        self.system.configure(supervisor={"programs": {"slow": {"command": ["sh", "slow.sh"]}}})
        supervisor = self.system.start_supervisor()
        self.assertIn("pid", self.ask(ask="restart"))
        self.order("down")
        self.assertEqual(supervisor.wait(), 0)


class Binary(Operated):
    """The binary at the path by which the supervisor was started is replaced."""

    def setUp(self):
        super().setUp()
        self.path = self.system.path("nowcast")
        shutil.copy(harness.NOWCAST, self.path)

    def replace(self, text=None):
        """By the same one, or by a script."""
        if text is None:
            shutil.copy(harness.NOWCAST, f"{self.path}.new")
            os.rename(f"{self.path}.new", self.path)
        else:
            self.system.write("nowcast", text, mode=0o755)

    def replace_by_another_version(self):
        with open(harness.NOWCAST, "rb") as file:
            binary = file.read()
        self.assertIn(OLD + b"\0", binary)
        with open(f"{self.path}.new", "wb") as file:
            file.write(binary.replace(OLD + b"\0", NEW + b"\0").replace(b"nowcast " + OLD, b"nowcast " + NEW))
        os.chmod(f"{self.path}.new", 0o755)
        os.rename(f"{self.path}.new", self.path)

    def binary_of(self, pid):
        return os.stat(f"/proc/{pid}/exe").st_ino

    def test_restart_of_one_starts_the_new_one_and_it_stays(self):
        self.up(program=self.path)
        old = os.stat(self.path).st_ino
        self.replace()
        new = os.stat(self.path).st_ino
        self.order("restart", "manager")
        self.assertEqual(self.binary_of(self.pids()["manager"]), new)
        self.assertEqual(self.binary_of(self.pids()["scheduler"]), old)
        # What ends by itself comes back as it was.
        for name, inode in (("manager", new), ("scheduler", old)):
            mark = self.system.mark()
            os.kill(self.pids()[name], signal.SIGKILL)
            self.system.wait_for_line(rf"\[supervisor\] {name} is ready", mark)
            self.assertEqual(self.binary_of(self.pids()[name]), inode)

    def test_restart_of_all_starts_the_new_one(self):
        self.up(program=self.path)
        self.replace_by_another_version()
        self.assertRegex(self.order("restart").stdout, r"version 9\.1\.0\n$")
        new = os.stat(self.path).st_ino
        for pid in (self.status()["pid"], *self.pids().values()):
            self.assertEqual(self.binary_of(pid), new)

    def test_a_new_one_that_does_not_run_stops_nothing(self):
        self.up(program=self.path)
        before = self.pids()
        for text in ("#!/bin/sh\nexit 1\n", "#!/bin/sh\necho other 1.0\n", "#!/no/such/interpreter\n"):
            self.replace(text)
            self.assertIn("nothing was stopped", self.order("restart", status=1).stderr)
        os.unlink(self.path)
        self.assertIn("nothing was stopped", self.order("restart", status=1).stderr)
        self.assertEqual(self.pids(), before)
        # One of them: from the binary that runs.
        self.order("restart", "manager")
        self.assertIn("cannot be executed (No such file or directory); the binary that runs is used again",
                      self.system.log())

    def test_a_new_one_from_which_a_daemon_is_not_ready_is_not_tried_again(self):
        self.up(program=self.path)
        shutil.copy("/bin/false", f"{self.path}.new")
        os.rename(f"{self.path}.new", self.path)
        mark = self.system.mark()
        self.order("restart", "scheduler")
        self.assertIn("scheduler could not be started from the new binary; it is started from the one before",
                      self.system.log()[mark:])

    def test_another_version_is_refused_with_words(self):
        self.up(program=self.path)
        self.replace_by_another_version()
        before = self.pids()
        for name in ("restart", "start"):
            done = self.order(name, "manager", program=self.path, status=7)
            self.assertIn("this is nowcast 9.1.0, and the supervisor that runs is 0.1.0", done.stderr)
            self.assertIn("`nowcast restart`, without a name, starts all anew", done.stderr)
        self.assertEqual(self.pids(), before)
        self.assertIn("what runs is version 0.1.0, and this is 9.1.0", self.up(program=self.path).stderr)
        # By the old command: the daemon itself refuses, and the one before is used.
        mark = self.system.mark()
        self.order("restart", "scheduler")
        self.assertIn("[scheduler] this is nowcast 9.1.0, and its supervisor is 0.1.0: they do not run together",
                      self.system.log()[mark:])
        self.assertEqual(self.order("stop", "scheduler", program=self.path).stdout, "scheduler is stopped\n")


class Door(Operated):
    def test_the_status_says_what_there_is_to_know(self):
        self.up()
        mark = self.system.mark()
        os.kill(self.pids()["scheduler"], signal.SIGKILL)
        self.system.wait_for_line(r"\[supervisor\] scheduler is ready", mark)
        status = self.status()
        self.assertEqual((status["ready"], status["stopping"], status["version"]), (True, False, "0.1.0"))
        self.assertEqual(status["config"], self.system.path("nowcast.yaml"))
        self.assertEqual(os.path.realpath(status["binary"]), os.path.realpath(harness.NOWCAST))
        entry = status["programs"][2]
        moment = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
        self.assertRegex(entry.pop("since"), moment)
        self.assertRegex(entry["last_exit"].pop("at"), moment)
        self.assertTrue(is_running(entry.pop("pid")))
        self.assertEqual(entry, {
            "name": "scheduler", "kind": "daemon", "state": "running", "wanted": True, "waits_for": None, "restarts": 1,
            "last_exit": {"words": "killed by signal 9 (SIGKILL)", "status": None, "signal": 9}, "alarm": None,
            "version": "0.1.0", "log": self.system.path("nowcast.log")})
        self.assertIsNone(status["programs"][0]["last_exit"])

    def test_bad_questions_are_answered_and_change_nothing(self):
        self.up()
        before = self.pids()
        for question in (b"", b"{", b"[]", b"null", b'{"ask": 1}', b'{"ask": "dance"}', b'{"ask": "start"}',
                         b'{"ask": "stop", "name": 7}', b"\xff", b'{"ask": "stop", "name": "\\u0000"}',
                         b'{"ask": "stop", "name": "../manager"}', b"x" * (1 << 20), b"[" * 100000):
            with self.subTest(question[:40]), self.system.door("supervisor.sock") as door:
                door.send(question)
                self.assertIn("error", json.loads(door.receive()))
        with self.system.door("supervisor.sock") as door:
            door.send(b"x" * ((1 << 20) + 1))
            self.assertIn("error", json.loads(door.receive()))
        with self.system.door("supervisor.sock") as door:
            door.socket.sendall(struct.pack("!I", 1 << 31))
            self.assertRaises(ConnectionError, door.receive)
        self.assertEqual(self.pids(), before)

    def test_only_we_may_come_in(self):
        self.up()
        mode = os.stat(self.system.path("state/supervisor.sock")).st_mode & 0o777
        self.assertEqual((mode, os.stat(self.system.path("state")).st_mode & 0o777), (0o600, 0o700))

    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    def test_another_user_is_refused(self):
        self.up()
        os.chmod(self.system.directory, 0o755)
        os.chmod(self.system.path("state"), 0o755)
        os.chmod(self.system.path("state/supervisor.sock"), 0o666)
        pid = os.fork()
        if pid == 0:
            os.setuid(65534)
            try:
                self.ask(ask="down")
            except OSError:
                os._exit(0)
            os._exit(1)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        os.chmod(self.system.path("state"), 0o700)
        self.assertTrue(self.status()["ready"])


if __name__ == "__main__":
    unittest.main()
