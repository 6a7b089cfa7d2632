#!/usr/bin/python3
"""The whole system under load while its processes are killed, stopped and ended at random (promises.md, "How each is
proved", 3). What it did is compared with a ledger that nobody of it writes.

usage: soak.py [--seconds N] [--kills N] [--seed N] [--rate N]

Three parts: the storm; the same load in quiet, in which memory, descriptors and threads must stay flat; then no load,
until all is told. Exit status 1: a promise was broken, or too little was tried to say anything.
NOWCAST_TEST_BINARY names the program; NOWCAST_TEST_LONG=1 makes it 30 minutes and 2,000 kills.
"""
import argparse
import collections
import contextlib
import os
import pathlib
import random
import signal
import statistics
import sys
import threading
import time
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import load  # noqa: E402
import report  # noqa: E402
import yaml  # noqa: E402

DAEMONS = ("log_aggregator", "message_broker", "manager", "scheduler")
QUIET_PART = 0.2          # of the time, without kills
SETTLE_S = 90             # until all is told at the end
ZOMBIE_S = 1.0            # R8
LOOK_S = 0.5              # between two looks at all processes of a busy machine, at most
AWAY_MOST_S = 8           # a daemon that was killed; its waits are those of the configuration, and a busy machine
STOPPED_S = (0.05, 0.8)
DAEMON_WEIGHTS = {"manager": 35, "message_broker": 18, "scheduler": 7, "log_aggregator": 7, "supervisor": 3}
WORKER_WEIGHTS = {"runner": 18, "worker": 12}
SIGNAL_WEIGHTS = {signal.SIGKILL: 75, signal.SIGTERM: 10, signal.SIGSTOP: 15}
KIND_WEIGHTS = {
    "succeeds": 30, "fails": 15, "says_nothing": 10, "works": 20, "kills_itself": 8, "segfaults": 6, "hangs": 4,
    "ignores_term": 2, "forks_and_fails": 6, "forks_and_succeeds": 4, "prints": 1,
}


def weighed(chance, weights):
    return chance.choices(list(weights), list(weights.values()))[0]


