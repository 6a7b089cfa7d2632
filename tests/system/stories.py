#!/usr/bin/python3
"""Workers in a running system: chains, ends of every kind, by hand and through links, questions, and the end of
the day.

NOWCAST_TEST_BINARY names the program.
"""
import os
import pathlib
import signal
import subprocess
import unittest

import harness

EXIT_UNDELIVERED = 5
EXIT_TRY_AGAIN = 75


def registered(*names):
    """Entries of the message registry for workers that are programs."""
    return {name: {"checklist key": name, "success": "well", "failure": "badly", "need": "a part of the checklist"}
            for name in names}


class Story(harness.Story):
    def begin(self, scripts, rules, **configuration):
        """A running system with workers in sh: {name: script}; `rules` as in next_workers.yaml."""
        programs = {}
        for name, script in scripts.items():
            self.system.write(f"{name}.sh", script)
            programs[name] = {"command": ["sh", f"{name}.sh"], "grace time": "1 s"}
        programs.update(configuration.pop("programs", {}))
        self.system.configure(workers=registered(*programs), rules=rules, programs=programs, **configuration)
        return self.system.start_supervisor()

    def status_of(self, name, *arguments):
        done = self.system.run(name, *arguments)
        return done.returncode

    def launches(self, name):
        """How often the manager has launched a worker."""
        return sum(f"INFO [manager] launching {name}" in line for line in self.system.log().splitlines())

    def assert_in_order(self, *parts):
        log, at = self.system.log(), 0
        for part in parts:
            found = log.find(part, at)
            self.assertGreaterEqual(found, 0, f"not there, or not in its place: {part}\n{log}")
            at = found + len(part)


class Chains(Story):
    def test_a_chain_of_three_runs_to_its_end(self):
        self.begin({"third": "echo third sees \"$2\"\n"},
                   {"sleep": [{"on": "success", "launch": "awaken"}],
                    "awaken": [{"on": "success", "launch": "third <checklist[sleepyhead][sleep time]>"}]})
        self.assertEqual(self.status_of("sleep", "--sleep-time", "0"), 0)
        self.system.wait_for_line(r"received message from third: \(success\)")
        self.assert_in_order("[sleep] slept for 0 seconds",
                             "checklist updated with [sleepyhead] items from sleep worker",
                             "[manager] launching awaken", "[awaken] awoke", "[manager] launching third 0",
                             "third sees 0")
        self.system.assert_checklist({"sleepyhead": {"sleep time": 0, "awoke": True}})

    def test_two_workers_that_report_at_once_are_both_heard_and_followed(self):
        gate = self.system.path("gate")
        os.mkfifo(gate)

        def script(name):
            line = f'{{"type": "success", "payload": {{"from": "{name}"}}}}'
            return f"echo waits; read -r _ < {gate}\necho '{line}' >&3\n"

        self.begin({"left": script("left"), "right": script("right"),
                    "after": "exit 0\n"},
                   {"left": [{"on": "success", "launch": "after left"}],
                    "right": [{"on": "success", "launch": "after right"}]})
        both = [self.system.run_in_background(name) for name in ("left", "right")]
        self.system.wait_for_line(r"\[left\] waits")
        self.system.wait_for_line(r"\[right\] waits")
        with open(gate, "w", encoding="ascii") as opened:
            opened.write("go\ngo\n")
            opened.flush()
            self.assertEqual([process.wait() for process in both], [0, 0])
        self.system.wait_for_line(r"launching after left")
        self.system.wait_for_line(r"launching after right")
        self.system.assert_checklist({"left": {"from": "left"}, "right": {"from": "right"}})

    def test_the_same_worker_twice_at_once_is_allowed_and_said(self):
        gate = self.system.path("gate")
        os.mkfifo(gate)
        self.begin({"slow": f"echo waits; read -r _ < {gate}\n"}, {})
        first = self.system.run_in_background("slow")
        self.system.wait_for_line(r"\[slow\] waits")
        second = self.system.run_in_background("slow")
        harness.wait_until(lambda: self.system.log().count("[slow] waits") == 2, "both run")
        with open(gate, "w", encoding="ascii") as opened:
            opened.write("go\ngo\n")
            opened.flush()
            self.assertEqual([first.wait(), second.wait()], [0, 0])
        self.assertIn("running", second.output())
        self.assertEqual(self.system.log().count("received message from slow: (success)"), 2)


