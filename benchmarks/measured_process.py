"""Runs each case of a benchmark in its own process: cases take turns, each with its own peak."""

import contextlib
import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time


def mebibytes(name):
    """MiB of memory of this process: "VmRSS" is current, "VmHWM" is the peak (Linux)."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(name)]
    return int(line.split()[1]) / 2**10


def timed(step, wait=None):
    """Function of a count that calls `step` that often and returns the seconds of each call.

    With `wait`, a function that waits for the device, it waits once, after the last call, and
    returns only their mean.
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
    """Answers each count from the parent process with `run(count)`, a list of seconds.

    `facts()` is a dict of further values for the parent, such as the memory of a device.
    """
    trim = ctypes.CDLL(None).malloc_trim  # returns freed memory to the system
    trim(0)
    before = mebibytes("VmRSS")
    run(2)  # compiles
    trim(0)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    for line in sys.stdin:
        seconds = run(int(line))
        peak = mebibytes("VmHWM")
        result = {"seconds": seconds, "peak": peak, "beyond": peak - before, "facts": facts()}
        print("\n" + json.dumps(result), flush=True)


class MeasuredProcess:
    """A script that calls `serve`, with these environment variables, and its answers."""

    def __init__(self, script, *arguments, **environment):
        self._process = subprocess.Popen(
            [sys.executable, script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **environment},
        )
        self.seconds = []
        self.peak = self.beyond = None  # MiB: peak, and its excess over the start
        self.facts = {}  # its last further values

    def run(self, count):
        """Makes it run `count` steps, and stores their seconds."""
        with contextlib.suppress(BrokenPipeError):  # reported below
            self._process.stdin.write(f"{count}\n")
            self._process.stdin.flush()
        while not (line := self._process.stdout.readline()).startswith("{"):
            if not line:
                raise ChildProcessError(f"The process has ended: {self._process.args}")
        result = json.loads(line)
        self.seconds += result["seconds"]
        self.peak, self.beyond = result["peak"], result["beyond"]
        self.facts = result["facts"]

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def take_turns(cases, rounds, count):
    """Makes processes of a dict run `count` steps in turn; returns the median seconds of each."""
    for _ in range(rounds):
        for process in cases.values():
            process.run(count)
    return {case: statistics.median(process.seconds) for case, process in cases.items()}
