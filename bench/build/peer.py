"""The peer: buildah on Dockerfiles of the same content, from a Debian root that is made here."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from measure import run, said

HERE = Path(__file__).resolve().parent
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def missing():
    """Why buildah cannot be measured here; nothing when it can."""
    if os.geteuid():
        return "it needs root"
    return "" if shutil.which("buildah") else "it is not installed"


def debian_root(archive, suite):
    """A minimal Debian root as a tar archive. apt says which mirror is in force."""
    if archive.exists():
        return
    if not (shutil.which("mmdebstrap") or shutil.which("debootstrap")):
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap"], check=True, stdout=sys.stderr)
    sites = said("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
    # The archive's own site: the suites that are no updates of others.
    mirror = next(line.split()[0] for line in sites.splitlines() if "-" not in line.split()[1])
    if shutil.which("mmdebstrap"):
        run("mmdebstrap", "--variant=minbase", "--include=ca-certificates", f"--keyring={KEYRING}", suite, archive, mirror)
        return
    folder = archive.with_suffix("")
    run("debootstrap", "--variant=minbase", "--include=ca-certificates", f"--keyring={KEYRING}", suite, folder, mirror)
    run("tar", "--numeric-owner", "-C", folder, "-cf", archive, ".")
    shutil.rmtree(folder)


def sources():
    """Build arguments: where pip and npm fetch from on this machine, and whom they trust."""
    npm = said("npm", "config", "get", "registry")
    # Asked of uv with no project at hand: the first line that is not empty names the index.
    asked = subprocess.run(
        ["uv", "pip", "compile", "--emit-index-url", "--no-deps", "--quiet", "-"], input="", capture_output=True, text=True
    )
    index = re.search(r"--index-url (\S+)", asked.stdout)
    values = {
        "PIP_INDEX_URL": os.environ.get("PIP_INDEX_URL") or (index[1] if index else ""),
        "NPM_CONFIG_REGISTRY": npm,
    }
    if CERTIFICATES.exists():
        values |= dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"), str(CERTIFICATES))
    return {name: value for name, value in values.items() if value}


class Buildah:
    """buildah with a storage and caches of its own below `folder`."""

    def __init__(self, folder, base):
        self.folder = folder
        folder.mkdir(parents=True)
        # RUN cache mounts lie in TMPDIR, not in the storage.
        (folder / "tmp").mkdir()
        self.env = os.environ | {"TMPDIR": str(folder / "tmp")}
        container = self("from", "scratch").out.strip()
        self("add", container, base, "/")
        self("commit", "--rm", container, "localhost/base")

    def __call__(self, *arguments, check=True):
        place = ("--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", "overlay")
        return run("buildah", *place, *arguments, env=self.env, check=check)

    def build(self, dockerfile, context, tag, *more):
        trust = ("--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro") if CERTIFICATES.exists() else ()
        arguments = [f"--build-arg={name}={value}" for name, value in (sources() | {"BASE": "localhost/base"}).items()]
        how = ("--isolation", "chroot", "--pull-never", "--layers")
        return self("bud", *how, *trust, *arguments, *more, "-f", HERE / dockerfile, "-t", tag, context)

    def push(self, tag, target):
        """Compresses with gzip, as a push does."""
        return self("push", "--tls-verify=false", tag, target)

    def remove(self):
        self("rm", "--all", check=False)
        self("rmi", "--all", "--force", check=False)
        subprocess.run(["umount", "-q", self.folder / "root/overlay"], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)


def version():
    return json.loads(said("buildah", "version", "--json") or "{}").get("version", "")
