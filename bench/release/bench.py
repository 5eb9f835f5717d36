#!/usr/bin/env python3
"""A release beside `docker push` tag by tag: requests and seconds as a Markdown table.

    bench/release/bench.py [--perijove PATH] [--only ROW,ROW] [--runs N] [--scratch DIR] [--real]

Makes an image repository of 4 images with a check each and two embedded registries, each behind a proxy that counts
requests. Rows, each by its name for --only:

    puts       PUTs of tags in one release of 4 images, 5 tags, 2 registries; the peer moves tag by tag
    unchanged  the same commit again: requests and seconds
    merge      from a commit that changes one image to its public tags, checks included
    tags       the next number from a live repository of 30,000 tags
    races      sixteen releases at one time into docker-registry, which lets anybody overwrite a tag: how many see that one of
               theirs was overwritten while they run, and take another number, and how many lose one when they have ended,
               which their next run finds

--real adds `real`: this repository's own images (hub, proxy, lab, demo), one pin of the hub changed, caches warm and
then empty; it needs uv, npm and apt, and takes its time. The checks of `merge` need busybox-static or busybox; the
row says so when there is none, as does `races` without docker-registry.
"""

import argparse
import contextlib
import hashlib
import http.client
import http.server
import json
import os
import shutil
import socket
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ("hub", "lab", "proxy", "demo")
INDEX = "application/vnd.oci.image.index.v1+json"


class Proxy:
    """Counts what goes to a registry."""

    def __init__(self, backend):
        self.requests, self.backend = [], backend
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                proxy.requests.append((self.command, self.path))
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else None
                headers = {n: v for n, v in self.headers.items() if n.lower() not in ("connection", "host")}
                link = http.client.HTTPConnection(backend)
                link.request(self.command, self.path, body=body, headers=headers)
                answer = link.getresponse()
                data = answer.read()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                        self.send_header(name, value.replace(backend, proxy.address))
                size = answer.getheader("Content-Length") if self.command == "HEAD" else len(data)
                self.send_header("Content-Length", str(size or 0))
                self.end_headers()
                self.wfile.write(data)
                link.close()

            do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = pass_on

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A client that has heard enough hangs up."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self):
        """The requests since the last call."""
        taken, self.requests = self.requests, []
        return taken


def tag_puts(requests):
    """How many of them make or move tags."""
    puts = [path for method, path in requests if method == "PUT" and "/manifests/" in path]
    return sum("?tag=" in path or "/manifests/sha256:" not in path for path in puts)


class Site:
    """Two registries, their proxies, and an image repository."""

    def __init__(self, perijove, scratch):
        self.perijove, self.folder = perijove, Path(tempfile.mkdtemp(prefix="release-", dir=scratch))
        self.servers, self.proxies = [], []
        for number in range(2):
            command = [perijove, "registry", "serve", "--listen", "127.0.0.1:0", "--quiet"]
            command += ["--root", str(self.folder / f"registry{number}"), "--create-only", r"\d+\.\d+\.\d+-\d+"]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            self.servers.append(server)
            self.proxies.append(Proxy(server.stdout.readline().strip().removeprefix("http://")))
        self.registries = ",".join(f"{proxy.address}/team" for proxy in self.proxies)
        self.repository, self.cache = self.folder / "repository", self.folder / "cache"

    def write(self, path, text):
        path = self.repository / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def made(self):
        """Writes four images of plain files, each with a check where busybox is at hand."""
        busybox = shutil.which("busybox")
        toml = '[repository]\nplatforms = ["linux/amd64", "linux/arm64"]\ndefault-branch = "main"\n'
        none = "sha256:" + "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        lock = f"version 1\ninput {none}\ncodename trixie\nplatforms linux/amd64 linux/arm64\n"
        lock += f"suite trixie 2026-09-12T07:55:41Z {none}\n"
        for image in IMAGES:
            toml += f'\n[image.{image}]\nversion = "5.3.0"\nbase = {{ debian = "trixie" }}\nfiles = "rootfs"\n'
            self.write(f"images/{image}/debs.lock", lock)
            self.write(f"images/{image}/rootfs/etc/{image}", "one\n")
            if busybox:
                toml += f'\n[[image.{image}.test]]\nrun = ["/bin/busybox", "cat", "/etc/{image}"]\n'
                target = self.repository / f"images/{image}/rootfs/bin/busybox"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(busybox, target)
        self.write("perijove.toml", toml)
        return bool(busybox)

    def release(self, revision, cache=None):
        """Releases; the record, and seconds of the clock."""
        environment = dict(os.environ, PERIJOVE_REGISTRIES=self.registries)
        environment["XDG_CACHE_HOME"] = str(cache or self.cache)
        command = [self.perijove, "release", "--format", "json", "--branch", "main", "--revision", revision]
        start = time.monotonic()
        done = subprocess.run(command, cwd=self.repository, env=environment, capture_output=True, text=True)
        took = time.monotonic() - start
        if done.returncode:
            sys.exit(done.stderr)
        return json.loads(done.stdout), took

    def take(self):
        return [request for proxy in self.proxies for request in proxy.take()]

    def end(self):
        for server in self.servers:
            server.terminate()
            server.wait()
        shutil.rmtree(self.folder)


