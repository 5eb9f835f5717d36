"""Runs programs and measures them: wall clock, CPU, peak memory, and what their output says."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass


@dataclass
class Ran:
    """How a program went: seconds of the clock, seconds of CPU of it and its children, peak resident MB of the largest."""

    code: int
    out: str
    err: str
    wall: float
    cpu: float
    peak_mb: float

    def __add__(self, other):
        return Ran(
            self.code or other.code, self.out + other.out, self.err + other.err,
            self.wall + other.wall, self.cpu + other.cpu, max(self.peak_mb, other.peak_mb),
        )  # fmt: skip


def run(*command, cwd=None, env=None, check=True):
    """Runs `command` to its end. With `check` a failure ends the benchmark, and shows what the program said."""
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.perf_counter()
        process = subprocess.Popen(words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)

        def text(file):
            file.seek(0)
            return file.read().decode(errors="replace")

        ran = Ran(process.returncode, text(out), text(err), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
    if check and ran.code:
        sys.exit(f"{' '.join(words)}\nended with {ran.code}:\n{(ran.out + ran.err)[-4000:]}")
    return ran


def tree_bytes(folder):
    """Bytes of all files below `folder`."""
    return sum(os.lstat(os.path.join(place, name)).st_size for place, _, names in os.walk(folder) for name in names)


def said(*command):
    """What a program prints, or nothing where it is not there or does not work."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def figure(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
