"""What a fault suite tells `tests/run` (CONTRIBUTING.md, "The table of promises").

Lines are printed, and appended to the file that NOWCAST_TEST_REPORT names, each by a single write:

    promise R2 cases 1500 violations 0
    figure soak kills 212

The cases and violations of a promise are added up over all suites. A figure is shown as it is: suite, words, value.
"""
import os


def _say(line):
    print(line, flush=True)
    name = os.environ.get("NOWCAST_TEST_REPORT")
    if name:
        file = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, f"{line}\n".encode())
        finally:
            os.close(file)


def promise(name, cases, violations):
    _say(f"promise {name} cases {cases} violations {violations}")


def figure(suite, words, value):
    _say(f"figure {suite} {words} {value}")


class Tally:
    """Cases and violations by promise, and the words of the first violations of each."""

    WORDS_MOST = 5

    def __init__(self):
        self.cases = {}
        self.violations = {}

    def count(self, name, cases=1):
        self.cases[name] = self.cases.get(name, 0) + cases

    def violation(self, name, words):
        self.violations.setdefault(name, []).append(words)

    def check(self, name, good, words):
        """One case; `words()` say what is wrong with it."""
        self.count(name)
        if not good:
            self.violation(name, words() if callable(words) else words)

    def total(self):
        return sum(len(found) for found in self.violations.values())

    def tell(self):
        for name in sorted(self.cases.keys() | self.violations.keys(), key=lambda name: (name[0], int(name[1:]))):
            found = self.violations.get(name, [])
            promise(name, max(self.cases.get(name, 0), len(found)), len(found))
            for words in found[:self.WORDS_MOST]:
                print(f"  {name}: {words}")
            if len(found) > self.WORDS_MOST:
                print(f"  {name}: ... and {len(found) - self.WORDS_MOST} more")