class Soak:
    def __init__(self, system, seconds, kills, seed, rate):
        self.system = system
        self.seconds = seconds
        self.kills_wanted = kills
        self.chance = random.Random(seed)
        self.kinds = random.Random(seed + 1)
        self.tally = report.Tally()
        self.signals = collections.Counter()  # (role, signal): how often
        self.kills = 0
        self.disturbed = {}                   # number of a message: what was done to its launch, in words
        self.stale = 0                        # messages of ended launches that were sent
        self.over = threading.Event()
        self.quiet = threading.Event()
        self.stopped_at = {}                  # process id: when it was last stopped
        self.samples = collections.defaultdict(list)  # daemon: [(time, pss, descriptors, threads)]
        self.ledger = load.Ledger(system.path("ledger"))
        system.configure(
            distributed=True, workers=load.registry(), rules=load.rules(),
            programs=load.programs(system, self.ledger.path),
            supervisor={"restart": {"wait": "100 ms", "at most": "1 s"}},
            schedules=[{"nowcast.workers.sleep": {"every": "day", "at": "23:59"}}])
        load.write_worker(system)
        self.supervisor = system.start_supervisor()
        self.feed = load.Feed(system.path("state/broker.sock"), self.ledger, self.choose_kind, rate, twice=20)

    def choose_kind(self, _number):
        return weighed(self.kinds, KIND_WEIGHTS) if self.kinds.random() < 0.25 else None

    # --- who is there ---

    def daemons(self):
        """{role: process id}; of several of one role the newest."""
        found = {}
        for pid in sorted(self.system.own_pids()):
            words = load.role_of(pid)
            if words and len(words) >= 3 and words[1] in (*DAEMONS, "supervisor") and \
                    words[2] == self.system.path("nowcast.yaml"):
                found[words[1]] = pid
        return found

    def launches(self, part):
        """[(process id, number of the message)] of the runners, or of the workers, of kinds that may be killed."""
        found = []
        for pid in self.system.own_pids():
            words = load.role_of(pid)
            if not words:
                continue
            if part == "runner" and len(words) == 4 and words[1] in load.KINDS:
                found.append((pid, words[3]))
            elif part == "worker" and len(words) == 6 and words[0] == "/bin/sh" and words[3] in load.KINDS:
                found.append((pid, words[5]))
        return [(pid, int(number)) for pid, number in found if number.isdigit()]

    # --- the storm ---

    def send_signal(self, pid, signo, role):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signo)
            self.signals[role, signo] += 1
            self.kills += signo == signal.SIGKILL

    def stop_for_a_while(self, pid, role):
        self.stopped_at[pid] = time.monotonic() + STOPPED_S[1]
        self.send_signal(pid, signal.SIGSTOP, role)
        self.over.wait(self.chance.uniform(*STOPPED_S))
        self.stopped_at[pid] = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def hit_launch(self, part):
        candidates = self.launches(part)
        if not candidates:
            return False
        pid, number = self.chance.choice(candidates)
        signo = weighed(self.chance, SIGNAL_WEIGHTS)
        if signo == signal.SIGSTOP:
            self.stop_for_a_while(pid, part)
            return True
        self.disturbed[number] = f"{part} {signal.Signals(signo).name}"
        self.ledger.write("disturb", number, part, signal.Signals(signo).name)
        self.send_signal(pid, signo, part)
        return True

    def start_supervisor_again(self, before):
        """It has ended, or been killed; then its daemons must make room for those of the next one (R5)."""
        with contextlib.suppress(AssertionError):
            before.wait(30)
        self.tally.count("R5")
        end = time.monotonic() + 15
        while len(self.daemons()) > 0 and time.monotonic() < end:
            self.over.wait(0.1)
        left = self.daemons()
        if left:
            self.tally.violation("R5", f"daemons outlive their supervisor by 15 s: {left}")
            for pid in left.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.supervisor = self.system.start_supervisor(wait=False)

    def hit_daemon(self, role):
        pid = self.daemons().get(role)
        if pid is None:
            return False
        signo = weighed(self.chance, SIGNAL_WEIGHTS)
        if signo == signal.SIGSTOP:
            self.stop_for_a_while(pid, role)
            return True
        if role == "supervisor":
            if not self.supervisor.is_ready():
                return False  # before it has its handlers a TERM ends it, and its daemons are not told
            self.send_signal(pid, signo, role)
            self.start_supervisor_again(self.supervisor)
            return True
        self.send_signal(pid, signo, role)
        self.wait_for_another(role, pid)
        return True

    def wait_for_another(self, role, pid):
        """In a thread of its own: the storm goes on meanwhile (R10)."""
        supervisor = self.supervisor

        def look():
            end = time.monotonic() + AWAY_MOST_S
            while time.monotonic() < end and not self.over.is_set():
                if self.supervisor is not supervisor:
                    return
                if self.daemons().get(role, pid) != pid:
                    self.tally.count("R10")
                    return
                self.over.wait(0.2)
            if not self.over.is_set() and self.supervisor is supervisor:
                self.tally.check("R10", False, f"{role} was not started again within {AWAY_MOST_S} s")
        threading.Thread(target=look, daemon=True).start()

    def storm(self):
        seconds = self.seconds * (1 - QUIET_PART)
        began = time.monotonic()
        weights = {**DAEMON_WEIGHTS, **WORKER_WEIGHTS}
        while True:
            passed = time.monotonic() - began
            if passed >= seconds:
                return
            # As many as there should have been by now: what was slow is made up for.
            if self.kills * seconds >= (self.kills_wanted + 5) * passed:
                self.over.wait(self.chance.uniform(0.02, 0.2))
                continue
            role = weighed(self.chance, weights)
            hit = self.hit_launch(role) if role in WORKER_WEIGHTS else self.hit_daemon(role)
            self.over.wait(self.chance.uniform(0.02, 0.4) if hit else 0.05)

    # --- what is watched all the time ---

    def watch_zombies(self):
        """R8. A parent that is stopped cannot look after its children."""
        since, said = {}, set()
        while not self.over.wait(0.1):
            now = time.monotonic()
            ours = set(self.system.own_pids())
            zombies = {pid: parent for pid, parent in harness.zombies().items()
                       if parent in ours and now - self.stopped_at.get(parent, 0) > ZOMBIE_S}
            since = {pid: since.get(pid, now) for pid in zombies}
            for pid, first in since.items():
                words = load.role_of(zombies[pid])
                if now - first > ZOMBIE_S + LOOK_S and words and pid not in said:
                    self.tally.violation("R8", f"a child of {words} is a zombie for {now - first:.1f} s")
                    said.add(pid)

    def watch_checklist_file(self):
        """R12: whoever reads it reads one whole document."""
        while not self.over.wait(0.3):
            try:
                with open(self.system.path("nowcast_checklist.yaml"), encoding="utf-8") as file:
                    text = file.read()
            except FileNotFoundError:
                continue
            try:
                whole = isinstance(yaml.load(text, yaml.CSafeLoader), dict) and text.endswith("\n")
            except yaml.YAMLError:
                whole = False
            self.tally.check("R12", whole, lambda text=text: f"the checklist file is not whole: {len(text)} characters, "
                                                             f"at the end {text[-60:]!r}")

    def send_stale(self):
        """R7: what an ended launch says with a wrong token is refused. The rules would launch `seen` after it."""
        connection = load.Connection(self.system.path("state/broker.sock"))
        while not self.over.wait(2):
            started = self.ledger.lines("start")
            if not started:
                continue
            _, kind, number, launch, _ = started[-1 - (self.stale % min(len(started), 20))]
            message = yaml.safe_dump({"source": kind, "type": "success", "payload": None, "launch": launch,
                                      "token": "0" * 32, "id": str(uuid.uuid4())}).encode()
            reply = connection.ask(message, 2)
            if reply is not None and load.type_of(reply) != "retry later":
                self.stale += 1
                self.tally.check("R7", load.type_of(reply) == "stale",
                                 f"message {number}: its launch {launch} with a wrong token got {reply!r}")
        connection.close()

    def sample(self):
        """Memory, descriptors and threads, in the quiet part."""
        while not self.over.wait(1):
            if not self.quiet.is_set():
                continue
            for role, pid in self.daemons().items():
                with contextlib.suppress(OSError, StopIteration):
                    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                        pss = next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
                    self.samples[role].append((time.monotonic(), pss, len(os.listdir(f"/proc/{pid}/fd")),
                                               len(os.listdir(f"/proc/{pid}/task"))))

    # --- at the end ---

    def is_told(self):
        """Each launch that an answered message asked for has been reported to the rules."""
        told = {int(words[3]) for words in self.ledger.lines("seen")}
        return all(message.number in told for message in self.feed.messages if message.kind and message.answer)

    def sent(self):
        """On a machine that has too much else to do some never are; then too little was tried."""
        return [message for message in self.feed.messages if message.tries > 0]

    def check_messages(self):
        for message in self.sent():
            self.tally.check("R1", message.answer == "ack",
                             f"message {message.number} was sent {message.tries} times: {message.answer}")
        answered = [message for message in self.feed.messages if message.answer == "ack"]
        reply = self.system.ask({"source": "feed", "type": "need", "payload": "feed"})
        there = reply["payload"] if isinstance(reply["payload"], dict) else {}
        for place, number in load.expected_places(answered).items():
            self.tally.check("R1", there.get(place) == number,
                             lambda place=place, number=number: f"{place} has {there.get(place)}, {number} was answered")
        for message in self.feed.messages:
            if message.tries > 1:
                self.tally.count("R2")
        for words in self.feed.unlike:
            self.tally.violation("R2", words)

    def check_launches(self):
        starts, seen = collections.defaultdict(list), collections.defaultdict(list)
        for _, _, number, launch, _ in self.ledger.lines("start"):
            starts[int(number)].append(launch)
        for words in self.ledger.lines("seen"):
            seen[int(words[3])].append((words[2], words[4], " ".join(words[5:])))
        for message in self.feed.messages:
            if message.kind and message.answer == "ack":
                self.check_launch(message, starts.get(message.number, []), seen.get(message.number, []))

    def check_launch(self, message, starts, seen):
        number, tally = message.number, self.tally
        said = f"message {number} ({message.kind}, sent {message.tries} times, {self.disturbed.get(number)}): "
        said += f"started {starts}, reported {seen}"
        type_, reason = load.KINDS[message.kind]
        tally.check("R2", len(set(starts)) <= 1, said)
        tally.check("R3", len(starts) == 1 or (not starts and seen and seen[0][0] in ("crash", "lost")), said)
        tally.check("R6", len(seen) == 1, said)
        if not seen:
            return
        if number in self.disturbed:
            tally.check("R4", seen[0][0] in (type_, "crash", "lost"), said)
        elif type_ == "crash":
            good = seen[0][0] == type_ and reason in seen[0][2]
            tally.check("R9" if reason == "timed out" else "R4", good, said)
        else:
            tally.check("R5", seen[0][0] == type_, said)

    def check_leftovers(self):
        """R8: after a failure nothing is left. With a runner that was killed nobody can see to that."""
        kinds = {message.number: message.kind for message in self.feed.messages}
        left = set()
        for pid in self.system.own_pids():
            words = load.role_of(pid)
            if words and words[0] == self.system.path(load.LEFT_BEHIND) and words[1].startswith("9"):
                left.add(int(words[1][1:]))
        for number, kind in kinds.items():
            if kind == "forks_and_fails" and number not in self.disturbed:
                self.tally.check("R8", number not in left, f"message {number}: its worker failed, and what it started "
                                                           "is still there")
        self.tally.check("R8", not self.launches("runner"), lambda: f"runners are left: {self.launches('runner')}")

    def check_flat(self):
        for role, samples in self.samples.items():
            third = len(samples) // 3
            if third < 3:
                continue
            first, last = samples[:third], samples[-third:]
            words = []
            for at, name, more, share in ((1, "KiB of memory", 768, 1.1), (2, "descriptors", 6, 1.0), (3, "threads", 2, 1.0)):
                before = statistics.median(sample[at] for sample in first)
                after = statistics.median(sample[at] for sample in last)
                words.append(f"{before:.0f} to {after:.0f} {name}")
                self.tally.check("R13", after <= before * share + more, f"{role}: {name} grew from {before} to {after}")
            print(f"  {role}: {', '.join(words)}")

    def run(self):
        watchers = [threading.Thread(target=watch, daemon=True) for watch in
                    (self.watch_zombies, self.watch_checklist_file, self.send_stale, self.sample)]
        for watcher in watchers:
            watcher.start()
        self.feed.start()
        self.storm()
        # A supervisor that was ended last is awaited; then the load alone.
        with contextlib.suppress(AssertionError):
            self.supervisor.wait_ready()
        self.quiet.set()
        self.over.wait(self.seconds * QUIET_PART)
        answered = self.feed.stop(SETTLE_S)
        with contextlib.suppress(AssertionError):
            harness.wait_until(self.is_told, "all launches are told", SETTLE_S)
        self.tally.check("R6", answered or len(self.sent()) < len(self.feed.messages), "not all messages were answered")
        self.over.set()
        for watcher in watchers:
            watcher.join()
        self.check_messages()
        self.check_launches()
        self.check_leftovers()
        self.check_flat()
        return self.tell()

    def tell(self):
        launches = sum(message.kind is not None for message in self.feed.messages)
        resent = sum(message.tries > 1 for message in self.feed.messages)
        hits = collections.Counter()
        for (role, signo), count in self.signals.items():
            hits[f"{role} {signal.Signals(signo).name}"] += count
        print("  " + ", ".join(f"{name} {count}" for name, count in sorted(hits.items())))
        for words, value in (("kills", self.kills), ("signals", sum(self.signals.values())),
                             ("messages", len(self.sent())), ("messages sent again", resent),
                             ("launches", launches), ("longest wait for an answer, s", f"{self.feed.longest_s:.1f}")):
            report.figure("soak", words, value)
        self.tally.tell()
        # A harness can be vacuous.
        enough = self.kills >= self.kills_wanted and launches >= len(self.feed.messages) / 10 and \
            len(self.sent()) >= self.feed.rate * self.seconds * 0.9
        if not enough:
            print("soak: too little was tried to say anything")
        return enough and self.tally.total() == 0


def main():
    long = os.environ.get("NOWCAST_TEST_LONG") == "1"
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1800 if long else 180)
    parser.add_argument("--kills", type=int, default=2000 if long else 200)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("NOWCAST_TEST_SEED") or time.time()))
    parser.add_argument("--rate", type=float, default=20)
    args = parser.parse_args()
    print(f"soak: {args.seconds:.0f} s, {args.kills} kills, seed {args.seed}", flush=True)
    with harness.System() as system:
        soak = Soak(system, args.seconds, args.kills, args.seed, args.rate)
        try:
            well = soak.run()
            if not well:
                print(system.tail(60))
        finally:
            soak.over.set()
            load.end_those_left_behind(system)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
