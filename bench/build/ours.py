"""Perijove with a repository and a cache of its own."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from measure import run

ROOT = Path(__file__).resolve().parents[2]


class Perijove:
    """The binary, a copy of this repository's images, and a cache, all below `folder`."""

    def __init__(self, binary, folder, images=True):
        self.binary, self.folder = binary, folder
        self.repository, self.cache = folder / "repository", folder / "cache"
        self.repository.mkdir(parents=True)
        self.cache.mkdir()
        self.env = os.environ | {"XDG_CACHE_HOME": str(self.cache)}
        if images:
            shutil.copy(ROOT / "perijove.toml", self.repository)
            shutil.copytree(ROOT / "images", self.repository / "images", symlinks=True)

    def __call__(self, *arguments, under=(), check=True):
        return run(*under, self.binary, *arguments, cwd=self.repository, env=self.env, check=check)

    def build(self, *arguments, under=()):
        """Builds for amd64, the peer's platform. Gives how it went and its result."""
        ran = self("build", "--platform", "linux/amd64", "--format", "json", *arguments, under=under)
        return ran, json.loads(ran.out)

    def forget(self, *names):
        """Empties the cache, or the named folders of it."""
        for name in names or [entry.name for entry in self.cache.iterdir()]:
            shutil.rmtree(self.cache / "perijove" / name if names else self.cache / name, ignore_errors=True)


class Registry:
    """The embedded registry on a free port."""

    def __init__(self, binary, store):
        self.store = store
        command = [binary, "registry", "serve", "--listen", "127.0.0.1:0", "--root", store]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:\d+", line)
        if not found:
            sys.exit(f"the registry does not say where it listens: {line!r}")
        self.address = found[0]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def make_demo(folder):
    """Runs `make demo` in a clone of this repository with empty caches, cargo's included. Gives the seconds to the
    login page."""
    run("git", "clone", "--quiet", ROOT, folder / "perijove")
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    (folder / "cargo").mkdir()
    for settings in [entry for name in ("config.toml", "credentials.toml") if (entry := cargo / name).exists()]:
        shutil.copy(settings, folder / "cargo")
    env = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "CARGO_HOME": str(folder / "cargo")}
    env.pop("CARGO_TARGET_DIR", None)
    said = folder / "make.log"
    with open(said, "w") as log:
        begin = time.perf_counter()
        command = ["make", "demo", f"PORT={free_port()}"]
        # A group of its own: Ctrl-C reaches all of it, as on a terminal.
        process = subprocess.Popen(command, cwd=folder / "perijove", env=env, stdout=log, stderr=log, process_group=0)
        try:
            while "is ready at" not in said.read_text():
                if process.poll() is not None:
                    sys.exit(f"make demo ended:\n{said.read_text()[-4000:]}")
                time.sleep(0.1)
            total = time.perf_counter() - begin
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
    return total


def demo(perijove, runtime):
    """Runs the demo until its login page is there. Gives seconds to the page from the container's start, and in all."""
    command = [perijove.binary, "demo", "--port", str(free_port()), "--runtime", runtime, "--format", "json"]
    said = perijove.folder / "demo.log"
    with open(said, "w") as log:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=perijove.repository, env=perijove.env, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            line = process.stdout.readline()
            total = time.perf_counter() - begin
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
    if not line:
        sys.exit(f"the demo did not start:\n{said.read_text()[-4000:]}")
    return json.loads(line)["start_seconds"], total