def push_by_tag(site, record):
    """What `docker push` does for each of an image's tags: the manifest, once more under that name."""
    for released in record["images"]:
        for proxy in site.proxies:
            link = http.client.HTTPConnection(proxy.address)
            path = f"/v2/team/{released['image']}/manifests/"
            link.request("GET", path + released["digest"], headers={"Accept": INDEX})
            manifest = link.getresponse().read()
            for tag in [released["tag"] + ".docker", *(alias + ".docker" for alias in released["aliases"])]:
                link.request("HEAD", path + tag, headers={"Accept": INDEX})
                link.getresponse().read()
                link.request("PUT", path + tag, body=manifest, headers={"Content-Type": INDEX})
                link.getresponse().read()
            link.close()


def puts(site, _):
    site.made()
    record, _ = site.release("c1")
    ours = tag_puts(site.take())
    push_by_tag(site, record)
    return [("tag PUTs, 4 images, 5 tags, 2 registries", tag_puts(site.take()), ours, "8")]


def unchanged(site, runs):
    site.made()
    site.release("c1")
    site.take()
    times = []
    for _ in range(runs):
        times.append(site.release("c1")[1])
        requests = site.take()
    methods = sorted({method for method, _ in requests})
    another, took = site.release("another")
    read = site.take()
    assert another["nothing_to_release"] and {method for method, _ in read} == {"GET", "HEAD"}, read
    return [
        ("requests with nothing changed, 8 repositories", "", f"{len(requests)} {'/'.join(methods)}", "8 HEAD"),
        ("release with nothing changed", "", f"{statistics.median(times):.2f} s", "≤ 1 s"),
        ("another commit that changes nothing: requests, all of them read", "", len(read), ""),
        ("another commit that changes nothing", "", f"{took:.2f} s", "≤ 1 s"),
    ]


def tags(site, runs):
    manifest = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
    backend = site.proxies[0].backend
    link = http.client.HTTPConnection(backend)
    for start in range(0, 30_000, 100):
        query = "&".join(f"tag=5.3.0-{number}" for number in range(start, start + 100))
        path = f"/v2/team/hub/manifests/{digest}?{query}"
        link.request("PUT", path, body=manifest, headers={"Content-Type": INDEX})
        answer = link.getresponse()
        if answer.status != 201:
            sys.exit(f"PUT {path}: {answer.status} {answer.read().decode(errors='replace')}")
        answer.read()
    link.close()
    command = [site.perijove, "tags", "next", "5.3.0", "--repo", f"{backend}/team/hub"]
    times = []
    for _ in range(runs):
        start = time.monotonic()
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        times.append(time.monotonic() - start)
        assert said == "5.3.0-30000\n", said
    return [("next number from a live repository of 30,000 tags", "", f"{statistics.median(times):.2f} s", "< 1 s")]


def docker_registry(folder):
    """One with an empty store: its process and address, or nothing where the program is missing."""
    if not shutil.which("docker-registry"):
        return None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    folder.mkdir()
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address, "secret": "bench"},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    server = subprocess.Popen(
        ["docker-registry", "serve", str(folder / "config.yml")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    host, port = address.split(":")
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port)), 1).close()
            return server, address
        time.sleep(0.05)
    server.kill()
    sys.exit("docker-registry does not answer")


