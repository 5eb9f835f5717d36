#!/usr/bin/env python3
"""The embedded registry beside its peers: ratios as a Markdown table.

    bench/registry/bench.py [--runs N] [--seconds S] [--scratch DIR] [--only NAME,NAME]

Starts each server on a loopback port with an empty store, loads it, and ends it. A peer or a tool that is not
there is named and left out:

    ours          target/release/perijove-registry, or --ours PATH
    distribution  `registry` of distribution v3 (go install github.com/distribution/distribution/v3/cmd/registry)
    docker        `docker-registry`, Debian's 2.8.2
    nginx         `nginx`, as a file server: the ceiling for GET
    tools         wrk, curl, crane (go install github.com/google/go-containerregistry/cmd/crane)

All registries write to the same disk and sync what they are given. Servers' CPU seconds are shown beside the
clock: on a shared machine they are the steadier figure. Runs of the servers alternate, medians are compared.
"""

import argparse
import concurrent.futures
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
TICKS = os.sysconf("SC_CLK_TCK")

# measure: (what it is, unit, better when smaller, [(peer, goal as our value / the peer's)])
MEASURES = {
    "start": ("exec to the first answer", "ms", True, []),
    "rss_idle": ("memory when idle", "MB", True, []),
    "push_small": ("200 images of 10 layers, pushed", "s", True, [("distribution", 1 / 3)]),
    "push_small_cpu": ("server's CPU for it", "s", True, []),
    "pull_small": ("200 images, pulled", "s", True, []),
    "put_blob": ("one PUT of 256 MiB", "s", True, [("distribution", 0.6)]),
    "put_blob_cpu": ("server's CPU for it", "s", True, []),
    "get_tag": ("manifest GET by tag, 32 connections", "/s", False, [("nginx", 0.4)]),
    "get_digest": ("manifest GET by digest, 32 connections", "/s", False, [("nginx", 0.4)]),
    "get_digest_cpu": ("server's CPU a GET", "us", True, []),
    "get_digest_p99": ("99th percentile", "ms", True, []),
    "get_blob": ("blob GET, 8 at once", "MB/s", False, []),
    "get_blob_cpu": ("server's CPU a GB", "s", True, [("nginx", 1.0)]),
    "rss_after": ("memory after all that", "MB", True, []),
}
LIMITS = {"start": 15, "rss_idle": 10, "rss_after": 40}


