#!/usr/bin/python3
"""A runner whose memory runs out for ten allocations in a row, somewhere between its start and its end (promises.md, R4,
R5, R21): its worker gets its answer, and the end is told once, whole, and soon.

The error sweep does this with each daemon, at many more places; here is what each run of the tests looks at.
NOWCAST_TEST_BINARY names the program, NOWCAST_TEST_ALLOC_FAULT what is preloaded (tools/alloc_fault.c).
"""
import contextlib
import os
import sys
import unittest

import report
import worker_contract

ALLOC_FAULT = os.environ["NOWCAST_TEST_ALLOC_FAULT"]
PLACES = 30
READING_SHARE = 0.65    # what comes before is the reading of the configuration
WORKER = """\
echo '{"need": "places"}' >&3
read -r answer <&3 || exit 5
echo "$answer" >answer
echo '{"type": "success", "payload": "done"}' >&3
"""


class ShortMemory(worker_contract.Contract):
    def setUp(self):
        super().setUp()
        self.broker.checklist["places"] = "here"
        self.write("worker.sh", WORKER)

    def run_with(self, fail_at):
        """How many allocations there were; the worker has another first argument, and all the memory it wants."""
        self.broker.received.clear()
        for name in ("allocations", "answer"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(name))
        environment = {**os.environ, "LD_PRELOAD": ALLOC_FAULT, "NOWCAST_ALLOC_PROCESS": "make_plots",
                       "NOWCAST_ALLOC_FAIL_AT": str(fail_at), "NOWCAST_ALLOC_ONWARD": "1",
                       "NOWCAST_ALLOC_COUNT": self.path("allocations")}
        self.status = self.end(self.start(env=environment))
        with open(self.path("allocations"), "rb") as file:
            return int.from_bytes(file.read(8), sys.byteorder)

    def test_r4_the_end_is_told_once_and_whole(self):
        total = self.run_with(0)
        self.assertEqual((self.status, self.broker.types()), (0, ["need", "success"]))
        self.assertGreater(total, 1000)
        answered = 0
        for place in range(PLACES):
            number = int(total * (READING_SHARE + (1 - READING_SHARE) * place / PLACES))
            with self.subTest(number=number):
                self.assertGreaterEqual(self.run_with(number), number, "it did not come so far")
                # One that was not answered in time comes again, with its id.
                finals = list({message["id"]: message for message in self.broker.received if "report" in message}.values())
                if not finals:      # not even begun: whoever started it is told
                    self.assertEqual((self.status, self.err), (1, "nowcast make_plots: out of memory\n"))
                    self.assertFalse(os.path.exists(self.path("answer")))
                    continue
                self.assertEqual(len(finals), 1)
                self.assertIn("end", finals[0]["report"])
                if finals[0]["type"] == "success":
                    self.assertEqual((self.status, finals[0]["payload"]), (0, "done"))
                    self.assertIn("here", self.read("answer"))
                    answered += 1
                else:
                    self.assertEqual(finals[0]["type"], "crash")
                    self.assertIn("memory", finals[0]["report"]["reason"])
        report.promise("R4", PLACES, 0)
        self.assertGreater(answered, PLACES / 2, "hardly a worker was started: this proves too little")


if __name__ == "__main__":
    unittest.main()
