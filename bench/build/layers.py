"""Reads images of OCI layouts: layers, sizes, and what lies in them."""

import gzip
import json
import re
import tarfile
from pathlib import Path


def manifest(layout, platform="amd64"):
    """The manifest of a layout's first image, for `platform` where there are several."""
    layout = Path(layout)

    def read(descriptor):
        return json.loads((layout / "blobs" / descriptor["digest"].replace(":", "/")).read_text())

    found = read(json.loads((layout / "index.json").read_text())["manifests"][0])
    while "manifests" in found:
        of = [m for m in found["manifests"] if m.get("platform", {}).get("architecture") == platform]
        found = read((of or found["manifests"])[0])
    return found


def layers(layout):
    """Digest → size in bytes."""
    return {layer["digest"]: layer["size"] for layer in manifest(layout)["layers"]}


def versions(layout, projects):
    """Versions of Python projects that the image holds, from the names of their metadata folders."""
    found = {}
    pattern = re.compile(r"(?:^|/)(" + "|".join(projects) + r")-([^/]+)\.dist-info/METADATA$")
    for digest in layers(layout):
        blob = Path(layout) / "blobs" / digest.replace(":", "/")
        with gzip.open(blob) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
            for member in archive:
                if match := pattern.search(member.name):
                    found[match[1]] = match[2]
    return found


def debian_packages(layout):
    """How many Debian packages the image says it has: dpkg's list, or a file for each as in images without dpkg."""
    count = 0
    for digest in layers(layout):
        blob = Path(layout) / "blobs" / digest.replace(":", "/")
        with gzip.open(blob) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if name == "var/lib/dpkg/status" and member.isfile():
                    # A later layer's list replaces an earlier one's.
                    count = archive.extractfile(member).read().count(b"\nStatus: install ok installed")
                elif re.fullmatch(r"var/lib/dpkg/status\.d/[^/]+", name) and not name.endswith(".md5sums"):
                    count += 1
    return count
