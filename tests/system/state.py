#!/usr/bin/python3
"""The manager's state (promises.md, R1 to R6, R11, R12, R22): what outlives a kill, what an operator sees and changes
(nowcast status, group, checklist, backup, restore), and the rules that need a memory: groups, alarms, programs.

NOWCAST_TEST_BINARY names the program.
"""
import glob
import grp
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import unittest

import harness

NOT_WELL, NO_SUCH_THING, UNREACHABLE, TRY_AGAIN, DAMAGED = 3, 4, 5, 75, 78

WORKER = """\
#!/bin/sh
# NAME ARGUMENTS...: says in `ran` that it was here, and ends when there is a file `go` of its name.
shift
echo "$NOWCAST_WORKER $*" >>ran
[ ! -e "wait-$NOWCAST_WORKER" ] || while [ ! -e "go-$NOWCAST_WORKER" ]; do sleep 0.05; done
exit 0
"""
TYPES = {"success": "it went well", "failure": "it failed"}
NAMES = ("first", "second", "third", "after")


class Story(harness.Story):
    policy = {}
    rules = {}

    def setUp(self):
        super().setUp()
        self.configure()

    def configure(self, **rules):
        self.system.configure(
            workers={name: {"checklist key": name, **TYPES} for name in NAMES}, rules=rules or self.rules,
            programs={name: {"command": ["/bin/sh", self.system.path("worker.sh")], **self.policy} for name in NAMES})
        self.system.write("worker.sh", WORKER, 0o755)

    def begin(self):
        self.daemons = self.system.start_all("message_broker", "manager")
        self.manager = self.daemons["manager"]

    def restart(self, signo=signal.SIGKILL):
        mark = self.system.mark()
        self.manager.stop(signo)
        self.manager = self.system.start("manager")
        self.system.wait_for_line(r"\[message_broker\] the manager is connected", mark)

    def tell(self, source, type_="success", payload=None, **more):
        return self.system.ask({"source": source, "type": type_, "payload": payload, **more})["type"]

    def ran(self):
        return self.system.read("ran").splitlines()

    def wait_ran(self, *lines):
        harness.wait_until(lambda: self.ran() == list(lines), f"exactly {lines} ran",
                           explain=lambda: f"{self.ran()}\n{self.system.tail()}")

    def touch(self, name):
        self.system.write(name, "")

    def status(self):
        done = self.system.run("status", "--json")
        return json.loads(done.stdout), done.returncode

    def command(self, name, *arguments, status=0):
        done = self.system.run(name, *arguments)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done


