"""A system under load, and the ledger outside of it that knows the truth (promises.md, "How each is proved", 6).

The load is messages from the worker `feed`, numbered from 0. Each puts its number into a place of the checklist; some
ask for a launch of a worker of a kind below with that number, whose end then launches `seen`. So each message leaves
marks that can be counted:

    the answer                      written down by the sender
    start KIND N LAUNCH PID         by the worker itself, in the ledger
    seen KIND TYPE N LAUNCH REASON  by what the rules launch after its end

Workers append to the ledger by single writes.
"""
import json
import os
import queue
import re
import signal
import struct
import threading
import time
import uuid

import harness

PLACES = 2000  # of the checklist; so many messages later a place is written again

# What the rules must see when nobody interferes: the type, and a word of the reason.
KINDS = {
    "succeeds": ("success", ""),
    "fails": ("failure", ""),
    "says_nothing": ("success", ""),
    "works": ("success", ""),
    "kills_itself": ("crash", "SIGKILL"),
    "segfaults": ("crash", "SIGSEGV"),
    "hangs": ("crash", "timed out"),
    "ignores_term": ("crash", "timed out"),
    "forks_and_fails": ("failure", ""),
    "forks_and_succeeds": ("success", ""),
    "prints": ("success", ""),
}
LEFT_BEHIND = "left_behind"  # a link to sleep(1): what a worker has left running has this name

WORKER = """\
#!/bin/sh
# worker.sh LEDGER KIND CONFIG ARGUMENTS...
ledger=$1 kind=$2 place=$(dirname "$3")
shift 3
say() { printf '%s\\n' "$*" >>"$ledger"; }
if [ "$kind" = seen ]; then
	say "seen $1 $2 $3 $NOWCAST_LAUNCH ${4-}"
	exit 0
fi
say "start $kind $1 $NOWCAST_LAUNCH $$"
leave_behind() { (setsid "$place/LEFT_BEHIND" "$1" <&- >&- 2>&- & ); }
case $kind in
succeeds) printf '{"type": "success", "payload": {"launch": "%s"}}\\n' "$NOWCAST_LAUNCH" >&3 ;;
fails) exit 1 ;;
says_nothing) exit 0 ;;
works) sleep 2 ;;
kills_itself) kill -KILL $$ ;;
segfaults) kill -SEGV $$ ;;
hangs) exec sleep 1000 ;;
ignores_term) trap '' TERM; while :; do sleep 1; done ;;
forks_and_fails) leave_behind "9$1"; exit 1 ;;
forks_and_succeeds) leave_behind 5 ;;
prints) head -c 5000000 /dev/zero | tr '\\0' x | fold -w 4000 ;;
esac
""".replace("LEFT_BEHIND", LEFT_BEHIND)


class Ledger:
    """Lines of words. Workers write them too."""

    def __init__(self, path):
        self.path = path
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def close(self):
        os.close(self.file)

    def write(self, *words):
        os.write(self.file, (" ".join(str(word) for word in words) + "\n").encode())

    def lines(self, first):
        """The words of each line whose first word is `first`."""
        with open(self.path, encoding="utf-8") as file:
            return [line.split() for line in file if line.startswith(first + " ")]


def registry():
    """The entries of the message registry."""
    ends = {"success": "it is done", "failure": "it is not done", "crash": "it crashed"}
    return {
        "feed": {"checklist key": "feed", "success": "counted", "need": "the places",
                 **{f"success {kind}": f"counted, {kind} is next" for kind in KINDS}},
        **{kind: {"checklist key": kind, **ends} for kind in KINDS},
        "seen": ends,
    }


def rules(after_seen=None):
    """next_workers.yaml. `after_seen`: the rules of `seen`, which should never be needed."""
    return {
        "feed": [{"on": f"success {kind}", "launch": f"{kind} <payload[last]>"} for kind in KINDS],
        **{kind: [{"on": type_, "launch": f"seen {kind} {type_} <launch[arguments][0]> [<launch[reason]>]"}
                  for type_ in ("success", "failure", "crash", "lost")] for kind in KINDS},
        "seen": after_seen or [],
    }


def programs(system, ledger_path):
    """The section `workers`."""
    limits = {"time limit": "2 s", "grace time": "1 s"}
    return {name: {"command": ["/bin/sh", system.path("worker.sh"), ledger_path, name],
                   **(limits if name in ("hangs", "ignores_term") else {"grace time": "1 s"})}
            for name in (*KINDS, "seen")}