class DistributedLog(harness.Story):
    def test_the_last_lines_of_a_burst_are_shipped_while_the_worker_goes_on(self):
        gate = self.system.path("gate")
        os.mkfifo(gate)
        self.system.write("burst.sh", f"for i in 1 2 3 4 5; do echo line $i; done; read -r _ < {gate}\n")
        self.system.configure(distributed=True,
                              workers={"burst": {"checklist key": "burst", "success": "done", "failure": "not done"}},
                              programs={"burst": {"command": ["sh", self.system.path("burst.sh")]}})
        self.system.start_supervisor()
        burst = self.system.run_in_background("burst")
        # No line follows, and the worker does not end: what is waiting goes by itself.
        self.system.wait_for_line(r"\[burst\] line 5")
        self.assertTrue(harness.is_running(burst.pid))
        with open(gate, "w", encoding="ascii") as opened:
            opened.write("go\n")
        self.assertEqual(burst.wait(), 0)


class Ends(Story):
    """What a worker's end does in the system: log line, rule, exit status."""

    def follow(self, on, **worker):
        self.begin({"broken": worker["script"]} if "script" in worker else {},
                   {"broken": [{"on": on, "launch": "awaken"}, {"on": "success", "launch": "rotate_logs"}]},
                   **({} if "script" in worker else {"programs": {"broken": {"command": worker["command"]}}}))
        status = self.status_of("broken")
        self.system.wait_for_line(r"\[manager\] launching awaken")
        self.assertEqual(self.launches("rotate_logs"), 0)
        return status

    def test_a_failure(self):
        self.assertEqual(self.follow("failure", script="echo no data >&2\nexit 3\n"), 3)
        self.system.wait_for_line(r"WARNING \[broken\] no data")
        self.assertNotIn("broken crashed", self.system.log())

    def test_a_crash_by_a_signal(self):
        self.assertEqual(self.follow("crash", script="kill -SEGV $$\n"), 128 + signal.SIGSEGV)
        self.system.wait_for_line(r"CRITICAL \[manager\] broken crashed: .*SIGSEGV")

    def test_wrong_arguments_in_a_rule_are_a_crash_that_says_so(self):
        self.begin({}, {"sleep": [{"on": "success", "launch": "awaken --no-such-option"}]})
        self.assertEqual(self.status_of("sleep", "--sleep-time", "0"), 0)
        self.system.wait_for_line(r"CRITICAL \[manager\] awaken crashed: runner ended with exit status 2 and without a "
                                  r"report: the arguments are wrong; the same command by hand says why")

    def test_a_crash_of_the_interpreter(self):
        status = self.follow("crash", command=["python3", "-c", "import os; os.abort()"])
        self.assertEqual(status, 128 + signal.SIGABRT)
        self.system.wait_for_line(r"CRITICAL \[manager\] broken crashed: .*SIGABRT")

    def test_an_exception_in_an_interpreter_is_a_failure_with_its_traceback(self):
        self.assertEqual(self.follow("failure", command=["python3", "-c", "raise KeyError('wind')"]), 1)
        self.system.wait_for_line(r"WARNING \[broken\] KeyError: 'wind'")

    def test_a_command_that_is_not_found(self):
        self.assertEqual(self.follow("crash", command=["no-such-program"]), 127)
        self.system.wait_for_line(r"CRITICAL \[manager\] broken crashed: .*no-such-program")

    def test_a_script_without_its_interpreter(self):
        self.system.write("broken.py", "#!/no/such/python3\n", 0o755)
        self.follow("crash", command=["./broken.py"])
        self.system.wait_for_line(r"CRITICAL \[manager\] broken crashed: interpreter not found .*broken\.py")

    def test_a_runner_that_is_killed_is_a_crash_and_its_worker_dies(self):
        self.begin({"broken": "echo worker $$\nwhile :; do sleep 1; done\n"},
                   {"awaken": [{"on": "success", "launch": "broken"}],
                    "broken": [{"on": "crash", "launch": "rotate_logs"}]})
        self.assertEqual(self.status_of("awaken"), 0)
        worker = int(self.system.wait_for_line(r"\[broken\] worker (\d+)")[1])
        runner = int(self.system.wait_for_line(r"\[manager\] broken runs in process (\d+)")[1])
        os.kill(runner, signal.SIGKILL)
        self.system.wait_for_line(r"CRITICAL \[manager\] broken crashed: runner killed")
        self.system.wait_for_line(r"launching rotate_logs")
        harness.wait_until(lambda: not harness.is_running(worker), "the end of the worker", 5)

    def test_the_manager_leaves_no_zombie(self):
        self.begin({"third": "exit 0\n"}, {"awaken": [{"on": "success", "launch": ["third", "third", "third"]}]})
        self.assertEqual(self.status_of("awaken"), 0)
        harness.wait_until(lambda: self.system.log().count("received message from third: (success)") == 3,
                           "three ends")
        harness.wait_until(lambda: not harness.children_of(self.system.pid_of("manager")),
                           "no child under the manager, dead or alive", 5)


