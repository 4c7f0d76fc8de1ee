"""Cases in processes of their own, so that they take turns and each has its own peak memory."""

import contextlib
import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time


def mebibytes(what):
    """ "VmRSS", what this process holds, or "VmHWM", the most that it held (Linux)."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(what)]
    return int(line.split()[1]) / 2**10


def timed(step, wait=None):
    """Function of a count that calls `step` so many times, and gives the seconds of each.

    With `wait`, a function that waits for what a device still computes, it gives their mean alone,
    with one wait after the last.
    """

    def seconds(count):
        found = []
        begin = time.perf_counter()
        for _ in range(count):
            start = time.perf_counter()
            step()
            found.append(time.perf_counter() - start)
        if wait is None:
            return found
        wait()
        return [(time.perf_counter() - begin) / count]

    return seconds


def serve(run, facts=dict):
    """Answers each count that the parent asks for with `run(count)`, a list of seconds.

    `facts()` is a dict of what else is told then, such as what a device has held.
    """
    trim = ctypes.CDLL(None).malloc_trim  # gives back to the machine what is held for later
    trim(0)
    before = mebibytes("VmRSS")
    run(2)  # compiles
    trim(0)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the most held counts from now on
    for line in sys.stdin:
        seconds = run(int(line))
        peak = mebibytes("VmHWM")
        result = {"seconds": seconds, "peak": peak, "beyond": peak - before, "facts": facts()}
        print("\n" + json.dumps(result), flush=True)


class MeasuredProcess:
    """A script that calls `serve`, with these variables in its environment; what it answered."""

    def __init__(self, script, *arguments, **environment):
        self._process = subprocess.Popen(
            [sys.executable, script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.seconds = []
        self.peak = self.beyond = None  # MiB at most, and how much more than before the first
        self.facts = {}  # what else it told last

    def run(self, count):
        """Lets it make `count` steps, and keeps their seconds."""
        with contextlib.suppress(BrokenPipeError):  # said below
            self._process.stdin.write(f"{count}\n")
            self._process.stdin.flush()
        while not (line := self._process.stdout.readline()).startswith("{"):
            if not line:
                raise ChildProcessError(f"Has ended: {self._process.args}")
        result = json.loads(line)
        self.seconds += result["seconds"]
        self.peak, self.beyond = result["peak"], result["beyond"]
        self.facts = result["facts"]

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def take_turns(cases, rounds, count):
    """Lets each of a dict of processes make `count` steps, again and again; gives the medians."""
    for _ in range(rounds):
        for process in cases.values():
            process.run(count)
    return {case: statistics.median(process.seconds) for case, process in cases.items()}
