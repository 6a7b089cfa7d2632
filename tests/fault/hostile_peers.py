#!/usr/bin/python3
"""Hostile messages at a running system (promises.md, R13): at the local door of the broker, and at its nng address
where the network is allowed. Each gets an error reply within a second, changes nothing, and stops nobody. And many
hostile peers at once (R14, S1): an honest client is answered within a second throughout.

NOWCAST_TEST_BINARY names the program, NOWCAST_TEST_NET_PEER a program that sends one request over nng.
NOWCAST_TEST_LONG=1: 100,000 frames instead of 10,000.
"""
import contextlib
import os
import pathlib
import random
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import load  # noqa: E402
import report  # noqa: E402
import yaml  # noqa: E402

NET_PEER = os.environ["NOWCAST_TEST_NET_PEER"]
ANSWER_S = 1
FRAME_MOST = 4 << 20
ERRORS = {"bad message", "unregistered worker", "unregistered message type", "no such checklist key"}
LONG = os.environ.get("NOWCAST_TEST_LONG") == "1"
NOBODY = 65534
HONEST = {"source": "sleep", "type": "success", "payload": {"honest": True}}


def with_payload(text):
    """A message that is right but for its payload."""
    return f"source: sleep\ntype: success\npayload: {text}\n".encode()


def bomb(levels, width):
    lines = ["source: sleep", "type: success", "payload:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        lines.append(f"  a{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * width) + "]")
    return "\n".join(lines).encode()


