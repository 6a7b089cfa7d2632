#!/usr/bin/python3
"""Mail of log lines: logging.handlers.SMTPHandler, the spool, and send_mail, against a mail host of the test's.

The environment names the programs: NOWCAST_TEST_BINARY, NOWCAST_TEST_LOG_DEMO (tests/tools/log_demo.c).
"""
import base64
import email
import email.policy
import json
import os
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import unittest

NOWCAST = os.environ["NOWCAST_TEST_BINARY"]
LOG_DEMO = os.environ["NOWCAST_TEST_LOG_DEMO"]
DEADLINE_S = 30


class MailHost(socketserver.ThreadingTCPServer):
    """Takes mail: {from, to, text, login} each. The first `refuse` ones are told to come later."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, refuse=0):
        super().__init__(("127.0.0.1", 0), Conversation)
        self.mails = []
        self.refuse = refuse
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def port(self):
        return self.server_address[1]

    def close(self):
        self.shutdown()
        self.server_close()
        self.thread.join()


class Conversation(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def data(self):
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    def handle(self):
        mail = {"to": [], "login": None}
        self.say("220 test")
        while line := self.rfile.readline().decode().strip():
            word = line.split(" ")[0].upper()
            if word == "EHLO":
                self.say("250-test\r\n250 AUTH PLAIN")
            elif word == "AUTH":
                secret = line.split(" ")[2] if len(line.split(" ")) > 2 else None
                if secret is None:
                    self.say("334 ")
                    secret = self.rfile.readline().decode().strip()
                mail["login"] = base64.b64decode(secret).split(b"\0")[1:]
                self.say("235 welcome")
            elif word == "MAIL":
                mail["from"] = line.split("<")[1].split(">")[0]
                self.say("250 ok")
            elif word == "RCPT":
                mail["to"].append(line.split("<")[1].split(">")[0])
                self.say("250 ok")
            elif word == "DATA" and self.server.refuse > 0:
                self.server.refuse -= 1
                self.say("451 come again later")
            elif word == "DATA":
                mail["text"] = self.data()
                self.server.mails.append(mail)
                self.say("250 taken")
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok" if word in ("RSET", "NOOP", "HELO") else "502 no such command")


PYTHON_SIDE = r"""
import json, logging, logging.config, sys, yaml
with open("nowcast.yaml") as file:
    section = yaml.safe_load(file)["logging"]
section.setdefault("disable_existing_loggers", False)
logging.config.dictConfig(section)
for line in sys.stdin:
    name, level, message = json.loads(line)
    logging.getLogger(name).log(level, "%s", message)
