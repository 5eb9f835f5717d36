#!/usr/bin/env python3
"""Runs the official conformance suite of the OCI distribution specification against the embedded registry.

    git clone https://github.com/opencontainers/distribution-spec
    cargo build -p perijove-registry
    tests/conformance/run.py distribution-spec [target/debug/perijove-registry]

Needs git and Go. The suite is taken from the clone as it is at `origin/main` (or `main`) and at `v1.1.1`; nothing of
it is kept. Exits with 0 when nothing failed and nothing was skipped.

At v1.1.1 no single run of any registry can skip nothing, because four pairs of specs exclude each other: each is
behind a setting or an answer, and its twin behind the opposite (`RunOnlyIf`/`RunOnlyIfNot` in its files):

    Pull setup             content is pushed           | its names are given (OCI_TAG_NAME and others)
    Push, mount            was answered 201            | was answered 202
    Push, mount from any   OCI_AUTOMATIC_CROSSMOUNT=1  | =0, the registry answering 202
    Discovery setup        tags are pushed             | their names are given (OCI_TAG_LIST)

So it runs in the settings of `V1_1_1` below, and a spec counts as skipped when it was skipped in all of them.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import xml.etree.ElementTree as xml
from collections import Counter, defaultdict
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

WORKFLOWS = ("PULL", "PUSH", "CONTENT_DISCOVERY", "CONTENT_MANAGEMENT")

# What is run at v1.1.1: its name, the registry's options, the workflows, further settings of the suite.
# Given content is there before; `{blob}`, `{manifest}`, `{tags}` and `{tag}` stand for its names.
V1_1_1 = [
    ("all workflows", [], WORKFLOWS, {"OCI_AUTOMATIC_CROSSMOUNT": "1"}),
    ("all workflows, blobs deleted first", [], WORKFLOWS,
     {"OCI_AUTOMATIC_CROSSMOUNT": "1", "OCI_DELETE_MANIFEST_BEFORE_BLOBS": "0"}),
    ("pull, content given", [], ("PULL",),
     {"OCI_TAG_NAME": "{tag}", "OCI_MANIFEST_DIGEST": "{manifest}", "OCI_BLOB_DIGEST": "{blob}"}),
    ("tag listing, tags given", [], ("CONTENT_DISCOVERY",),
     {"OCI_TAG_LIST": "{tags}", "FOCUS": "Content Discovery (Setup|.*listing tags)"}),
    ("push, mounting by name only", ["--mount", "named"], ("PUSH",), {"OCI_AUTOMATIC_CROSSMOUNT": "0"}),
    ("push, mounting nothing", ["--mount", "never"], ("PUSH",), {"OCI_AUTOMATIC_CROSSMOUNT": "0"}),
]

# Without this one, manifests whose blobs are elsewhere are not tried.
MAIN = {"OCI_TLS": "disabled", "OCI_DATA_SPARSE": "true", "OCI_LOG": "error"}


def unpack(clone, revision, to):
    """The suite's folder at a revision, unpacked below `to`."""
    archive = subprocess.Popen(["git", "-C", clone, "archive", revision, "conformance"], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=archive.stdout, mode="r|") as tar:
        tar.extractall(to, filter="data")
    if archive.wait():
        sys.exit(f"{clone}: git has no folder `conformance` at {revision}")
    return to / "conformance"


def main_branch(clone):
    for name in ("origin/main", "main"):
        if not subprocess.run(["git", "-C", clone, "rev-parse", "-q", "--verify", name], capture_output=True).returncode:
            return name
    sys.exit(f"{clone}: no branch main; is it a clone of opencontainers/distribution-spec?")


