#!/usr/bin/python3
"""A disk that writes down what it is told, in order: a file of one file system (FUSE), for a loop device to sit on.

usage: recording_disk.py IMAGE RECORD COUNT PLACE

PLACE, a file, becomes the disk, with the contents of IMAGE. RECORD gets each write and each flush, and COUNT, a file
that others map into memory, how many there are by now: eight bytes, raised before the write is confirmed. So what
somebody knew to be on the disk at a count of N is what the first N records say, and what was written since the last
flush among these may be there or not. Ends when PLACE is unmounted. Needs root.

Read a record by `records()`.
"""
import ctypes
import errno
import mmap
import os
import stat
import struct
import sys

FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, RELEASE, FSYNC, FLUSH, INIT, INTERRUPT, DESTROY, BATCH_FORGET = \
    2, 3, 4, 14, 15, 16, 18, 20, 25, 26, 36, 38, 42
IN_HEADER = struct.Struct("<IIQQIIII")
OUT_HEADER = struct.Struct("<IiQ")
OPEN_DIRECT_IO = 1
BIG_WRITES = 1 << 5
WRITE_MOST = 128 << 10
BUFFER = WRITE_MOST + 8192

HEAD = struct.Struct("<cQI")  # of a record: W or F, where, how many bytes follow


def records(path):
    """(kind, where, bytes) of each: kind is "W" or "F"."""
    with open(path, "rb") as file:
        while True:
            head = file.read(HEAD.size)
            if len(head) < HEAD.size:
                return
            kind, where, size = HEAD.unpack(head)
            yield kind.decode(), where, file.read(size)


class Disk:
    def __init__(self, image, record, count, place):
        self.bytes = bytearray(open(image, "rb").read())
        self.record = open(record, "wb", buffering=0)
        with open(count, "wb") as file:
            file.write(bytes(8))
        with open(count, "r+b") as file:
            self.count = mmap.mmap(file.fileno(), 8)
        self.device = os.open("/dev/fuse", os.O_RDWR)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self.device},rootmode={stat.S_IFREG:o},user_id=0,group_id=0"
        if libc.mount(b"recording_disk", place.encode(), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), f"cannot mount on {place}")

    def write_down(self, kind, where=0, data=b""):
        self.record.write(HEAD.pack(kind, where, len(data)) + data)
        self.count[:] = struct.pack("<Q", struct.unpack("<Q", self.count[:])[0] + 1)

    def attributes(self):
        size = len(self.bytes)
        return struct.pack("<QII", 3600, 0, 0) + struct.pack(
            "<6Q10I", 1, size, size // 512, 0, 0, 0, 0, 0, 0, stat.S_IFREG | 0o600, 1, 0, 0, 0, 4096, 0)

    def answer(self, opcode, body):
        """The bytes of the answer, or a negative errno."""
        if opcode == INIT:
            return struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, BIG_WRITES, 16, 12, WRITE_MOST, 1, 0, 0, 0, *[0] * 7)
        if opcode in (GETATTR, SETATTR):
            return self.attributes()
        if opcode == OPEN:
            return struct.pack("<QII", 0, OPEN_DIRECT_IO, 0)
        if opcode == READ:
            _, where, size = struct.unpack_from("<QQI", body)
            return bytes(self.bytes[where:where + size])
        if opcode == WRITE:
            _, where, size = struct.unpack_from("<QQI", body)
            data = bytes(body[40:40 + size])
            self.bytes[where:where + size] = data
            self.write_down(b"W", where, data)
            return struct.pack("<II", size, 0)
        if opcode == FSYNC:
            self.write_down(b"F")
            return b""
        if opcode in (RELEASE, FLUSH):
            return b""
        return -errno.ENOSYS

    def serve(self):
        while True:
            try:
                request = os.read(self.device, BUFFER)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return  # unmounted
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                raise
            _, opcode, unique, *_ = IN_HEADER.unpack_from(request)
            if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            answer = self.answer(opcode, memoryview(request)[IN_HEADER.size:])
            if isinstance(answer, int):
                os.write(self.device, OUT_HEADER.pack(OUT_HEADER.size, answer, unique))
            else:
                os.write(self.device, OUT_HEADER.pack(OUT_HEADER.size + len(answer), 0, unique) + answer)
            if opcode == DESTROY:
                return


def main():
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    disk = Disk(*sys.argv[1:])
    print("ready", flush=True)
    disk.serve()


if __name__ == "__main__":
    main()