class Kills(Story):
    rules = {"first": [{"on": "success", "launch": ["second a", "third b"]}]}

    def test_r5_a_worker_that_runs_outlives_the_manager_and_is_known_to_the_next(self):
        self.begin()
        self.touch("wait-second")
        self.tell("first")
        harness.wait_until(lambda: sorted(self.ran()) == ["second a", "third b"], "both ran")
        harness.wait_until(lambda: [launch["state"] for launch in self.status()[0]["launches"]] == ["running"],
                           "second runs alone", explain=lambda: f"{self.status()[0]}")
        self.restart()
        (launch,) = self.status()[0]["launches"]
        self.assertEqual((launch["worker"], launch["arguments"]), ("second", ["a"]))
        self.touch("go-second")
        self.system.wait_for_line(r"received message from second: \(success\)")
        harness.wait_until(lambda: not self.status()[0]["launches"], "nothing runs any more")
        self.assertEqual(sorted(self.ran()), ["second a", "third b"])

    def test_r4_a_runner_that_is_killed_while_no_manager_runs_is_a_crash(self):
        self.begin()
        self.touch("wait-second")
        self.tell("first")
        harness.wait_until(lambda: any(launch["worker"] == "second" and launch["state"] == "running"
                                       for launch in self.status()[0]["launches"]), "second runs")
        pid = next(launch["pid"] for launch in self.status()[0]["launches"] if launch["worker"] == "second")
        self.manager.stop(signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        self.manager = self.system.start("manager")
        self.system.wait_for_line(r"CRITICAL \[manager\] second crashed: runner killed", seconds=5)

    def test_r1_r2_what_was_answered_is_there_and_is_answered_again(self):
        self.begin()
        message = {"source": "second", "type": "success", "payload": {"n": 1},
                   "id": "019abc00-0000-7000-8000-000000000001"}
        self.assertEqual(self.system.ask(message)["type"], "ack")
        self.restart()
        self.assertEqual(self.system.ask(message)["type"], "ack")
        self.assertEqual(self.system.ask({**message, "payload": 2})["type"], "bad message")
        self.system.assert_checklist({"second": {"n": 1}})

    def test_r11_a_second_manager_says_so(self):
        self.begin()
        second = self.system.start("manager", wait=False)
        self.assertEqual(second.wait(), TRY_AGAIN)


class ChecklistFile(Story):
    name = "nowcast_checklist.yaml"

    def fill(self):
        self.begin()
        self.tell("first", payload={"a": 1})
        self.tell("second", payload={"b": 2})
        self.system.assert_checklist({"first": {"a": 1}, "second": {"b": 2}})

    def aside(self, word):
        return glob.glob(self.system.path(f"{self.name}.{word}-*"))

    def edit(self, old, new):
        text = self.system.read(self.name)
        self.assertIn(old, text)
        self.system.write(self.name, text.replace(old, new))

    def test_edited_while_the_manager_was_down_it_is_taken_over(self):
        self.fill()
        self.assertEqual(self.manager.stop(), 0)
        self.edit("a: 1", "a: 5")
        self.manager = self.system.start("manager")
        self.system.wait_for_line(r" WARNING \[manager\] checklist read from .*changed while no manager ran: changed first$")
        self.assertEqual(self.command("checklist").stdout, "first:\n  a: 5\nsecond:\n  b: 2\n")
        self.system.assert_checklist({"first": {"a": 5}, "second": {"b": 2}})

    def test_an_older_copy_that_was_put_into_its_place_is_taken_over(self):
        self.begin()
        self.tell("first", payload={"a": 1})
        self.system.assert_checklist({"first": {"a": 1}})
        old = self.system.read(self.name)
        self.tell("second", payload={"b": 2})
        self.system.assert_checklist({"first": {"a": 1}, "second": {"b": 2}})
        self.assertEqual(self.manager.stop(), 0)
        self.system.write(self.name, old)
        self.manager = self.system.start("manager")
        self.system.wait_for_line(r" WARNING \[manager\] checklist read from .*deleted second$")
        self.system.assert_checklist({"first": {"a": 1}})

    def test_one_that_is_behind_after_a_kill_is_no_edit(self):
        self.begin()
        self.tell("first", payload={"a": 1})
        self.system.assert_checklist({"first": {"a": 1}})
        old = self.system.read(self.name)
        self.tell("second", payload={"b": 2})
        self.manager.stop(signal.SIGKILL)
        self.system.write(self.name, old)
        self.manager = self.system.start("manager")
        self.system.wait_for_line(r" INFO \[manager\] the checklist file is 1 changes behind the state")
        self.system.assert_checklist({"first": {"a": 1}, "second": {"b": 2}})

    def test_edited_while_the_manager_runs_it_is_set_aside(self):
        self.fill()
        self.edit("a: 1", "a: 5")
        self.tell("second", payload={"b": 3})
        self.system.wait_for_line(r" WARNING \[manager\] the checklist file was edited while the manager runs; it is kept as")
        self.system.assert_checklist({"first": {"a": 1}, "second": {"b": 3}})
        (kept,) = self.aside("edited")
        with open(kept, encoding="utf-8") as file:
            self.assertIn("a: 5", file.read())
        self.command("checklist", "import", "--from", kept)
        self.system.assert_checklist({"first": {"a": 5}, "second": {"b": 2}})

    def test_damaged_it_is_set_aside_and_written_again(self):
        self.fill()
        self.manager.stop(signal.SIGKILL)
        self.system.write(self.name, "{")
        self.manager = self.system.start("manager")
        self.system.wait_for_line(r" CRITICAL \[manager\] the checklist file is damaged")
        self.assertEqual(len(self.aside("damaged")), 1)
        harness.wait_until(lambda: self.system.read(self.name) != "{", "the file is written again")
        self.system.assert_checklist({"first": {"a": 1}, "second": {"b": 2}})

    def test_the_command_changes_the_checklist(self):
        self.fill()
        self.command("checklist", "set", "first", "{c: [1, 2]}")
        self.command("checklist", "set", "new", "2026-11-24")
        self.command("checklist", "delete", "second")
        self.assertEqual(self.command("checklist").stdout, "first:\n  c:\n  - 1\n  - 2\nnew: 2026-11-24\n")
        self.system.wait_for_line(r" WARNING \[manager\] \[second\] was deleted from the checklist by an operator$")
        self.assertIn("no key `second`", self.command("checklist", "delete", "second", status=NO_SUCH_THING).stderr)
        self.command("checklist", "set", "first", status=2)
        self.restart()
        self.assertEqual(json.loads(self.command("checklist", "--json").stdout)["first"], {"c": [1, 2]})

    def test_without_a_manager_the_command_says_so(self):
        done = self.command("checklist", status=UNREACHABLE)
        self.assertIn("the manager cannot be reached", done.stderr)
        self.assertIn("nowcast up", done.stderr)


class Groups(Story):
    rules = {
        "first": [{"on": "success", "launch": ["second", "third"],
                   "hold until all have ended": ["second", "third"]}],
        "second": [{"on": "success", "launch": "after from second"}],
        "third": [{"on": "success", "launch": "after from third"}],
    }

    def setUp(self):
        super().setUp()
        self.begin()
        self.touch("wait-second")
        self.tell("first")
        self.system.wait_for_line(r"received message from third: \(success\)")

    def test_what_members_lead_to_is_held_also_through_a_kill_and_released_together(self):
        (group,) = self.status()[0]["groups"]
        self.assertEqual((group["waits for"], group["ended"], group["holds"]), (["second"], ["third"], ["after from third"]))
        self.restart()
        (group,) = self.status()[0]["groups"]
        self.assertEqual((group["waits for"], group["holds"]), (["second"], ["after from third"]))
        self.assertNotIn("after", self.system.read("ran"))
        self.touch("go-second")
        self.system.wait_for_line(r" INFO \[manager\] the group \S+ is released: all have ended$")
        harness.wait_until(lambda: len(self.ran()) == 4, "all ran")
        launched = [line for line in self.system.log().splitlines() if "launching after" in line]
        self.assertEqual([line.rpartition("launching ")[2] for line in launched], ["after from third", "after from second"])
        self.assertEqual(self.status()[0]["groups"], [])

    def test_an_operator_can_release_it(self):
        self.assertIn("after from third", self.command("group").stdout)
        self.command("group", "release", "1")
        harness.wait_until(lambda: "after from third" in self.ran(), "the held one ran")
        self.assertEqual(self.command("group").stdout, "no group is open\n")
        self.assertIn("no open group 1", self.command("group", "release", "1", status=NO_SUCH_THING).stderr)

    def test_an_operator_can_drop_it(self):
        self.command("group", "drop", "1")
        self.system.wait_for_line(r" CRITICAL \[manager\] the group \S+ was dropped, by an operator; 1 launch was dropped: "
                                  r"after from third$")
        self.assertEqual(self.status()[0]["groups"], [])


class GivenUp(Story):
    def test_a_group_is_given_up_when_its_time_is_over(self):
        for word, line in (("drop", r" CRITICAL \[manager\] the group \S+ was dropped, since its time is over; 1 launch"),
                           ("release", r" INFO \[manager\] the group \S+ is released: since its time is over$")):
            with self.subTest(word):
                self.tearDown()
                self.setUp()
                self.configure(first=[{"on": "success", "hold until all have ended": ["second", "third"],
                                       "give up after": "2 s", "when given up": word}],
                               third=[{"on": "success", "launch": "after"}])
                self.begin()
                self.tell("first")
                self.tell("third")
                self.system.wait_for_line(line)
                if word == "release":
                    self.wait_ran("after ")
                else:
                    self.assertEqual(self.ran(), [])

    def test_a_member_that_fails_drops_what_is_held(self):
        self.configure(first=[{"on": "success", "hold until all have ended": ["second", "third"], "if one fails": "drop"}],
                       third=[{"on": "success", "launch": "after"}])
        self.begin()
        self.tell("first")
        self.tell("third")
        self.tell("second", "failure")
        self.system.wait_for_line(r" CRITICAL \[manager\] the group \S+ was dropped, since second reported failure; 1 launch was")
        self.assertEqual(self.status()[0]["groups"], [])
        self.assertEqual(self.ran(), [])


class Alarms(Story):
    rules = {"first": [{"on": "success", "alarm": "look at <payload[what]>"}]}

    def test_alarms_and_rule_errors_stay_in_the_status(self):
        self.begin()
        self.assertEqual(self.tell("first", payload={"what": "the sea"}), "ack")
        self.assertEqual(self.tell("first", payload={}), "ack")
        self.restart()
        alarms = self.status()[0]["alarms"]
        self.assertEqual([alarm["kind"] for alarm in alarms], ["rule error", "alarm"])
        self.assertEqual(alarms[1]["text"], "look at the sea")
        self.assertIn("<payload[what]> finds nothing", alarms[0]["text"])


class Programs(Story):
    rules = {"first": [{"on": "<type>", "decide with": ["./decide.py", "an argument"], "time limit": "2 s"}]}
    PROGRAM = """\
        #!/usr/bin/python3
        import json, sys
        given = json.load(sys.stdin)
        assert sys.argv[1] == "an argument" and set(given) == {"message", "launch", "config", "checklist", "today"}
        print(json.dumps({"next": [{"worker": "second", "args": [given["checklist"]["first"]["x y"]], "host": "localhost"}]}))
        """

    def test_it_is_asked_beside_the_manager_and_what_it_says_is_done(self):
        self.system.write("decide.py", self.PROGRAM, 0o755)
        self.begin()
        self.assertEqual(self.tell("first", payload={"x y": "two words"}), "ack")
        self.wait_ran("second two words")

    def test_one_that_the_manager_did_not_see_ending_is_asked_again(self):
        self.system.write("decide.py", "#!/bin/sh\nsleep 100\n", 0o755)
        self.begin()
        self.assertEqual(self.tell("first", payload={"x y": "z"}), "ack")
        self.system.wait_for_line(r"asking \./decide\.py what is next after success of first$")
        self.manager.stop(signal.SIGKILL)
        self.system.write("decide.py", self.PROGRAM, 0o755)
        self.manager = self.system.start("manager")
        self.wait_ran("second z")

    def test_what_it_does_wrong_is_a_rule_error(self):
        cases = ((r"exit 3", r"ended with exit status 3"), (r"echo why >&2; exit 1", r"it wrote: why"),
                 (r"echo '{'", r"decide\.py"), (r"sleep 100", r"longer than its `time limit:`"),
                 (r"""echo '{"next": [{"worker": "nobody", "args": []}]}'""", r"nobody"))
        self.begin()
        for script, words in cases:
            with self.subTest(script):
                mark = self.system.mark()
                self.system.write("decide.py", f"#!/bin/sh\n{script}\n", 0o755)
                self.assertEqual(self.tell("first"), "ack")
                self.system.wait_for_line(r" CRITICAL \[manager\] nothing was launched after the message \(success\) from "
                                          rf"first: the rules failed: .*{words}", mark)
        self.assertEqual((self.ran(), len(self.status()[0]["alarms"])), ([], len(cases)))


class IfRunning(Story):
    rules = {"first": [{"on": "success", "launch": "second x"}]}

    def begin_twice(self, policy):
        self.policy = {"if running": policy}
        self.configure()
        self.begin()
        self.touch("wait-second")
        self.tell("first")
        self.wait_ran("second x")
        harness.wait_until(lambda: [launch["state"] for launch in self.status()[0]["launches"]] == ["running"], "it runs")
        self.tell("first")

    def test_refuse_launches_no_second_one(self):
        self.begin_twice("refuse")
        self.system.wait_for_line(r" WARNING \[manager\] second is not launched .*`if running: refuse`")
        self.assertEqual([launch["end"] for launch in self.status()[0]["failed"]], ["refused"])
        self.touch("go-second")
        self.system.wait_for_line(r"received message from second: \(success\)")
        self.assertEqual(self.ran(), ["second x"])

    def test_wait_launches_it_when_the_first_has_ended(self):
        self.begin_twice("wait")
        harness.wait_until(lambda: [launch["state"] for launch in self.status()[0]["launches"]] == ["running", "waiting"],
                           "it waits")
        self.restart()
        self.assertEqual(self.ran(), ["second x"])
        self.touch("go-second")
        self.wait_ran("second x", "second x")

    def test_replace_ends_the_first_one(self):
        self.begin_twice("replace")
        self.wait_ran("second x", "second x")
        self.system.wait_for_line(r" CRITICAL \[manager\] second crashed: ")
        harness.wait_until(lambda: [launch["state"] for launch in self.status()[0]["launches"]] == ["running"],
                           "one of them runs")


    def test_by_hand_the_policy_holds_too(self):
        self.policy = {"if running": "wait"}
        self.configure()
        self.begin()
        self.touch("wait-second")
        first = self.system.run_in_background("second", "x")
        self.wait_ran("second x")
        second = self.system.run_in_background("second", "x")
        harness.wait_until(lambda: "waiting for the end of" in second.output(), "the second one is told",
                           explain=second.output)
        self.assertEqual(self.ran(), ["second x"])
        self.touch("go-second")
        self.assertEqual((first.wait(), second.wait()), (0, 0))
        self.assertEqual(self.ran(), ["second x", "second x"])


class Damage(Story):
    def test_r22_a_damaged_state_is_named_and_not_touched(self):
        self.begin()
        self.tell("first", payload=1)
        self.assertEqual(self.manager.stop(), 0)
        with open(self.system.path("state/state.db"), "r+b") as file:
            file.write(b"spoiled" * 100)
        with open(self.system.path("state/state.db"), "rb") as file:
            before = file.read()
        again = self.system.start("manager", wait=False)
        self.assertEqual(again.wait(), DAMAGED)
        self.system.wait_for_line(r" CRITICAL \[manager\] .*state\.db is damaged")
        self.system.wait_for_line(r" CRITICAL \[manager\] nothing was changed: `nowcast restore` puts a copy")
        with open(self.system.path("state/state.db"), "rb") as file:
            self.assertEqual(file.read(), before)

    def test_r22_a_copy_is_put_back(self):
        self.begin()
        self.tell("first", payload={"a": 1})
        copy = self.command("backup", self.system.directory).stdout.strip()
        with sqlite3.connect(f"file:{copy}?mode=ro", uri=True) as database:
            self.assertEqual(database.execute("PRAGMA integrity_check").fetchone(), ("ok",))
        self.tell("second", payload={"b": 2})
        self.system.assert_checklist({"first": {"a": 1}, "second": {"b": 2}})
        self.assertIn("another manager holds the state", self.command("restore", copy, status=TRY_AGAIN).stderr)
        self.manager.stop(signal.SIGKILL)
        os.unlink(self.system.path("state/state.db"))
        self.command("restore", copy)
        self.manager = self.system.start("manager")
        # The file is newer than the copy, and is not lost.
        self.system.wait_for_line(r" WARNING \[manager\] the checklist file is newer than the state; it is kept as")
        self.system.assert_checklist({"first": {"a": 1}})
        self.assertEqual(len(glob.glob(self.system.path("nowcast_checklist.yaml.newer-*"))), 1)

    def test_what_is_no_copy_is_not_put_back(self):
        self.begin()
        self.assertEqual(self.manager.stop(), 0)
        self.system.write("no.db", "no database")
        self.command("restore", self.system.path("no.db"), status=DAMAGED)
        self.command("restore", self.system.path("absent.db"), status=1)
        self.command("restore", status=2)
        self.manager = self.system.start("manager")

    def test_a_backup_says_what_it_cannot_do(self):
        self.begin()
        self.command("backup", status=2)
        self.command("backup", "/nowhere", status=NO_SUCH_THING)
        self.assertIn("not permitted" if os.getuid() else "cannot make the copy",
                      self.command("backup", "/proc", status=1).stderr)


class Status(Story):
    rules = {"first": [{"on": "success", "launch": "second"}]}

    def test_a_system_that_is_well_and_one_that_is_not(self):
        done = self.command("status", status=NOT_WELL)
        self.assertRegex(done.stdout, r"(?m)^supervisor: not reached: .*; `nowcast up` starts the system$")
        self.assertIn("manager: not reached", done.stdout)
        self.system.start_supervisor()
        done = self.command("status")
        self.assertRegex(done.stdout, r"(?m)^manager +running +process \d+$")
        self.assertTrue(done.stdout.endswith("all is well\n"), done.stdout)
        self.system.write("worker.sh", "#!/bin/sh\nkill -9 $$\n", 0o755)
        self.tell("first")
        self.system.wait_for_line(r" CRITICAL \[manager\] second crashed")
        status, code = self.status()
        self.assertEqual((status["well"], code), (False, NOT_WELL))
        self.assertEqual([(launch["worker"], launch["end"]) for launch in status["failed"]], [("second", "crash")])
        self.assertRegex(self.command("status", status=NOT_WELL).stdout, r"(?m)^failed +\S+ \S+  second  crash: ")

    @unittest.skipUnless(os.getuid() == 0, "SKIPPED: only root can become somebody else")
    def test_s1_the_state_group_may_operate_and_nobody_else(self):
        group = grp.getgrnam("games")
        self.system.configure(**{"state group": group.gr_name})
        os.chmod(self.system.directory, 0o755)
        program = shutil.copy(harness.NOWCAST, self.system.path("nowcast"))  # where everybody can run it
        self.system.start_supervisor()
        for groups, status in (([group.gr_gid], 0), ([], NOT_WELL)):
            done = subprocess.run([program, "status", self.system.path("nowcast.yaml")], user="nobody",
                                  group="nogroup", extra_groups=groups, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)
            self.assertEqual("not allowed to connect" in done.stdout, status != 0)

    def test_s4_no_secret_is_shown(self):
        self.system.environment["DATA_TOKEN"] = "t0ken-value"
        self.configure(first=[{"on": "success", "launch": "second --token <payload[token]>"}])
        self.system.write("worker.sh", "#!/bin/sh\necho the token is $DATA_TOKEN\nexit 1\n", 0o755)
        self.begin()
        self.tell("first", payload={"token": "t0ken-value"})
        self.system.wait_for_line(r"received message from second: \(failure\)")
        (launch,) = self.status()[0]["failed"]
        self.assertEqual(launch["arguments"], ["--token", "***"])
        with sqlite3.connect(self.command("backup", self.system.directory).stdout.strip()) as database:
            (report,) = database.execute("SELECT report FROM launches WHERE worker = 'second'").fetchone()
        self.assertIn("the token is ***", report)
        self.assertNotIn("t0ken-value", report)
        self.assertNotIn("t0ken-value", self.system.log())

    def test_wrong_arguments(self):
        self.assertIn("it takes no name", self.command("status", "sleep", status=2).stderr)
        self.assertIn("it is `nowcast group`", self.command("group", "close", "1", status=2).stderr)


if __name__ == "__main__":
    unittest.main()