def write_worker(system):
    system.write("worker.sh", WORKER, 0o755)
    os.symlink("/bin/sleep", system.path(LEFT_BEHIND))


class Message:
    """One message of the load."""

    def __init__(self, number, kind):
        self.number = number
        self.kind = kind  # of the worker that it asks for; None: it asks for none
        self.id = str(uuid.uuid4())
        self.tries = 0
        self.answer = None
        self.answered_at = None  # what the clock of the sender says then
        type_ = f"success {kind}" if kind else "success"
        self.bytes = json.dumps({
            "source": "feed", "type": type_, "id": self.id,
            "payload": {"last": number, f"place {number % PLACES}": number}}).encode()


def type_of(reply):
    found = re.match(rb"(?s).*?^type: (.*?)$", reply, re.MULTILINE)
    return found[1].decode().strip("'\"") if found else ""


class Connection:
    """To the broker's local door; made anew when it breaks."""

    def __init__(self, path):
        self.path = path
        self.door = None

    def close(self):
        if self.door is not None:
            self.door.close()
            self.door = None

    def ask(self, data, seconds):
        """The bytes of the reply; None: no answer within `seconds`, or nobody is there."""
        try:
            if self.door is None:
                self.door = harness.DoorClient(self.path, seconds)
            self.door.socket.settimeout(seconds)
            self.door.send(data)
            return self.door.receive()
        except (OSError, struct.error):
            self.close()
            return None


class Feed:
    """Sends messages at a rate, each again and again until it is answered.

    choose(number): the kind of worker that a message asks for, or None. clock(): what is kept as `answered_at`.
    """

    SENDERS = 8
    PATIENCE_S = 2

    def __init__(self, path, ledger, choose, rate, clock=time.monotonic, twice=0):
        self.path = path
        self.ledger = ledger
        self.choose = choose
        self.rate = rate
        self.clock = clock
        self.twice = twice  # every so many-th message is sent again after its answer
        self.messages = []
        self.unlike = []  # words of repeated messages whose answer was another one
        self.longest_s = 0.0
        self.waiting = queue.Queue()
        self.over = threading.Event()
        self.given_up = threading.Event()
        self.threads = [threading.Thread(target=self._send, daemon=True) for _ in range(self.SENDERS)]
        self.threads.append(threading.Thread(target=self._make, daemon=True))

    def start(self):
        for thread in self.threads:
            thread.start()

    def _make(self):
        began = time.monotonic()
        while not self.over.is_set():
            number = len(self.messages)
            wait = began + number / self.rate - time.monotonic()
            if wait > 0 and self.over.wait(wait):
                break
            message = Message(number, self.choose(number))
            self.messages.append(message)
            self.waiting.put(message)
        for _ in range(self.SENDERS):
            self.waiting.put(None)

    def _until_answered(self, connection, message):
        while not self.given_up.is_set():
            message.tries += 1
            reply = connection.ask(message.bytes, self.PATIENCE_S)
            if reply is not None and type_of(reply) != "retry later":
                return reply
            self.given_up.wait(0.1)
        return None

    def _send(self):
        connection = Connection(self.path)
        for message in iter(self.waiting.get, None):
            began = time.monotonic()
            self.ledger.write("send", message.number, message.kind, message.id)
            reply = self._until_answered(connection, message)
            if reply is None:
                continue
            message.answered_at = self.clock()
            message.answer = type_of(reply)
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            self.ledger.write("answered", message.number, message.answer, message.tries)
            if self.twice and message.number % self.twice == 0:
                again = self._until_answered(connection, message)
                if again is not None and again != reply:
                    self.unlike.append(f"message {message.number}: first {reply!r}, then {again!r}")
        connection.close()

    def stop(self, seconds):
        """No new ones; wait until all are answered. False: some never were."""
        self.over.set()
        end = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, end - time.monotonic()))
        whole = not any(thread.is_alive() for thread in self.threads)
        self.given_up.set()
        for thread in self.threads:
            thread.join()
        return whole


def expected_places(messages):
    """{place: the number that must be there} after these answered messages."""
    return {f"place {message.number % PLACES}": message.number
            for message in sorted(messages, key=lambda message: message.number)}


def role_of(pid):
    """The words of a command line of ours: ([role], config, arguments...), or None."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = [word.decode(errors="replace") for word in file.read().split(b"\0")[:-1]]
    except OSError:
        return None
    return words


def end_those_left_behind(system):
    for pid in system.own_pids():
        words = role_of(pid)
        if words and words[0] == system.path(LEFT_BEHIND):
            os.kill(pid, signal.SIGKILL)