HOSTILE = {
    "nothing": b"",
    "a blank": b" ",
    "newlines": b"\n" * 1000,
    "words": b"hello, nowcast",
    "a request of HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "not YAML": b"{source: sleep, type: [",
    "an open quote": b'source: "sleep',
    "a tab for indentation": b"source: sleep\n\ttype: success\n",
    "only punctuation": b"%@`!&*|>-?:,[]{}#'\"\n",
    "a directive": b"%YAML 9.9\n---\nsource: sleep\n",
    "random bytes": bytes((i * 167 + 13) % 256 for i in range(4096)),
    "a pickle": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93.",
    "JSON that is cut": b'{"source": "sleep", "type": "succ',
    "null": b"null",
    "a number": b"42",
    "a list": b"[source, type, payload]",
    "a list of a message": b"- {source: sleep, type: success, payload: null}",
    "an empty mapping": b"{}",
    "two documents": b"source: sleep\ntype: success\n---\nsource: sleep\ntype: success\n",
    "no source": b"{type: success, payload: null}",
    "no type": b"{source: sleep, payload: null}",
    "source is a list": b"{source: [sleep], type: success, payload: null}",
    "source is a mapping": b"{source: {a: b}, type: success}",
    "source is null": b"{source: ~, type: success}",
    "source is a number": b"{source: 12, type: success}",
    "type is a boolean": b"{source: sleep, type: yes}",
    "type is a date": b"{source: sleep, type: 2026-11-24}",
    "type and event are both there": b"{source: sleep, type: success, event: progress}",
    "event of no kind": b"{source: sleep, event: explode, payload: null}",
    "event is a list": b"{source: sleep, event: [started]}",
    "started without a launch": b"{source: sleep, event: started, payload: {arguments: []}}",
    "started with a launch that is a path": b"{source: sleep, event: started, launch: ../../etc/passwd, payload: null}",
    "due without a payload": b"{source: scheduler, event: due, payload: null}",
    "due with lists for words": b"{source: scheduler, event: due, payload: {worker: [sleep], slot: {a: 1}}}",
    "due of a worker with a path": b"{source: scheduler, event: due, payload: {worker: ../../bin/sh, slot: now}}",
    "due with a mapping for arguments": b"{source: scheduler, event: due, payload: "
                                        b"{worker: awaken, arguments: {a: b}, slot: now}}",
    "due with numbers for arguments": b"{source: scheduler, event: due, payload: "
                                      b"{worker: awaken, arguments: [1, ~], slot: now}}",
    "a line for the log in a type": b'{source: sleep, type: "x\\n2026-11-24 04:00:00,000 CRITICAL [manager] lost", '
                                    b"payload: null}",
    "a line for the log in a key": b'{source: asker, type: need, payload: "x\\n2026-11-24 04:00:00,000 CRITICAL [a] b"}',
    "need of a mapping": b"{source: asker, type: need, payload: {a: b}}",
    "id is a list": b"{source: sleep, type: success, payload: null, id: [1]}",
    "report is a text": b"{source: sleep, type: success, payload: null, report: words}",
    "an unregistered worker": b"{source: mallory, type: success, payload: null}",
    "an unregistered type": b"{source: sleep, type: explode, payload: null}",
    "the manager itself": b"{source: manager, type: ack, payload: null}",
    "a key twice": b"{source: sleep, source: awaken, type: success}",
    # What the answers quote of these ends inside a character.
    "a long key in another script twice": '{"x%s": 1, "x%s": 2}'.replace("%s", "\u00e9" * 60).encode(),
    "need of a long key in another script": '{source: asker, type: need, payload: "x%s"}'.replace("%s", "\u00e9" * 60).encode(),
    "a long source in another script": '{source: "x%s", type: success}'.replace("%s", "\u00e9" * 60).encode(),
    "a long type in another script": '{source: sleep, type: "x%s"}'.replace("%s", "\u00e9" * 60).encode(),
    "a name of 100,000 letters": b"{source: " + b"a" * 100000 + b", type: success, payload: null}",
    "escapes for the terminal": b'{source: "\\e[2J\\e]0;owned\\a", type: success, payload: null}',
    "a line for the log in a name": b'{source: "x\\n2026-11-24 04:00:00,000 CRITICAL [manager] all is lost", type: t, payload: 1}',
    "format directives": b'{source: "%s%n%x%s%n", type: "%n%n%n", payload: "%s%n"}',
    "a NUL byte": b"source: sleep\ntype: success\npayload: a\0b\n",
    "only NUL bytes": b"\0" * 4096,
    "an escaped NUL in a name": b'{source: "sleep\\0", type: success}',
    "invalid UTF-8": with_payload("").rstrip() + b" '\xff\xfe\xc0\x80'\n",
    "a surrogate in UTF-8": with_payload("").rstrip() + b" '\xed\xa0\x80'\n",
    "cut UTF-8": with_payload("").rstrip() + b" '\xe2\x82'\n",
    "UTF-16": "source: sleep\ntype: success\n".encode("utf-16"),
    "a Python object": with_payload("!!python/object/apply:os.system ['touch pwned']"),
    "a Python tuple": with_payload("!!python/tuple [1, 2]"),
    "an unknown tag": with_payload("!nowcast/unknown {a: b}"),
    "a tag on the whole": b"!!evil\nsource: sleep\ntype: success\n",
    "an alias of nothing": with_payload("*nowhere"),
    "an alias of itself": with_payload("&a [*a]"),
    "an alias bomb": bomb(9, 10),
    "33 levels": with_payload("[" * 33 + "]" * 33),
    "100,000 levels, closed": with_payload("[" * 100000 + "]" * 100000),
    "100,000 levels, open": with_payload("[" * 100000),
    "mappings in mappings": with_payload("{a: " * 5000 + "1" + "}" * 5000),
    "blocks in blocks": b"- " * 50000,
    "30,000 values": with_payload("[" + "1," * 30000 + "1]"),
    "30,000 keys": with_payload("{" + "".join(f"k{i}: 1," for i in range(30000)) + "}"),
    "a key that is a mapping": with_payload("{? {a: b} : 1}"),
    "a merge key": with_payload("{<<: &m {a: b}}") + b"x: {<<: [*m, *m, 1]}\n",
    "2 MiB of letters": with_payload("'" + "x" * (2 << 20) + "'"),
    "2 MiB of brackets": b"[" * (2 << 20),
    "a date that is none": with_payload("2026-02-30"),
}

def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Hostile(harness.Story):
    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.system.configure(
            workers={"asker": {"checklist key": "asker", "success": "well", "need": "a part of the checklist"}},
            zmq={"host": "localhost", "ports": {"manager": free_port(), "workers": self.port}, "tcp": "allowed"})
        self.system.start_supervisor()
        self.before = {name: self.system.pid_of(name) for name in harness.DAEMONS}

    def ask_by_door(self, data):
        with self.system.door(seconds=10) as door:
            door.send(data)
            return door.receive()

    def ask_by_network(self, data):
        done = subprocess.run([NET_PEER, f"tcp://127.0.0.1:{self.port}", "10000"], input=data,
                              capture_output=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def assert_unharmed(self, ask):
        after = {name: self.system.pid_of(name) for name in harness.DAEMONS}
        self.assertEqual(after, self.before)
        self.assertEqual(yaml.safe_load(ask(yaml.safe_dump(HONEST).encode()))["type"], "ack")
        self.system.wait_for_checklist("sleepyhead", {"honest": True}, ANSWER_S)
        self.assertEqual(self.system.run("awaken").returncode, 0)
        self.assertFalse(os.path.exists(self.system.path("pwned")))

    def check_all(self, ask):
        self.assertGreaterEqual(len(HOSTILE), 50)
        for name, data in HOSTILE.items():
            with self.subTest(name):
                began = time.monotonic()
                reply = yaml.safe_load(ask(data))
                self.assertLess(time.monotonic() - began, ANSWER_S)
                self.assertEqual(set(reply), {"source", "type", "payload"}, reply)
                self.assertIn(reply["type"], ERRORS, reply)
        self.system.assert_checklist({})
        self.assertNotIn("[manager] launching", self.system.log())
        # What was logged of them is lines, and none that they have made themselves.
        log = self.system.log()
        self.assertNotIn("\x1b", log)
        self.assertLess(max(len(line) for line in log.splitlines()), 1000)
        self.assertNotRegex(log, r"(?m)^2026-11-24 04:00:00,000 CRITICAL")

    def test_each_hostile_message_at_the_door_gets_an_error_and_stops_nobody(self):
        self.check_all(self.ask_by_door)
        self.assert_unharmed(self.ask_by_door)

    def test_each_hostile_message_over_the_network_gets_an_error_and_stops_nobody(self):
        self.check_all(self.ask_by_network)
        self.assert_unharmed(self.ask_by_network)

    def test_many_on_one_connection_are_answered_in_turn(self):
        with self.system.door(seconds=10) as door:
            for name, data in HOSTILE.items():
                with self.subTest(name):
                    door.send(data)
                    self.assertIn("type", yaml.safe_load(door.receive()))
            self.assertIn(door.ask(HONEST)["type"], {"ack"})

    def test_above_4_MiB_the_connection_is_closed_and_the_others_are_served(self):
        for size in (FRAME_MOST + 1, 1 << 31, (1 << 32) - 1):
            with self.subTest(size), self.system.door(seconds=10) as door:
                began = time.monotonic()
                try:
                    door.socket.sendall(struct.pack("!I", size) + b"x" * 4096)
                    with self.assertRaises(ConnectionError):
                        while True:
                            door.receive()
                except ConnectionError:
                    pass  # closed while it was sent
                self.assertLess(time.monotonic() - began, ANSWER_S)
        done = subprocess.run([NET_PEER, f"tcp://127.0.0.1:{self.port}", "1000"], input=b"x" * (FRAME_MOST + 1),
                              capture_output=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assert_unharmed(self.ask_by_door)

    def test_a_frame_that_never_comes_whole_holds_up_nobody(self):
        with self.system.door() as idle, self.system.door() as half, self.system.door() as cut:
            half.socket.sendall(struct.pack("!I", 1000) + b"source: ")
            cut.socket.sendall(b"\0")
            began = time.monotonic()
            self.assertEqual(self.system.ask(HONEST)["type"], "ack")
            self.assertLess(time.monotonic() - began, ANSWER_S)
            self.assertEqual(idle.ask(HONEST)["type"], "ack")
        self.assert_unharmed(self.ask_by_door)

    def test_peers_that_leave_before_the_answer_harm_nobody(self):
        for _ in range(100):
            with self.system.door() as door:
                door.send(yaml.safe_dump(HONEST).encode())
        self.assert_unharmed(self.ask_by_door)

    def test_bytes_that_are_not_nng_at_the_port_harm_nobody(self):
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"\0SP\0\0\x30\0\0" + b"\xff" * 64):
            with socket.create_connection(("127.0.0.1", self.port), 10) as peer:
                peer.sendall(data)
        self.assert_unharmed(self.ask_by_network)

    def test_peers_at_the_port_that_reset_the_connection_at_once_harm_nobody(self):
        reset = struct.pack("ii", 1, 0)
        for _ in range(1000):
            with socket.socket() as peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                peer.connect(("127.0.0.1", self.port))
                peer.shutdown(socket.SHUT_WR)
        self.assert_unharmed(self.ask_by_network)


class HonestClient:
    """Asks on and on; how long the answers took is in `took_s`, and what was no answer in `wrong`."""

    def __init__(self, path):
        self.path = path
        self.took_s = []
        self.wrong = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _ask(self):
        connection = load.Connection(self.path)
        while not self.over.wait(0.02):
            message = yaml.safe_dump({**HONEST, "id": str(uuid.uuid4())}).encode()
            began = time.monotonic()
            reply = connection.ask(message, 10)
            # As runners do: one that finds the queue at the door full, or is sent away, comes again.
            while reply is None and not self.over.wait(0.02) and time.monotonic() - began < ANSWER_S:
                reply = connection.ask(message, 10)
            self.took_s.append(time.monotonic() - began)
            if reply is None or load.type_of(reply) != "ack":
                self.wrong.append(reply)
            if len(self.took_s) % 10 == 0:
                connection.close()  # one that comes anew must get in as well
        connection.close()


def spoil(chance, data):
    """Some bytes of a message changed, taken away, or put where they do not belong."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(data))
        how = chance.randrange(5)
        if how == 0 and data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        elif how == 1:
            del data[at:at + chance.randint(1, 16)]
        elif how == 2:
            data[at:at] = chance.choice((b"[", b"{", b": ", b"&a ", b"*a", b"\n- ", b"'", b'"', b"!!", b"\0", b"\xff", b"#"))
        elif how == 3:
            data[at:at] = data[at:at + chance.randint(1, 64)] * chance.randint(1, 8)
        else:
            data[at:at] = chance.randbytes(chance.randint(1, 16))
    return bytes(data)


class ManyAtOnce(harness.Story):
    """Each test is hostile in its own way while an honest client asks."""

    def setUp(self):
        super().setUp()
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.port = free_port()
        self.system.configure(
            zmq={"host": "localhost", "ports": {"manager": free_port(), "workers": self.port}, "tcp": "allowed"})
        self.system.start_supervisor()
        self.before = {name: self.system.pid_of(name) for name in harness.DAEMONS}
        self.path = self.system.path("state/broker.sock")
        self.others = contextlib.ExitStack()
        self.addCleanup(self.others.close)

    @contextlib.contextmanager
    def honest(self):
        with HonestClient(self.path) as client:
            yield
            harness.wait_until(lambda: len(client.took_s) >= 20, "the honest client is answered")
        late = [took for took in client.took_s if took > ANSWER_S]
        report.promise("R14", len(client.took_s), len(late) + len(client.wrong))
        self.assertEqual(client.wrong, [])
        self.assertLess(max(client.took_s), ANSWER_S)
        self.assertEqual({name: self.system.pid_of(name) for name in harness.DAEMONS}, self.before)

    def open_many(self, count):
        return [self.others.enter_context(self.system.door()) for _ in range(count)]

    def frames(self, seed, count, problems):
        """Send so many spoilt messages over one connection after the other; each must be answered."""
        chance = random.Random(seed)
        good = [yaml.safe_dump(HONEST).encode(), *(data for data in HOSTILE.values() if len(data) < 2000)]
        connection = load.Connection(self.path)
        for number in range(count):
            data = spoil(chance, chance.choice(good))
            began = time.monotonic()
            reply = connection.ask(data, 10)
            took = time.monotonic() - began
            if reply is None or took > ANSWER_S or load.type_of(reply) not in {*ERRORS, "ack"}:
                problems.append(f"seed {seed}, frame {number}, after {took:.2f} s: {data!r} got {reply!r}")
            if chance.random() < 0.01:
                connection.close()
        connection.close()

    def test_thousands_of_spoilt_messages(self):
        count, peers, problems = 100000 if LONG else 10000, 4, []
        seed = int(os.environ.get("NOWCAST_TEST_SEED") or time.time())
        with self.honest():
            threads = [threading.Thread(target=self.frames, args=(seed + number, count // peers, problems))
                       for number in range(peers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        report.promise("R13", count, len(problems))
        self.assertEqual(problems[:5], [])

    def test_a_flood_from_peers_that_never_read(self):
        frame = yaml.safe_dump(HONEST).encode()
        flood = (struct.pack("!I", len(frame)) + frame) * 1000
        with self.honest():
            doors = self.open_many(50)
            for door in doors:
                door.socket.setblocking(False)
            end = time.monotonic() + 3
            while time.monotonic() < end:
                for door in doors:
                    with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                        door.socket.send(flood)
                time.sleep(0.001)

    def test_a_flood_of_connections(self):
        with self.honest():
            end = time.monotonic() + 3
            while time.monotonic() < end:
                with contextlib.suppress(BlockingIOError), self.system.door() as door:
                    door.socket.sendall(b"\0\0")

    def test_a_thousand_idle_connections(self):
        with self.honest():
            for _ in range(1000):
                with contextlib.suppress(BlockingIOError):
                    self.open_many(1)

    def test_idle_connections_at_the_port(self):
        with self.honest():
            for _ in range(200):
                self.others.enter_context(socket.create_connection(("127.0.0.1", self.port), 10))

    def test_slow_senders(self):
        frame = yaml.safe_dump(HONEST).encode()
        frame = struct.pack("!I", len(frame)) + frame
        with self.honest():
            doors = self.open_many(300)
            for byte in frame[:30]:
                for door in doors:
                    door.socket.sendall(bytes([byte]))
                time.sleep(0.05)

    def test_oversized_messages(self):
        for size, closes in (((1 << 20) + 1, False), (FRAME_MOST, False), (FRAME_MOST + 1, True)):
            with self.subTest(size), self.honest():
                for _ in range(10):
                    with self.system.door(seconds=10) as door:
                        try:
                            door.send(b"x" * size)
                            reply = load.type_of(door.receive())
                        except ConnectionError:
                            reply = None
                        self.assertEqual(reply, None if closes else "bad message")

    @unittest.skipIf(os.geteuid() != 0, "only root can become another user")
    def test_s1_another_user_is_refused(self):
        doors = [name for name in os.listdir(self.system.path("state")) if name.endswith((".sock", ".ipc"))]
        self.assertIn("broker.sock", doors)
        program = ("import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.settimeout(10)\n"
                   "try:\n    s.connect(sys.argv[1])\n    s.sendall(b'\\0\\0\\0\\2{}')\n    got = s.recv(100)\n"
                   "except OSError as error:\n    got = b''\n"
                   "sys.exit(1 if got else 0)")
        refused = 0
        with self.honest():
            for name in doors:
                path = self.system.path(f"state/{name}")
                # By its path; and when somebody has opened the directories and the socket to all.
                for mode in (None, 0o777):
                    if mode is not None:
                        for place in (self.system.directory, self.system.path("state"), path):
                            os.chmod(place, mode)
                    done = subprocess.run(["/usr/bin/python3", "-c", program, path], user=NOBODY, group=NOBODY,
                                          extra_groups=[], capture_output=True, text=True, timeout=30, check=False)
                    if name.endswith(".sock"):
                        self.assertEqual(done.returncode, 0, f"{name}, {mode}: {done.stderr}")
                        refused += 1
                os.chmod(path, 0o600)
                os.chmod(self.system.path("state"), 0o700)
        report.promise("S1", refused, 0)


if __name__ == "__main__":
    unittest.main()