@contextmanager
def registry(binary, root, *options):
    """A registry with an empty store; gives its address and ends it."""
    command = [binary, "--root", root, "--listen", "127.0.0.1:0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def send(method, url, body, media_type):
    request = urllib.request.Request(url, body, {"Content-Type": media_type}, method=method)
    with urllib.request.urlopen(request):
        pass


def give(address, repository):
    """Pushes an image with a few tags; gives the names of what was pushed."""
    blob = b"{}"
    digest = f"sha256:{sha256(blob).hexdigest()}"
    send("POST", f"http://{address}/v2/{repository}/blobs/uploads/?digest={digest}", blob, "application/octet-stream")
    descriptor = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": len(blob)}
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": descriptor, "layers": [descriptor]}).encode()
    tags = ["a", "b", "c", "d"]
    for tag in tags:
        send("PUT", f"http://{address}/v2/{repository}/manifests/{tag}", manifest, kind)
    return {"blob": digest, "manifest": f"sha256:{sha256(manifest).hexdigest()}", "tag": tags[0], "tags": ",".join(tags)}


def outcomes(report):
    """Each spec's outcome. Names repeat, so a spec is its name and how often the name came before."""
    seen, found = Counter(), {}
    for case in xml.parse(report).iter("testcase"):
        name = case.get("name")
        seen[name] += 1
        failed = case.find("failure") is not None or case.find("error") is not None
        found[name, seen[name]] = "failed" if failed else "skipped" if case.find("skipped") is not None else "passed"
    return found


def run(command, settings, log):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OCI_")} | settings
    with open(log, "w") as out:
        return subprocess.run(command, env=environment, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent).returncode


def say(what, found, code):
    count = Counter(found.values())
    print(f"{what:<46} {count['passed']:>4} passed  {count['failed']} failed  {count['skipped']} skipped  exit {code}", flush=True)
    for (name, _), outcome in found.items():
        if outcome == "failed":
            print(f"    failed: {name}")


def suite_of_main(suite, binary, folder):
    """Gives whether all passed."""
    subprocess.run(["go", "build", "-o", folder / "suite", "."], cwd=suite, check=True)
    fine = True
    for version in ("1.1", "dev"):
        results = folder / version
        results.mkdir()
        with registry(binary, results / "store") as address:
            settings = MAIN | {
                "OCI_REGISTRY": address, "OCI_VERSION": version, "OCI_RESULTS_DIR": str(results),
                "OCI_REPO1": "conformance/one", "OCI_REPO2": "conformance/two",
            }
            code = run([folder / "suite"], settings, results / "log")
        found = outcomes(results / "junit.xml")
        say(f"main, OCI_VERSION={version}", found, code)
        fine &= code == 0 and set(found.values()) == {"passed"}
    return fine


def suite_of_1_1_1(suite, binary, folder):
    """Gives whether all passed, and each spec in one run at least."""
    subprocess.run(["go", "test", "-c", "-o", folder / "suite", "."], cwd=suite, check=True)
    fine, all_found = True, defaultdict(set)
    for number, (name, options, workflows, further) in enumerate(V1_1_1):
        results = folder / str(number)
        results.mkdir()
        with registry(binary, results / "store", *options) as address:
            given = give(address, "conformance/one") if "given" in name else {}
            further = {key: value.format(**given) for key, value in further.items()}
            focus = further.pop("FOCUS", None)
            settings = {
                "OCI_ROOT_URL": f"http://{address}", "OCI_NAMESPACE": "conformance/one",
                "OCI_CROSSMOUNT_NAMESPACE": "conformance/two", "OCI_REPORT_DIR": str(results),
                **{f"OCI_TEST_{workflow}": "1" for workflow in workflows}, **further,
            }
            code = run([folder / "suite", *([f"--ginkgo.focus={focus}"] if focus else [])], settings, results / "log")
        found = outcomes(results / "junit.xml")
        say(f"v1.1.1, {name}", found, code)
        fine &= code == 0
        for spec, outcome in found.items():
            all_found[spec].add(outcome)
    together = {
        spec: "failed" if "failed" in each else "passed" if "passed" in each else "skipped"
        for spec, each in all_found.items()
    }
    say("v1.1.1, each spec over these runs", together, int(not fine))
    for (name, _), outcome in together.items():
        if outcome == "skipped":
            print(f"    skipped in every run: {name}")
    return fine and set(together.values()) == {"passed"}


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    clone = sys.argv[1]
    binary = Path(sys.argv[2] if len(sys.argv) == 3 else "target/debug/perijove-registry").resolve()
    if not binary.exists():
        sys.exit(f"{binary} is not there: cargo build -p perijove-registry")
    fine = True
    suites = [(main_branch(clone), suite_of_main), ("v1.1.1", suite_of_1_1_1)]
    for revision, suite in suites:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            fine &= suite(unpack(clone, revision, folder), binary, folder)
    sys.exit(not fine)


main()