"""


def wait_for(condition, what):
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not seen within {DEADLINE_S} s: {what}")


def seen(mail):
    """What a reader of the mail sees, and what the host was told."""
    parsed = email.message_from_bytes(mail["text"], policy=email.policy.default)
    return {
        "from": mail["from"], "to": mail["to"], "login": mail["login"], "From": str(parsed["From"]),
        "To": [address.addr_spec for address in parsed["To"].addresses], "Subject": str(parsed["Subject"]),
        "date": parsed["Date"] is not None, "text": parsed.get_content().rstrip("\r\n"),
        "type": parsed.get_content_type(),
    }


class Mail(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="nowcast-mail-")
        self.addCleanup(temporary.cleanup)
        self.directory = temporary.name
        os.mkdir(self.path("state"), 0o700)

    def path(self, name):
        return os.path.join(self.directory, name)

    def host(self, refuse=0):
        host = MailHost(refuse)
        self.addCleanup(host.close)
        return host

    def configure(self, port, **more):
        config = {
            "checklist file": "checklist.yaml",
            "state directory": "state",
            "logging": {
                "version": 1,
                "formatters": {"simple": {"format": "%(levelname)s [%(name)s] %(message)s"}},
                "handlers": {
                    "file": {"class": "logging.FileHandler", "filename": "log", "formatter": "simple"},
                    "email": {
                        "class": "logging.handlers.SMTPHandler", "level": "CRITICAL", "formatter": "simple",
                        "subject": "CRITICAL Message from the System", "mailhost": ["127.0.0.1", port],
                        "fromaddr": "nowcast@example.org", "toaddrs": ["one@example.org", "two@example.org"],
                        **more,
                    },
                },
                "root": {"level": "DEBUG", "handlers": ["file", "email"]},
            },
            "message registry": {"manager": {"ack": "ok"}, "workers": {"sleep": {"success": "slept"}}},
        }
        with open(self.path("nowcast.yaml"), "w", encoding="utf-8") as file:
            json.dump(config, file, ensure_ascii=False)

    def log(self, *calls, environment=None):
        started = time.monotonic()
        done = subprocess.run(
            [LOG_DEMO, "nowcast.yaml", "worker", "normal"], cwd=self.directory, text=True, capture_output=True,
            env={**os.environ, **(environment or {})}, timeout=DEADLINE_S, check=False,
            input="".join(json.dumps(call) + "\n" for call in calls))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return time.monotonic() - started

    def send(self, *options, status=0):
        done = subprocess.run([NOWCAST, "send_mail", "nowcast.yaml", *options], cwd=self.directory, text=True,
                              capture_output=True, timeout=DEADLINE_S, check=False)
        self.assertEqual(done.returncode, status, done.stderr)

    def waiting(self):
        try:
            return [name for name in os.listdir(self.path("state/mail")) if name.endswith(".mail")]
        except FileNotFoundError:
            return []

    def lines(self):
        try:
            with open(self.path("log"), encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def test_the_same_mails_as_python_sends(self):
        calls = [["manager", 50, "it is over"], ["manager", 40, "not mailed"],
                 ["worker", 50, "caf\u00e9 \u6f6e \U0001f30a " + "long " * 300], ["worker", 50, ".dot in front"],
                 ["worker", 60, "above all"], ["worker", 50, "from the start"]]
        cases = [
            {},
            {"subject": "Gr\u00fc\u00dfe \u6f6e " + "und noch viel mehr davon " * 5},
            {"toaddrs": "alone@example.org"},
            {"formatter": None},
            {"credentials": ["operator", "pass word"]},
        ]
        for case in cases:
            theirs, ours = self.host(), self.host()
            with self.subTest(case):
                self.configure(theirs.port, **case)
                subprocess.run([sys.executable, "-c", PYTHON_SIDE], cwd=self.directory, check=True, text=True,
                               timeout=DEADLINE_S, input="".join(json.dumps(call) + "\n" for call in calls))
                self.configure(ours.port, **case)
                self.log(*calls)
                self.assertEqual(len(self.waiting()), 5)
                self.send()
                self.assertEqual(len(theirs.mails), 5)
                self.assertEqual([seen(mail) for mail in ours.mails], [seen(mail) for mail in theirs.mails])
                self.assertEqual(self.waiting(), [])

    def test_a_host_that_is_away_stalls_nobody_and_the_mail_waits(self):
        self.configure(1)
        seconds = self.log(*[["worker", 50, f"mail {number}"] for number in range(20)])
        self.assertLess(seconds, 3)
        self.send("--once", status=1)
        self.assertEqual(len(self.waiting()), 20)
        self.assertRegex(self.lines()[-1], r"WARNING \[send_mail\] 20 mails could not be sent, .*127\.0\.0\.1")
        host = self.host()
        self.configure(host.port)
        self.send("--once")
        self.assertEqual([seen(mail)["text"] for mail in host.mails],
                         [f"CRITICAL [worker] mail {number}" for number in range(20)])

    def test_a_daemon_has_it_sent_and_sent_again(self):
        host = self.host(refuse=1)
        self.configure(host.port)
        self.log(["worker", 50, "left by an earlier run"])
        daemon = subprocess.Popen([NOWCAST, "message_broker", "nowcast.yaml"], cwd=self.directory,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: any("could not be sent" in line for line in self.lines()), "the first try")
            self.log(["worker", 50, "while it waits"])
            wait_for(lambda: len(host.mails) == 2, "both mails")
            wait_for(lambda: not self.waiting(), "an empty spool")
            self.log(["worker", 50, "and one more"])
            wait_for(lambda: len(host.mails) == 3, "the third mail")
        finally:
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(timeout=DEADLINE_S), 0)
        self.assertEqual({seen(mail)["text"].split("] ")[1] for mail in host.mails},
                         {"left by an earlier run", "while it waits", "and one more"})

    def test_a_line_of_another_process_is_mailed_by_the_aggregator_once(self):
        host = self.host()
        self.configure(host.port)
        with open(self.path("nowcast.yaml"), encoding="utf-8") as file:
            config = json.load(file)
        config["logging"] = {
            "aggregator": config["logging"],
            "publisher": {"version": 1, "handlers": {"pub": {"class": "zmq.log.handlers.PUBHandler"}},
                          "root": {"level": "DEBUG", "handlers": ["pub"]}},
        }
        with open(self.path("nowcast.yaml"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        daemon = subprocess.Popen([NOWCAST, "log_aggregator", "nowcast.yaml"], cwd=self.directory,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.log(["worker", 40, "an error"], ["worker", 50, "from afar"])
            wait_for(lambda: host.mails, "the mail")
            wait_for(lambda: any("mail sent" in line for line in self.lines()), "the sender's line in the log")
        finally:
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(timeout=DEADLINE_S), 0)
        self.assertEqual([seen(mail)["text"] for mail in host.mails], ["CRITICAL [worker] from afar"])

    def test_the_sender_s_own_lines_are_not_mailed(self):
        self.configure(1, level="DEBUG")
        self.log(["worker", 10, "one"])
        for _ in range(3):
            self.send("--once", status=1)
        self.assertEqual(len(self.waiting()), 1)

    def test_a_password_stands_neither_in_the_spool_nor_in_the_log(self):
        host = self.host()
        self.configure(host.port, credentials=["operator", "pass word"])
        self.log(["worker", 50, "the password is pass word, the token t0ken-of-somebody"],
                 environment={"ONC_USER_TOKEN": "t0ken-of-somebody"})
        for name in self.waiting():
            with open(self.path("state/mail/" + name), encoding="utf-8") as file:
                self.assertNotIn("pass word", file.read())
            self.assertEqual(os.stat(self.path("state/mail/" + name)).st_mode & 0o077, 0)
        self.send("--once")
        self.assertEqual(host.mails[0]["login"], [b"operator", b"pass word"])
        self.assertEqual(seen(host.mails[0])["text"], "CRITICAL [worker] the password is ***, the token ***")
        self.assertEqual(self.lines()[0], "CRITICAL [worker] the password is ***, the token ***")

    def test_without_the_encryption_that_was_asked_for_nothing_is_sent(self):
        host = self.host()
        self.configure(host.port, credentials=["operator", "pass word"], secure=[])
        self.log(["worker", 50, "for nobody else"])
        self.send("--once", status=1)
        self.assertEqual((host.mails, len(self.waiting())), ([], 1))
        self.assertRegex(self.lines()[-1], "1 mail could not be sent, .*(STARTTLS|TLS|SSL)")

    def test_what_is_too_much_or_no_mail_is_given_up_with_a_word(self):
        host = self.host()
        self.configure(host.port)
        os.mkdir(self.path("state/mail"), 0o700)
        for number in range(1000):
            name = f"{number:016x}-0190a6a0-0000-7000-8000-{number:012x}.mail"
            with open(self.path("state/mail/" + name), "w", encoding="utf-8") as file:
                file.write("{" if number < 2 else '{"handler": "email", "from": "a@b", "to": ["c@d"], "text": "x", '
                           '"subject": "s", "time": 1}')
        self.log(["worker", 50, "too much"])
        self.assertEqual(len(self.waiting()), 1000)
        self.send("--once")
        self.assertEqual(len(host.mails), 998)
        self.assertEqual(sum("ERROR [send_mail] a mail is given up: this is not JSON" in line for line in self.lines()), 2)

    def test_a_mail_of_the_day_before_is_given_up_and_its_text_logged(self):
        self.configure(1)
        self.log(["worker", 50, "old news"])
        name = self.path("state/mail/" + self.waiting()[0])
        with open(name, encoding="utf-8") as file:
            mail = json.load(file)
        mail["time"] -= 25 * 3600 * 10**9
        with open(name, "w", encoding="utf-8") as file:
            json.dump(mail, file)
        self.send("--once")
        self.assertEqual(self.waiting(), [])
        self.assertRegex(self.lines()[-1], r"a mail is given up: .*; it said: CRITICAL \[worker\] old news")


if __name__ == "__main__":
    unittest.main(verbosity=2)