def races(site, runs):
    site.made()
    # Who races has passed its checks.
    settings = site.repository / "perijove.toml"
    settings.write_text("\n".join(part for part in settings.read_text().split("\n\n") if "[[" not in part))
    racers = []
    for number in range(16):
        racer = site.folder / f"racer{number}"
        shutil.copytree(site.repository, racer)
        for image in IMAGES:
            (racer / f"images/{image}/rootfs/etc/{image}").write_text(f"racer {number}\n")
        racers.append(racer)
    seen = lost = failed = 0
    for run in range(runs):
        started = docker_registry(site.folder / f"peer{run}")
        if not started:
            return [("16 racing releases into docker-registry", "", "not run: no docker-registry", "found out")]
        server, address = started
        try:
            command = [site.perijove, "--format", "json", "release", "--branch", "main", "--registry", f"{address}/team"]
            running = []
            for number, racer in enumerate(racers):
                environment = {**os.environ, "XDG_CACHE_HOME": str(site.cache)}
                words = [*command, "--revision", f"c{number}"]
                pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
                running.append(subprocess.Popen(words, cwd=racer, env=environment, **pipes))
            said = [process.communicate()[0] for process in running]
            records = [json.loads(text) for process, text in zip(running, said) if process.returncode == 0]
            failed += len(racers) - len(records)
            seen += sum(bool(record["overwritten"]) for record in records)
            images = [record["images"] for record in records]
            lost += sum(any(names(address, image) != image["digest"] for image in of_one) for of_one in images)
        finally:
            server.kill()
            server.wait()
    text = f"{seen} saw a tag overwritten, {lost} lost one later, {failed} failed and are run again, of {16 * runs}"
    return [("16 racing releases into docker-registry", "", text, "found out")]


def names(address, image):
    """The digest that the build's tag of an image in a record names now."""
    link = http.client.HTTPConnection(address)
    link.request("HEAD", f"/v2/team/{image['image']}/manifests/{image['tag']}", headers={"Accept": INDEX})
    answer = link.getresponse()
    link.close()
    return answer.getheader("Docker-Content-Digest")


def split(record):
    """All of a release's time without its checks."""
    return record["seconds"] - record["times"]["test_seconds"]


def merge(site, runs):
    tested = site.made()
    site.release("c0")
    times, ours = [], []
    for run in range(1, runs + 1):
        site.write("images/hub/rootfs/etc/hub", f"change {run}\n")
        record, took = site.release(f"c{run}")
        times.append(took)
        ours.append(split(record))
    note = "" if tested else " (no checks: no busybox)"
    return [
        (f"merge to public tag, one image of 4 changed{note}", "", f"{statistics.median(times):.2f} s", "≤ 60 s"),
        ("of it without the checks", "", f"{statistics.median(ours):.2f} s", "≤ 5 s"),
    ]


def real(site, _):
    """Our own images: `certifi` of all images that lock it goes to another version and back."""
    for name in ("images", "perijove.toml"):
        source, target = ROOT / name, site.repository / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target, symlinks=True) if source.is_dir() else shutil.copy(source, target)
    warm = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    site.release("c0", warm)
    for lock in site.repository.glob("images/*/requirements.in"):
        lock.write_text(lock.read_text() + "\ncertifi != 2026.6.17, < 2026.5\n")
    subprocess.run([site.perijove, "lock", "--quiet"], cwd=site.repository, check=True)
    rows = []
    for number, (name, cache) in enumerate((("warm", warm), ("empty", site.folder / "empty"))):
        record, took = site.release(f"c{number + 1}", cache)
        if record["nothing_to_release"]:
            # The same content again: one file of the hub makes it another.
            site.write("images/hub/rootfs/etc/bench", name)
            record, took = site.release(f"d{number + 1}", cache)
        rows.append((f"merge to public tag, our images, one pin changed, {name} cache", "about 10 min", f"{took:.1f} s", "≤ 60 s"))
        rows.append(("of it without the checks", "", f"{split(record):.1f} s", "≤ 5 s"))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--perijove", default=str(ROOT / "target/release/perijove"))
    parser.add_argument("--only", default="puts,unchanged,merge,tags,races")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scratch")
    parser.add_argument("--real", action="store_true")
    arguments = parser.parse_args()
    if not Path(arguments.perijove).exists():
        sys.exit(f"{arguments.perijove} is not there: cargo build --release, or --perijove PATH")
    names = arguments.only.split(",") + (["real"] if arguments.real else [])
    print("| | docker push | perijove | goal |\n|---|---|---|---|")
    for name in names:
        site = Site(os.path.abspath(arguments.perijove), arguments.scratch)
        try:
            for row in globals()[name](site, arguments.runs):
                print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)
        finally:
            site.end()


if __name__ == "__main__":
    main()
