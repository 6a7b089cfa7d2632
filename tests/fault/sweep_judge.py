"""The judge of the sweeps: what was sent, answered and done, against what was promised (promises.md, R1 to R8, R12,
R22). A part of sweep_common.Scene.
"""
import contextlib
import os
import re
import shutil
import sqlite3

from sweep_office import CHAIN, CLEARED, DAY, FAN_OUT, NATURAL, all_processes, command_of, describe, is_daemon, is_database

QUIET_S = 10            # for all to be done; the judge has then seen all, or it is missing
RUNNER_QUIET_S = 20     # a runner that dies before its claim is started again after 1, 2 and 4 s
LEFT_OVER_S = 1.5       # R8: no zombie for longer than a second


class Judge:
    def wanted(self):
        """[(worker, argument, ...)]: all launches that the answered messages ask for, as far as it can be known."""
        todo = [(worker, str(number)) for number, kind in DAY for worker in FAN_OUT.get(kind, ())
                if any(message.number == number and message.reply is not None for message in self.messages)]
        todo += [("ticker", str(number)) for number in range(1, self.schedules + 1) if ("ticker", str(number))
                 in self.ledger.ran]
        for key in todo:
            worker, argument = key[:2]
            crashed = ("after_crash", worker, argument) in self.ledger.ran
            if self.was_not_launched(key):
                # After 20 in a row the rules are not asked what comes after that.
                crashed = "launches could not be made one after the other" not in self.log()
                if not crashed:
                    continue
            if worker in ("after_crash", "after_lost"):
                continue
            if crashed or NATURAL.get(worker) == "crash":
                todo.append(("after_crash", worker, argument))
            elif ("after_lost", worker, argument) in self.ledger.ran:
                todo.append(("after_lost", worker, argument))
            else:
                todo += [(next_worker, argument) for next_worker in CHAIN.get(worker, ())]
        return todo

    def was_not_launched(self, key):
        """Did the manager say so, and not try again? What should have followed may have had the same fate."""
        return self.forgiving and key not in self.ledger.ran and re.search(rf"CRITICAL \[manager\] {' '.join(key)}\b.* was not launched: ", self.log())

    def missing_of(self, key):
        """What has not come yet of this launch; None: nothing."""
        ran = self.ledger.ran
        reported = [kind for kind in ("after_crash", "after_lost") if (kind, *key[:2]) in ran]
        if self.was_not_launched(key):
            reported.append("words")
        if key not in ran and not reported:
            return f"R3: `{' '.join(key)}` has neither run nor been reported"
        worker = key[0]
        if key[:2] == self.followed and not reported and not self.end_is_heard(key):
            return f"R5: the end of `{' '.join(key)}`, whose runner may have been killed, was not heard"
        if reported or NATURAL.get(worker, "success") != "success":
            return None         # what follows after it is wanted by itself
        if key[-1].isdigit() and int(key[-1]) < CLEARED:    # its part of the checklist was cleared, maybe
            ended = any(words[1:] == [*key, ""][:3] for words in self.ledger.of("end"))
            return None if ended else f"R5: `{' '.join(key)}` has not ended"
        if " ".join((*key, "")[:3]) not in self.part("work"):
            return f"R5: the end of `{' '.join(key)}` was not heard"
        return None

    def end_is_heard(self, key):
        """Of the one whose runner is killed: what follows is launched late then, and is waited for, too. The log tells,
        for what it left in the checklist may be cleared."""
        worker, number = key[0], key[-1]
        return ("after_failure", number) in self.ledger.ran or int(number) > CLEARED or \
            f"items from {worker} worker" in self.log()

    def missing(self):
        if self.runner_dies and self.followed is None:
            self.followed = next((daemon.followed() for daemon in self.started if daemon.followed()), None)
        self.ledger.read()
        for message in self.messages:
            if message.number > CLEARED and message.reply["type"] == "ack" and f"m{message.number}" not in self.feed():
                return f"R1: message {message.number} was answered, and is not in the checklist file"
        for key in self.wanted():
            missing = self.missing_of(key)
            if missing is not None:
                return missing
        return None

    def wait_until_quiet(self):
        if not self.wait(lambda: self.missing() is None, RUNNER_QUIET_S if self.runner_dies else QUIET_S):
            promise, words = self.missing().split(": ", 1)
            name = words.split("`")[1].split()[0] if "`" in words else "manager"
            said = [line for line in self.log().splitlines() if f" {name}" in line or f"[{name}]" in line]
            self.violate(promise, "; ".join([words, "the log says last", *said[-3:]]))

    def judge(self):
        """When all is quiet and has ended: what is in the ledger, and what may be there?"""
        ran, wanted = self.ledger.read(), self.wanted()
        for message in self.messages:
            expected = "checklist cleared" if message.number == CLEARED else "ack"
            if message.reply["type"] != expected:
                self.violate("R1", f"message {message.number} was answered {message.reply}, not {expected}")
        for key, launches in ran.items():
            if len(launches) > 1:
                self.violate("R3", f"`{' '.join(key)}` ran {len(launches)} times, as launches "
                                   f"{', '.join(launch for _, launch, _ in launches)}")
            if key not in wanted:
                self.violate("R2", f"`{' '.join(key)}` ran, and nothing asked for it")
        for key in wanted:
            self.judge_end(key)
        old = [key for key in self.feed() if key[1:].isdigit() and int(key[1:]) < CLEARED]
        if old:
            self.violate("R2", f"{old} are in the checklist again, after it was cleared")
        followed = {launch for _, launch, _ in ran.get(self.followed, ())}
        for launch, answer in self.ledger.of("asked"):
            if launch in followed:
                continue
            if '"payload"' not in answer and "no such checklist key" not in answer:    # cleared meanwhile
                self.violate("R6", f"the need of launch {launch} was answered {answer}")
        if self.groups:
            self.judge_group()

    def judge_end(self, key):
        ran = self.ledger.ran
        worker, number = key[0], key[-1]
        crash = ran.get(("after_crash", *key[:2]), [])
        followed = key[:2] == self.followed
        outcomes = [name for name, there in (
            ("crash", crash), ("lost", ("after_lost", *key[:2]) in ran),
            ("success", " ".join((*key, "")[:3]) in self.part("work")),
            ("failure", NATURAL.get(worker) == "failure" and ("after_failure", number) in ran)) if there]
        if len(outcomes) > 1:
            self.violate("R4", f"`{' '.join(key)}` was reported as {' and as '.join(outcomes)}")
        natural = NATURAL.get(worker, "success")
        for outcome in outcomes:
            # What an error kept from being made is reported as such.
            excused = followed or (self.forgiving and key not in ran)
            if outcome != natural and not (excused and outcome in ("crash", "lost")):
                self.violate("R5", f"`{' '.join(key)}` was reported as {outcome}, and its end was {natural}"
                                   + "".join(f" ({reason})" for _, _, reason in crash))
        if natural == "crash" and not followed and key in ran and not all("SIGKILL" in reason for _, _, reason in crash):
            self.violate("R4", f"the crash of `{' '.join(key)}` has the reason {crash[0][2]}")

    def judge_group(self):
        ended = {(words[1], words[2]): number for number, words in enumerate(self.ledger.lines) if words[0] == "end"
                 for words in [words[1:]]}
        for key, launches in self.ledger.ran.items():
            if key[0] in ("held_a", "held_b"):
                for member in ("member_a", "member_b"):
                    end = ended.get((member, key[1]))
                    if end is None or end > launches[0][0]:
                        # What could not be launched, or was killed, has ended too.
                        if (member, key[1]) != self.followed and ("after_crash", member, key[1]) not in self.ledger.ran:
                            self.violate("R3", f"`{' '.join(key)}` was let go before {member} had ended")

    def check_stale(self):
        """R7: a copy of a launch that is over comes back, with another token."""
        launches = [launch for key, runs in self.ledger.read().items() for _, launch, _ in runs if key[0] == "second"]
        if not launches:
            return
        message = self.message(12, "second", "success", {"second stale": True}, launch=launches[-1], token="0" * 32,
                               report={"end": "exit status 0"})
        if self.ask(message)["type"] != "stale":
            self.violate("R7", f"a message with another token than its launch's was answered {message.reply['type']}")

    def left_over(self):
        """Process ids of workers, runners and zombies of ours."""
        processes = all_processes()
        daemons = {daemon.popen.pid for daemon in self.running.values()}
        for _ in range(2):      # the tracer's child, and the supervisor's
            daemons |= {pid for pid, (_, parent) in processes.items() if parent in daemons and is_daemon(pid)}
        strangers = {pid for pid in processes if pid not in daemons and self.is_ours(pid)}
        return sorted(strangers | {pid for pid, (state, parent) in processes.items()
                                   if state == "Z" and parent in daemons})

    def is_ours(self, pid):
        return self.directory.encode() + b"/" in command_of(pid)

    def check_left_over(self):
        """R8: no worker, runner or zombie is left."""
        if not self.wait(lambda: not self.left_over(), QUIET_S if self.forgiving else LEFT_OVER_S):
            self.violate("R8", "left behind: " + ", ".join(describe(pid) for pid in self.left_over()))

    def check_spool(self):
        """R6: no last message was left behind, but that of a runner that was killed; that one the manager finds."""
        with contextlib.suppress(FileNotFoundError):
            killed = {launch for _, launch, _ in self.ledger.ran.get(self.followed, ())}
            left = sorted(set(os.listdir(self.path("state/spool"))) - killed)
            if left:
                self.violate("R6", f"kept in the spool, and not delivered: {', '.join(left)}")

    def check_database(self):
        """R22: each database that is left can be opened, and is whole."""
        copy = self.path("copy")
        for folder, _, names in os.walk(self.path("state")):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.isfile(path) or not is_database(path):
                    continue
                os.makedirs(copy, exist_ok=True)
                for ending in ("", "-wal"):
                    if os.path.exists(path + ending):
                        shutil.copy(path + ending, os.path.join(copy, name + ending))
                try:
                    with contextlib.closing(sqlite3.connect(os.path.join(copy, name))) as database:
                        result = database.execute("PRAGMA integrity_check").fetchone()[0]
                except sqlite3.Error as error:
                    result = str(error)
                if result != "ok":
                    self.violate("R22", f"{name}: {result}")
