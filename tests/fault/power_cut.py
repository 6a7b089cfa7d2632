#!/usr/bin/python3
"""What is left when the power fails at a random moment (promises.md, "How each is proved": R1, R3, R12, R22).

usage: power_cut.py [--cuts N] [--seed N] [--seconds N] [--jobs N]

A system works on a disk that writes down each write and each flush (recording_disk.py). Afterwards the disk is made
anew as a power cut at some point would have left it: with all that was flushed by then, and of what was written since
then with nothing, some or all, the last of it maybe torn. A manager is started on that, on a machine that has been
started again (another boot id), and what was answered before the cut must be there. Several cuts are looked at side by side,
each time at the same path as before: in namespaces of their own.

Exit status 77: there are no loop mounts here; said on standard output. Needs root.
NOWCAST_TEST_BINARY names the program; NOWCAST_TEST_LONG=1 makes it 2,000 cuts.
"""
import argparse
import collections
import contextlib
import ctypes
import mmap
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import load  # noqa: E402
import recording_disk  # noqa: E402
import report  # noqa: E402
import yaml  # noqa: E402

DISK_BYTES = 48 << 20
SECTOR = 512
RATE = 60
RECOVERY_S = 20
ASKED_AGAIN = 10  # of the answered messages, after each cut
MOST_VIOLATIONS = 20
PROGRESS_S = 60
CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000
KINDS = ("succeeds", "fails", "works", "kills_itself")

# Instead of the program: the same on a machine that was started again.
BOOT = """\
#!/bin/sh
exec unshare --mount --propagation private sh -c '
	mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"' boot "{boot_id}" "{program}" "$@"
"""


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


device_lock = contextlib.nullcontext()  # two that look for a free loop device at once find the same


class Mounted:
    """A file with a file system, mounted by a loop device."""

    def __init__(self, image, place):
        self.place = place
        with device_lock:
            self.device = run("losetup", "--find", "--show", image)
        try:
            run("mount", "-o", "commit=1", self.device, place)
        except subprocess.CalledProcessError:
            run("losetup", "--detach", self.device)
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        harness.wait_until(self.unmounted, f"nobody uses {self.place}", 20)
        run("losetup", "--detach", self.device)

    def unmounted(self):
        return subprocess.run(["umount", self.place], capture_output=True, check=False).returncode == 0


def why_not():
    """Why there can be no power cuts here; None: there can."""
    if os.geteuid() != 0:
        return "this is not root"
    with tempfile.TemporaryDirectory(prefix="nowcast-cut-") as place:
        image = os.path.join(place, "image")
        os.mkdir(os.path.join(place, "mnt"))
        try:
            make_file_system(image)
            with Mounted(image, os.path.join(place, "mnt")):
                pass
            os.close(os.open("/dev/fuse", os.O_RDWR))
            run("unshare", "--mount", "true")
        except (OSError, subprocess.SubprocessError) as error:
            return f"no loop mounts: {error} {getattr(error, 'stderr', None) or ''}".strip()
    return None