class Layout:
    """OCI layouts of seeded random bytes: the same on every machine."""

    def __init__(self, folder):
        self.folder = folder
        self.small = folder / "small"
        self.large = folder / "large.bin"
        rng = random.Random(20260101)
        index = []
        (self.small / "blobs/sha256").mkdir(parents=True)
        for number in range(200):
            layers = [self.blob(rng.randbytes(64 << 10), LAYER) for _ in range(10)]
            diffs = [layer["digest"] for layer in layers]
            config = {"architecture": "amd64", "os": "linux", "author": str(number), "rootfs": {"type": "layers", "diff_ids": diffs}}
            config = self.blob(json.dumps(config).encode(), CONFIG)
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
            self.manifest = json.dumps(manifest).encode()
            index.append(self.blob(self.manifest, MANIFEST) | {"platform": {"os": "linux", "architecture": "amd64"}})
        (self.small / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (self.small / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": index}))
        digest = hashlib.sha256()
        with open(self.large, "wb") as out:
            for _ in range(256):
                piece = rng.randbytes(1 << 20)
                digest.update(piece)
                out.write(piece)
        self.large_digest = "sha256:" + digest.hexdigest()
        self.manifest_digest = "sha256:" + hashlib.sha256(self.manifest).hexdigest()

    def blob(self, data, media_type):
        name = hashlib.sha256(data).hexdigest()
        (self.small / "blobs/sha256" / name).write_bytes(data)
        return {"mediaType": media_type, "digest": "sha256:" + name, "size": len(data)}


STARTS = 5


class Server:
    """A server's process on a port of its own."""

    def __init__(self, name, command, scratch, data):
        self.name, self.data = name, data
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # Stores stay until the end: ext4 is slow to make files where thousands were just removed.
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch))
        arguments = command(self)
        self.log = open(scratch / f"{name}.log", "wb")
        # Nobody waits for what others have written before.
        os.sync()
        begin = time.perf_counter()
        # A group of its own, so that nginx's workers end with it.
        self.process = subprocess.Popen(arguments, stdout=self.log, stderr=self.log, start_new_session=True)
        while not self.answers():
            if self.process.poll() is not None or time.perf_counter() - begin > 60:
                raise SystemExit(f"{name} does not start; see {self.log.name}")
            time.sleep(0.001)
        self.start_ms = (time.perf_counter() - begin) * 1000

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as stream:
                stream.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return b" 200 " in stream.recv(64)
        except OSError:
            return False

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def pids(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def cpu(self):
        """CPU seconds so far, workers included."""
        fields = (Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in self.pids())
        return sum(int(field[11]) + int(field[12]) for field in fields) / TICKS

    def rss(self):
        """Resident megabytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


def distribution_settings(server):
    """Settings of distribution 2 and 3: files on disk, deletion on, descriptors in memory, no access log."""
    path = server.folder.with_suffix(".yml")
    path.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage:\n  cache: {{blobdescriptor: inmemory}}\n  filesystem: {{rootdirectory: {server.folder}}}\n"
        "  delete: {enabled: true}\n  maintenance: {uploadpurging: {enabled: false}}\n"
        f"http: {{addr: '127.0.0.1:{server.port}'}}\n"
    )
    return str(path)


def nginx_command(server):
    """nginx with the two files that are asked for lying where a registry would answer."""
    folder, data = server.folder, server.data
    manifests, blobs = folder / "root/v2/one/manifests", folder / "root/v2/one/blobs"
    manifests.mkdir(parents=True)
    blobs.mkdir()
    for name in ("t", data.manifest_digest):
        (manifests / name).write_bytes(data.manifest)
    shutil.copyfile(data.large, blobs / data.large_digest)
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error.log;"
        "events { worker_connections 1024; } http { access_log off; sendfile on; tcp_nopush on;"
        f"keepalive_requests 100000000; open_file_cache max=64; default_type {MANIFEST}; {temporary}"
        f"server {{ listen 127.0.0.1:{server.port}; root {folder}/root; location = /v2/ {{ return 200; }} }} }}"
    )
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]


def timed(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def request(server, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    answer.read()
    if answer.status >= 300:
        raise SystemExit(f"{server.name}: {method} {path}: {answer.status}")
    return answer


def upload_place(server, digest):
    """A place to PUT the blob of this digest to."""
    place = request(server, "POST", "/v2/one/blobs/uploads/").getheader("Location")
    place = re.sub(r"^https?://[^/]+", "", place)
    return server.url(place + ("&" if "?" in place else "?") + "digest=" + digest)


def put_small(server, data):
    """One image under repository `one`, tag `t`, for the GETs."""
    blobs = [json.loads(data.manifest)["config"], *json.loads(data.manifest)["layers"]]
    for blob in blobs:
        body = (data.small / "blobs/sha256" / blob["digest"][7:]).read_bytes()
        place = upload_place(server, blob["digest"]).removeprefix(server.url(""))
        request(server, "PUT", place, body, {"Content-Type": "application/octet-stream"})
    request(server, "PUT", "/v2/one/manifests/t", data.manifest, {"Content-Type": MANIFEST})


def measure_writes(server, data, crane, scratch):
    target = f"127.0.0.1:{server.port}/small:t"
    before = server.cpu()
    yield "push_small", timed(lambda: run(crane, "push", "--insecure", "--index", data.small, target))
    yield "push_small_cpu", server.cpu() - before
    pulled = scratch / "pulled"
    yield "pull_small", timed(lambda: run(crane, "pull", "--insecure", "--format=oci", target, pulled))
    shutil.rmtree(pulled)
    place = upload_place(server, data.large_digest)
    os.sync()
    before = server.cpu()
    octets = ("-H", "Content-Type: application/octet-stream", "-H", "Expect:")
    yield "put_blob", timed(lambda: run("curl", "-sSf", "-o", os.devnull, *octets, "-T", data.large, place))
    yield "put_blob_cpu", server.cpu() - before
    put_small(server, data)


def measure_reads(server, data, seconds):
    load = ("wrk", "-t2", "-c32", f"-d{seconds}s", "--latency", "-H", f"Accept: {MANIFEST}")

    def wrk(reference):
        text = run(*load, server.url(f"/v2/one/manifests/{reference}"))
        if "Non-2xx" in text:
            raise SystemExit(f"{server.name}: {text}")
        return text

    def number(pattern, text):
        return float(re.search(pattern, text)[1])

    yield "get_tag", number(r"Requests/sec:\s+([\d.]+)", wrk("t"))
    before = server.cpu()
    text = wrk(data.manifest_digest)
    yield "get_digest_cpu", (server.cpu() - before) * 1e6 / number(r"(\d+) requests in", text)
    yield "get_digest", number(r"Requests/sec:\s+([\d.]+)", text)
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    yield "get_digest_p99", float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    url = server.url(f"/v2/one/blobs/{data.large_digest}")
    before = server.cpu()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        fetch = lambda _: run("curl", "-sSf", "-o", os.devnull, url)
        took = timed(lambda: list(pool.map(fetch, range(16))))
    size = 16 * data.large.stat().st_size
    yield "get_blob", size / took / 1e6
    yield "get_blob_cpu", (server.cpu() - before) / (size / 1e9)


def measure(name, command, data, crane, options, scratch):
    # Several: what starts for the first time in a while is slower by what it reads from the disk.
    for _ in range(STARTS if name != "nginx" else 0):
        server = Server(name, command, scratch, data)
        yield "start", server.start_ms
        server.stop()
    server = Server(name, command, scratch, data)
    try:
        if name != "nginx":
            time.sleep(1)
            yield "rss_idle", server.rss()
            os.sync()
            yield from measure_writes(server, data, crane, scratch)
        yield from measure_reads(server, data, options.seconds)
        if name != "nginx":
            yield "rss_after", server.rss()
    finally:
        server.stop()


def figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(results, names):
    peers = [name for name in names if name != "ours"]
    print("| | " + " | ".join(names) + " | ours / peer | goal |")
    print("|---|" + "---:|" * len(names) + "---|---|")
    for key, (what, unit, _, goals) in MEASURES.items():
        medians = {name: statistics.median(results[name][key]) for name in names if results[name].get(key)}
        cells = [figure(medians[name]) if name in medians else "" for name in names]
        ours = medians.get("ours")
        ratios = [f"{figure(ours / medians[p])} {p}" for p in peers if ours is not None and medians.get(p)]
        print(f"| {what}, {unit} | " + " | ".join(cells) + f" | {', '.join(ratios)} | {verdict(key, medians, goals)} |")


def verdict(key, medians, goals):
    smaller = MEASURES[key][2]
    sign = "≤" if smaller else "≥"
    ours, parts = medians.get("ours"), []
    for peer, goal in goals:
        if ours is not None and peer in medians:
            ratio = ours / medians[peer]
            met = ratio <= goal if smaller else ratio >= goal
            parts.append(f"{sign} {figure(goal)} of {peer}: {'met' if met else 'MISSED'}")
    if key in LIMITS and ours is not None:
        parts.append(f"≤ {LIMITS[key]}: {'met' if ours <= LIMITS[key] else 'MISSED'}")
    return ", ".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="length of each manifest load")
    parser.add_argument("--scratch", type=Path, help="folder on the disk to measure (default: a temporary one)")
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--ours", default=root / "target/release/perijove-registry", type=Path)
    parser.add_argument("--crane", default="crane")
    parser.add_argument("--distribution", default="registry")
    options = parser.parse_args()
    for tool in ("wrk", "curl", options.crane):
        if not shutil.which(tool):
            raise SystemExit(f"{tool} is needed")
    listen = lambda server: f"127.0.0.1:{server.port}"
    commands = {
        "ours": (options.ours, lambda s: [options.ours, "--listen", listen(s), "--root", s.folder / "store"]),
        "distribution": (options.distribution, lambda s: [options.distribution, "serve", distribution_settings(s)]),
        "docker": ("docker-registry", lambda s: ["docker-registry", "serve", distribution_settings(s)]),
        "nginx": (shutil.which("nginx") or "/usr/sbin/nginx", nginx_command),
    }
    names = options.only.split(",") if options.only else list(commands)
    for name in list(names):
        if not shutil.which(commands[name][0]):
            print(f"left out: {name}: {commands[name][0]} is not there", file=sys.stderr)
            names.remove(name)
    os.environ["OTEL_TRACES_EXPORTER"] = "none"
    # An end from outside ends the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        scratch = Path(scratch)
        data = Layout(scratch / "data")
        results = {name: {} for name in names}
        for number in range(options.runs):
            for name in names:
                print(f"run {number + 1} of {options.runs}: {name}", file=sys.stderr)
                for key, value in measure(name, commands[name][1], data, options.crane, options, scratch):
                    results[name].setdefault(key, []).append(value)
        table(results, names)


if __name__ == "__main__":
    main()