class Leftovers(Story):
    SCRIPT = "sleep 600 &\necho left $!\nexit {}\n"

    def leave(self, status):
        self.begin({"leaver": self.SCRIPT.format(status)}, {"awaken": [{"on": "success", "launch": "leaver"}]})
        self.assertEqual(self.status_of("awaken"), 0)
        return int(self.system.wait_for_line(r"\[leaver\] left (\d+)")[1])

    def test_after_a_success_they_run_on_and_are_named(self):
        left = self.leave(0)
        self.addCleanup(lambda: harness.is_running(left) and os.kill(left, signal.SIGKILL))
        self.system.wait_for_line(r"received message from leaver: \(success\)")
        self.system.wait_for_line(rf"\[leaver\] left running: process {left} \((sh|sleep)\)")
        runner = int(self.system.wait_for_line(r"\[manager\] leaver runs in process (\d+)")[1])
        harness.wait_until(lambda: not harness.is_running(runner), "the end of the runner")
        self.assertTrue(harness.is_running(left))

    def test_after_a_failure_they_are_ended(self):
        left = self.leave(1)
        self.system.wait_for_line(r"received message from leaver: \(failure\)")
        harness.wait_until(lambda: not harness.is_running(left), "the end of what was left", 5)


class ByHand(Story):
    def test_while_the_system_runs_it_counts_and_is_followed(self):
        self.begin({}, {"sleep": [{"on": "success", "launch": "awaken"}]})
        done = self.system.run("sleep", "--sleep-time", "0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.system.wait_for_line(r"\[manager\] sleep was started by hand in process \d+")
        self.system.wait_for_line(r"received message from awaken: \(success\)")

    def test_r6_while_it_does_not_run_the_work_is_done_and_its_message_kept(self):
        done = self.system.run("sleep", "--sleep-time", "0")
        self.assertEqual(done.returncode, EXIT_UNDELIVERED, done.stdout + done.stderr)
        self.assertIn("slept for 0 seconds", self.system.log())
        self.assertIn("(success) is kept, and will be delivered when the manager is back", done.stderr)
        self.assertEqual(len(os.listdir(self.system.path("state/spool"))), 1)
        self.system.assert_checklist({})

    def test_through_links_it_is_the_same(self):
        self.begin({"own": "exit 3\n"}, {"awaken": [{"on": "success", "launch": "own"}]})
        links = self.system.path("links")
        os.mkdir(links)
        done = subprocess.run([harness.NOWCAST, "--install-links", links, "--all"], capture_output=True, text=True,
                              timeout=harness.DEADLINE_S, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

        def by_link(name, *arguments, program=None):
            return subprocess.run([os.path.join(links, program or name), *arguments], cwd=self.system.directory,
                                  env=self.system.environment, stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=harness.DEADLINE_S, check=False)

        done = by_link("sleep", "nowcast.yaml", "--sleep-time", "0")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("[sleep] slept for 0 seconds", self.system.log())
        done = by_link("awaken", "nowcast.yaml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.system.wait_for_line(r"received message from own: \(failure\)")
        self.assertEqual(by_link("sleep", "nowcast.yaml", "--sleep-time", "x").returncode, 2)
        self.assertEqual(by_link("check", "nowcast.yaml").returncode, 0)
        # A daemon through its link: the second manager.
        self.assertEqual(by_link("manager", "nowcast.yaml").returncode, EXIT_TRY_AGAIN)


class Questions(Story):
    ASK = "printf '{\"need\": \"%s\"}\\n' \"$2\" >&3\nread -r answer <&3\necho \"answer $answer\"\n"

    def test_a_need_is_answered_from_the_checklist(self):
        self.begin({"asker": self.ASK}, {})
        self.assertEqual(self.status_of("sleep", "--sleep-time", "0"), 0)
        self.assertEqual(self.status_of("asker", "sleepyhead"), 0)
        self.system.wait_for_line(r"\[asker\] answer \{.*\"sleep time\": *0.*\}")

    def test_a_need_for_an_absent_key_is_an_error_and_the_manager_lives(self):
        self.begin({"asker": self.ASK}, {})
        manager = self.system.pid_of("manager")
        self.assertEqual(self.status_of("asker", "absent"), 0)
        self.system.wait_for_line(r"\[asker\] answer \{.*\"error\".*absent.*\}")
        self.assertEqual(self.status_of("awaken"), 0)
        self.assertEqual(self.system.pid_of("manager"), manager)


class EndOfTheDay(Story):
    def test_clear_writes_the_checklist_down_and_rotate_keeps_the_old_log(self):
        self.begin({}, {"clear_checklist": [{"on": "success", "launch": "rotate_logs"}]})
        self.assertEqual(self.status_of("sleep", "--sleep-time", "0"), 0)
        self.system.assert_checklist({"sleepyhead": {"sleep time": 0}})
        self.assertEqual(self.status_of("clear_checklist"), 0)
        harness.wait_until(lambda: "log rotation" in self.system.checklist(), "rotate_logs has reported",
                           explain=self.system.tail)
        self.assertEqual(list(self.system.checklist()), ["log rotation"])
        self.assertIn("sleep time: 0", self.system.read("checklist.log") + self.system.read("checklist.log.1"))
        self.assertIn("[sleep] slept for 0 seconds", self.system.read("nowcast.log.1"))
        # A process looks at most every few milliseconds whether its file was renamed. From when the manager has
        # written the new one, nothing goes to the old one.
        received = "received message from awaken: (success)"
        self.assertEqual(self.status_of("awaken"), 0)
        harness.wait_until(lambda: received in self.system.read("nowcast.log"), "the manager writes the new file",
                           explain=self.system.tail)
        before = self.system.read("nowcast.log.1")
        self.assertEqual(self.status_of("awaken"), 0)
        harness.wait_until(lambda: self.system.read("nowcast.log").count(received) == 2,
                           "the manager writes the new file again", explain=self.system.tail)
        self.assertEqual(self.system.read("nowcast.log.1"), before)
        mode = pathlib.Path(self.system.path("nowcast.log")).stat().st_mode & 0o777
        self.assertEqual(mode, 0o664)


if __name__ == "__main__":
    unittest.main()