def make_file_system(image):
    with open(image, "wb") as file:
        file.truncate(DISK_BYTES)
    run("mkfs.ext4", "-q", "-F", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", image)


class Recording:
    """A system that works on a recording disk: `messages`, and when what was seen in the ledger."""

    def __init__(self, place, seconds, seed):
        self.place = place
        self.seconds = seconds
        self.chance = random.Random(seed)
        self.mount_place = os.path.join(place, "mnt")
        self.image, self.record = os.path.join(place, "image"), os.path.join(place, "record")
        self.ledger = load.Ledger(os.path.join(place, "ledger"))
        self.seen = {}     # number: how many records there were at the latest when its end was told
        self.messages = []
        self.first = 0     # so many records before the first message
        self.directory = None
        os.mkdir(self.mount_place)

    def count(self):
        return struct.unpack("<Q", self.counter[:])[0]

    def watch_seen(self, over):
        """What is in the ledger now was not there at the look before: that is the count that is surely early enough."""
        before, offset, last = self.count(), 0, False
        while not last:
            last = over.is_set()
            now = self.count()
            with open(self.ledger.path, encoding="utf-8") as file:
                file.seek(offset)
                text = file.read()
            text = text[:text.rfind("\n") + 1]
            offset += len(text.encode())
            for words in (line.split() for line in text.splitlines()):
                if words[0] == "seen":
                    self.seen.setdefault(int(words[3]), before)
            before = now
            over.wait(0.02)

    def work(self):
        """The load; meanwhile the manager is killed now and then."""
        self.directory = os.path.join(self.mount_place, "system")
        os.mkdir(self.directory, 0o700)
        system = harness.System(self.directory)
        system.configure(workers=load.registry(), programs=load.programs(system, self.ledger.path),
                         rules=load.rules(after_seen=[{"on": ["lost", "crash"], "launch":
                             "seen <launch[arguments][0]> <launch[arguments][1]> <launch[arguments][2]>"}]))
        load.write_worker(system)
        over = threading.Event()
        watcher = threading.Thread(target=self.watch_seen, args=(over,), daemon=True)
        try:
            daemons = system.start_all("message_broker", "manager")
            feed = load.Feed(system.path("state/broker.sock"), self.ledger,
                             lambda _: self.chance.choice(KINDS) if self.chance.random() < 0.08 else None, RATE,
                             clock=self.count)
            watcher.start()
            run("sync", "--file-system", self.mount_place)  # what the test itself has written
            self.first = self.count()
            feed.start()
            end = time.monotonic() + self.seconds
            while time.monotonic() < end:
                over.wait(self.chance.uniform(1, 4))
                daemons["manager"].send_signal(signal.SIGKILL)
                daemons["manager"].wait()
                daemons["manager"] = system.start("manager")
            if not feed.stop(60):
                raise AssertionError(f"not all messages were answered\n{system.tail()}")
            self.messages = feed.messages
        finally:
            system.close()
            over.set()
            if watcher.ident is not None:
                watcher.join()

    def run(self):
        make_file_system(self.image)
        disk_place, count_place = os.path.join(self.place, "disk"), os.path.join(self.place, "count")
        pathlib.Path(disk_place).touch()
        disk = subprocess.Popen([sys.executable, "-B", recording_disk.__file__, self.image, self.record, count_place,
                                 disk_place], stdout=subprocess.PIPE, text=True)
        try:
            if disk.stdout.readline() != "ready\n":
                raise AssertionError("the recording disk does not work")
            with open(count_place, "r+b") as file:
                self.counter = mmap.mmap(file.fileno(), 8)
            with Mounted(disk_place, self.mount_place):
                self.work()
        finally:
            subprocess.run(["umount", disk_place], check=False, capture_output=True)
            disk.stdout.close()
            disk.wait(30)


def answered_of(recording):
    return [message for message in recording.messages if message.answer == "ack"]


def choose_points(recording, chance, count):
    """Half of them right after an answer, where it shows at once what was not flushed."""
    last = sum(1 for _ in recording_disk.records(recording.record))
    answered = answered_of(recording)
    points = [chance.choice(answered).answered_at for _ in range(count // 2)]
    points += [chance.randint(recording.first, last) for _ in range(count - len(points))]
    return sorted(points)


class Cuts:
    """Some of the cuts, in a process of their own (in_own_namespaces())."""

    def __init__(self, recording, seed):
        self.recording = recording
        self.chance = random.Random(seed)
        self.tally = report.Tally()
        self.image = os.path.join(recording.place, "cut")
        self.system_place = recording.directory
        self.boots = 0
        self.answered = answered_of(recording)
        self.flushed = bytearray(open(recording.image, "rb").read())
        # Opened here: soon there is another directory in the place of this one.
        self.record = os.open(recording.record, os.O_RDONLY)

    # --- the disk ---

    def keep(self, written):
        """What of the writes since the last flush has reached the disk."""
        how = self.chance.choice(("nothing", "some", "some", "all", "torn"))
        if how == "nothing":
            return how, []
        if how == "all":
            return how, written
        kept = [write for write in written if self.chance.random() < 0.5]
        if how == "torn" and kept:
            where, data = kept[-1]
            kept[-1] = where, data[:SECTOR * self.chance.randint(0, len(data) // SECTOR)]
        return how, kept

    def cut_all(self, points, says_how_far):
        said_at = time.monotonic()
        flushed = self.flushed
        written = []  # since then
        records = recording_disk.records(f"/proc/self/fd/{self.record}")
        done = 0
        for point in points:
            while done < point:
                kind, where, data = next(records)
                done += 1
                if kind == "W":
                    written.append((where, data))
                    continue
                for at, old in written:
                    flushed[at:at + len(old)] = old
                written = []
            how, kept = self.keep(written)
            image = bytearray(flushed)
            for where, data in kept:
                image[where:where + len(data)] = data
            with open(self.image, "wb") as file:
                file.write(image)
            self.look(point, how)
            if says_how_far and time.monotonic() > said_at + PROGRESS_S:
                said_at = time.monotonic()
                print(f"power_cut: {100 * self.boots // len(points)} %", flush=True)
            if self.tally.total() > MOST_VIOLATIONS:
                print(f"power_cut: {MOST_VIOLATIONS} violations, no more cuts are made")
                return

    # --- what is there ---

    def look(self, point, how):
        words = f"cut at {point}, of what was not flushed {how}"
        with Mounted(self.image, self.recording.mount_place), harness.System(self.system_place) as system:
            self.look_at_file(system, words)
            self.look_at_state(system, point, words)
        # Of this one cut: what was there before it is not in this directory.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.recording.ledger.path)

    def look_at_file(self, system, words):
        text = system.read("nowcast_checklist.yaml")
        try:
            whole = text == "" or isinstance(yaml.load(text, yaml.CSafeLoader), dict)
        except yaml.YAMLError:
            whole = False
        there = os.path.exists(system.path("nowcast_checklist.yaml"))
        self.tally.check("R12", whole and (text != "" or not there), f"{words}: the checklist file is {text[:200]!r}")

    def program(self):
        """Another boot for each cut."""
        self.boots += 1
        boot_id = os.path.join(self.recording.place, "boot_id")
        with open(boot_id, "w", encoding="ascii") as file:
            file.write(f"00000000-0000-4000-8000-{self.boots:012x}\n")
        program = os.path.join(self.recording.place, "boot.sh")
        with open(program, "w", encoding="utf-8") as file:
            file.write(BOOT.format(boot_id=boot_id, program=harness.NOWCAST))
        os.chmod(program, 0o755)
        return program

    def look_at_state(self, system, point, words):
        program = self.program()
        try:
            system.start("message_broker", program=program)
            system.start("manager", program=program)
            harness.wait_until(lambda: "the manager is connected" in system.log(), "the manager is connected")
        except AssertionError as error:
            self.tally.check("R22", False, f"{words}: {error}")
            return
        self.tally.count("R22")
        before = [message for message in self.answered if message.answered_at <= point]
        with system.door() as door:
            reply = door.ask({"source": "feed", "type": "need", "payload": "feed"})
            there = reply["payload"] if isinstance(reply["payload"], dict) else {}
            for place, number in load.expected_places(before).items():
                self.tally.check("R1", there.get(place, -1) >= number,
                                 lambda place=place, number=number: f"{words}: {place} has {there.get(place)}, and "
                                                                    f"{number} was answered")
            for message in self.chance.sample(before, min(ASKED_AGAIN, len(before))):
                door.send(message.bytes)
                answer = load.type_of(door.receive())
                self.tally.check("R2", answer == "ack", f"{words}: message {message.number} again got {answer}")
        self.look_at_launches([message for message in before if message.kind], point, words)

    def look_at_launches(self, before, point, words):
        """The ledger has only lines of after the cut."""
        told_before = {number for number, count in self.recording.seen.items() if count <= point}
        wanted = {message.number for message in before} - told_before
        ledger = self.recording.ledger

        def lines(first):
            return ledger.lines(first) if os.path.exists(ledger.path) else []

        def missing():
            return wanted - {int(line[3]) for line in lines("seen")}
        with contextlib.suppress(AssertionError):
            harness.wait_until(lambda: not missing(), "the launches of before are told", RECOVERY_S)
        gone = missing()
        for number in wanted:
            self.tally.check("R3", number not in gone, f"{words}: message {number} was answered, and of its launch "
                                                       "nothing was heard any more")
        again = collections.Counter(int(line[2]) for line in lines("start"))
        self.tally.check("R3", not again, f"{words}: launches of before the cut were started after it: {dict(again)}")


def unshare(what):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(what) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def in_own_namespaces(place, work):
    """Call work() in a child that has another directory at `place`, and sees no other processes: its exit status."""
    own = tempfile.mkdtemp(prefix="nowcast-cut-")
    os.mkdir(os.path.join(own, "mnt"))
    unshare(CLONE_NEWNS)
    run("mount", "--make-rprivate", "/")
    run("mount", "--bind", own, place)
    unshare(CLONE_NEWPID)
    first = os.fork()
    if first == 0:
        # The first process of the namespace has to take what others leave, and all end with it.
        run("mount", "-t", "proc", "proc", "/proc")
        worker = os.fork()
        if worker == 0:
            os._exit(work())
        pid, status = os.wait()
        while pid != worker:
            pid, status = os.wait()
        os._exit(os.waitstatus_to_exitcode(status))
    status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    shutil.rmtree(own)
    return status


def cut_some(recording, seed, points, says_how_far, lock, ret_result):
    """One of several processes: what it has found goes to the pipe."""
    global device_lock
    device_lock = lock
    cuts = Cuts(recording, seed)
    _, receiver = ret_result

    def work():
        try:
            cuts.cut_all(points, says_how_far)
        except Exception as error:  # the others go on, and the whole fails
            print(f"power_cut: {type(error).__name__}: {error}", flush=True)
            return 1
        receiver.send((cuts.boots, cuts.tally.cases, cuts.tally.violations))
        return 0
    sys.exit(in_own_namespaces(recording.place, work))


def cut_side_by_side(recording, seed, points, jobs, tally):
    """How many cuts came about."""
    lock = multiprocessing.Lock()
    boots = 0
    processes = []
    for job in range(jobs):
        pipe = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=cut_some, args=(recording, f"{seed} {job}", points[job::jobs], job == 0,
                                                                 lock, pipe))
        process.start()
        pipe[1].close()
        processes.append((process, pipe[0]))
    for process, pipe in processes:
        with contextlib.suppress(EOFError):
            done, cases, violations = pipe.recv()
            boots += done
            for promise, count in cases.items():
                tally.count(promise, count)
            for promise, found in violations.items():
                for words in found:
                    tally.violation(promise, words)
        process.join()
    return boots


def main():
    long = os.environ.get("NOWCAST_TEST_LONG") == "1"
    parser = argparse.ArgumentParser()
    parser.add_argument("--cuts", type=int, default=2000 if long else 60)
    parser.add_argument("--seconds", type=float, default=60 if long else 15)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("NOWCAST_TEST_SEED") or time.time()))
    parser.add_argument("--jobs", type=int, default=2 * len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    reason = why_not()
    if reason is not None:
        print(f"power_cut: skipped: {reason}")
        return 77
    print(f"power_cut: {args.cuts} cuts, seed {args.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="nowcast-cut-") as place:
        recording = Recording(place, args.seconds, args.seed)
        recording.run()
        tally = report.Tally()
        for message in recording.messages:
            tally.check("R1", message.answer == "ack", f"message {message.number} got {message.answer}")
        points = choose_points(recording, random.Random(args.seed), args.cuts)
        boots = cut_side_by_side(recording, args.seed, points, args.jobs, tally)
    report.figure("powercut", "cuts", boots)
    report.figure("powercut", "messages", len(recording.messages))
    tally.tell()
    if boots < args.cuts or len(answered_of(recording)) < RATE * args.seconds / 2:
        print("power_cut: too little was tried to say anything")
        return 1
    return 0 if tally.total() == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
