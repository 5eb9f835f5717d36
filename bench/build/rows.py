"""The rows of the table: what each measures, of us and of the peer, and its goal."""

import os
import re
import shutil
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Callable

import big
import layers
import ours
import peer as peers
from measure import Ran, run, said, tree_bytes

# What JupyterHub's own last freeze of its hub image moved.
PINS = ("alembic", "greenlet")
NOBODY = 65534
NOTHING = Ran(0, "", "", 0.0, 0.0, 0.0)


class Bench:
    """What several rows use, made when the first of them asks."""

    def __init__(self, scratch, binary, images, with_peer, runs, base=None):
        self.given_base = base
        self.scratch, self.images, self.with_peer, self.runs = scratch, images, with_peer, runs
        # A copy that an ordinary user can run.
        self.binary = scratch / "perijove"
        shutil.copy(binary, self.binary)
        self.made = []

    def new(self, name):
        return ours.Perijove(self.binary, self.scratch / name)

    def close(self):
        for thing in reversed(self.made):
            thing()

    @cached_property
    def base(self):
        archive = self.given_base or self.scratch / "base.tar"
        peers.debian_root(archive, "trixie")
        return archive

    def buildah(self, name):
        built = peers.Buildah(self.scratch / name, self.base)
        self.made.append(built.remove)
        return built

    @cached_property
    def registry(self):
        registry = ours.Registry(self.binary, self.scratch / "registry")
        self.made.append(registry.stop)
        return registry

    @cached_property
    def cold(self):
        """Perijove and buildah after a first build, with how those went."""
        perijove = self.new("ours")
        mine, _ = perijove.build(*self.images, "--output", f"oci:{self.scratch}/ours-cold")
        if not self.with_peer:
            return perijove, mine, None, None
        buildah = self.buildah("peer")
        return perijove, mine, buildah, self.peer_builds(buildah, "cold")

    def peer_builds(self, buildah, target, *more):
        """The images, built and compressed as Perijove's are."""
        total = NOTHING
        for image in self.images:
            ran = buildah.build(f"{image}.Dockerfile", ours.ROOT / "images" / image, f"localhost/{image}", *more)
            total += ran + buildah.push(f"localhost/{image}", f"oci:{self.scratch}/peer-{target}-{image}")
        return total

    @cached_property
    def again(self):
        """buildah from nothing with warm pip and npm caches."""
        return self.peer_builds(self.cold[2], "again", "--no-cache") if self.with_peer else None

    @cached_property
    def hub(self):
        """Layouts of the hub image: ours, and the peer's."""
        perijove, _, buildah, _ = self.cold
        perijove.build("hub", "--output", f"oci:{self.scratch}/ours-hub")
        if buildah and "hub" not in self.images:
            buildah.build("hub.Dockerfile", ours.ROOT / "images/hub", "localhost/hub")
            buildah.push("localhost/hub", f"oci:{self.scratch}/peer-cold-hub")
        return self.scratch / "ours-hub", self.scratch / "peer-cold-hub" if buildah else None

    @cached_property
    def freeze(self):
        return Freeze(self)


class Freeze:
    """The hub image with two pins one release back, pushed; then with the pins as they are, pushed again."""

    def __init__(self, bench):
        self.new_lock = (ours.ROOT / "images/hub/requirements.txt").read_text()
        pinned = {pin: re.search(rf"^{pin}==(\S+)", self.new_lock, re.M)[1] for pin in PINS}
        perijove = bench.new("freeze")
        needs = perijove.repository / "images/hub/requirements.in"
        as_is = needs.read_text()
        needs.write_text(as_is + "".join(f"{pin}<{version}\n" for pin, version in pinned.items()))
        lock = needs.with_suffix(".txt")
        # Locking runs uv and asks Debian's index: in the caches of whoever runs this.
        run(bench.binary, "lock", "hub", cwd=perijove.repository)
        self.old_lock = lock.read_text()
        needs.write_text(as_is)
        upgrades = [word for pin in PINS for word in ("--upgrade-package", pin)]
        run(bench.binary, "lock", "hub", *upgrades, cwd=perijove.repository)
        self.new_lock = lock.read_text()
        self.old, self.new = ({pin: re.search(rf"^{pin}==(\S+)", text, re.M)[1] for pin in PINS} for text in (self.old_lock, self.new_lock))
        if self.old == self.new:
            raise SystemExit(f"the pins did not move: {self.old}")
        target = f"{bench.registry.address}/ours/hub"
        lock.write_text(self.old_lock)
        perijove.build("hub", "--push", target)
        perijove.build("hub", "--push", f"{target}-empty")
        lock.write_text(self.new_lock)
        self.ran, self.result = perijove.build("hub", "--push", target)
        # On a machine that has nothing but the registry.
        perijove.forget()
        self.empty, self.empty_result = perijove.build("hub", "--push", f"{target}-empty")
        perijove.build("hub", "--output", f"oci:{bench.scratch}/ours-freeze")
        self.has = layers.versions(bench.scratch / "ours-freeze", PINS)
        self.peer = self.peer_bytes = None
        if bench.with_peer:
            self.measure_peer(bench)

    def measure_peer(self, bench):
        buildah = bench.cold[2]
        context = bench.scratch / "context"
        shutil.copytree(ours.ROOT / "images/hub", context, symlinks=True)
        target = f"docker://{bench.registry.address}/peer/hub:t"

        def build(lock, freeze):
            (context / "requirements.txt").write_text(lock)
            return buildah.build("hub.Dockerfile", context, "localhost/freeze", f"--build-arg=FREEZE={freeze}")

        build(self.old_lock, "old")
        buildah.push("localhost/freeze", target)
        before = tree_bytes(bench.registry.store)
        self.peer = build(self.new_lock, "new") + buildah.push("localhost/freeze", target)
        self.peer_bytes = (tree_bytes(bench.registry.store) - before) / 1e6
        # As most people write it, with nothing that names the change: what was built of the old lock answers.
        build(self.new_lock, "old")
        buildah.push("localhost/freeze", f"oci:{bench.scratch}/peer-stale")
        self.peer_has = layers.versions(bench.scratch / "peer-stale", PINS)


@dataclass
class Row:
    """A row: what it measures, its goal (a number not to exceed, or what the words have to begin with), and the
    measure, which gives our runs' and the peer's values."""

    what: str
    unit: str
    goal: str
    limit: float | str | None
    measure: Callable


def times(ran):
    return (ran.wall, ran.cpu) if ran else None


def one(value):
    return [value] if value is not None else None


def cold(bench):
    _, mine, _, theirs = bench.cold
    return [times(mine)], one(times(theirs))


def warm(compression):
    def measure(bench):
        perijove, mine = bench.cold[0], []
        for number in range(bench.runs):
            perijove.forget("layers")
            target = f"oci:{bench.scratch}/ours-{compression}-{number}"
            mine.append(times(perijove.build(*bench.images, "--compression", compression, "--output", target)[0]))
        return mine, one(times(bench.again)) if compression == "gzip" else None

    return measure


def unchanged(bench):
    perijove, _, buildah, _ = bench.cold
    perijove.build(*bench.images)
    mine = [times(perijove.build(*bench.images)[0]) for _ in range(2 * bench.runs)]
    if not buildah:
        return mine, None

    def build(image):
        return buildah.build(f"{image}.Dockerfile", ours.ROOT / "images" / image, f"localhost/{image}")

    return mine, [times(sum(map(build, bench.images), NOTHING)) for _ in range(bench.runs)]


def freeze(bench):
    return [times(bench.freeze.ran)], one(times(bench.freeze.peer))


def freeze_empty(bench):
    return [times(bench.freeze.empty)], None


def pushed(bench):
    return [bench.freeze.result["pushed_bytes"] / 1e6], one(bench.freeze.peer_bytes)


def fetched(bench):
    return [bench.freeze.empty_result["fetched_bytes"] / 1e6], None


def same(bench):
    _, theirs = bench.hub
    other = bench.new("other")
    # Nothing of the first build is at hand, and the surroundings differ.
    other.env |= {"TZ": "Pacific/Chatham", "LC_ALL": "C"}
    other.build("hub", "--output", f"oci:{bench.scratch}/ours-other")
    mine = differ(bench.hub[0], bench.scratch / "ours-other")
    if not theirs:
        return [mine], None
    assert bench.again
    return [mine], [differ(theirs, bench.scratch / "peer-again-hub")]


def differ(first, second):
    first, second = layers.layers(first), layers.layers(second)
    return f"{len(set(second) - set(first))} of {len(second)}"


def wrong(bench):
    frozen = bench.freeze
    mine = [right_or_wrong(frozen.has, frozen.new)]
    return mine, [right_or_wrong(frozen.peer_has, frozen.new)] if frozen.peer else None


def right_or_wrong(has, locked):
    text = ", ".join(f"{pin} {version}" for pin, version in sorted(has.items()))
    return f"{'never' if has == locked else 'YES'}: {text}"


def size(bench):
    mine, theirs = bench.hub
    total = lambda layout: sum(layers.layers(layout).values()) / 1e6  # noqa: E731
    return [total(mine)], one(theirs and total(theirs))


def packages(bench):
    mine, theirs = bench.hub
    return [layers.debian_packages(mine)], one(theirs and layers.debian_packages(theirs))


def memory(bench):
    perijove = ours.Perijove(bench.binary, bench.scratch / "big", images=False)
    # By a program of its own: a child's peak counts what its parent held when it was started.
    digest = run(sys.executable, big.__file__, perijove.repository).out.strip()
    index = big.Index(perijove.repository / big.WHEEL, digest)
    perijove.env["PERIJOVE_PYTHON_INDEX"] = index.url
    try:
        mine, _ = perijove.build("--output", f"oci:{bench.scratch}/ours-big")
    finally:
        index.stop()
    if not bench.with_peer:
        return [mine.peak_mb], None
    # The same bytes as plain files: buildah has no other way to take them without a container.
    context = perijove.repository / "images/big"
    shutil.move(perijove.repository / big.WHEEL, context / "rootfs")
    buildah = bench.buildah("peer-big")
    ran = buildah.build("big.Dockerfile", context, "localhost/big")
    ran += buildah.push("localhost/big", f"oci:{bench.scratch}/peer-big-image")
    return [mine.peak_mb], [ran.peak_mb]


def rights(bench):
    """Builds as an ordinary user, and looks for system calls that make namespaces or mounts."""
    perijove = bench.new("rights")
    under = ()
    if os.geteuid() == 0:
        run("chown", "-R", f"{NOBODY}:{NOBODY}", perijove.folder)
        under = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs")
        perijove.env["HOME"] = str(perijove.folder)
    log = perijove.folder / "calls"
    if said("strace", "--version"):
        under += ("strace", "-f", "-qq", "-o", str(log), "-e", "trace=unshare,setns,clone,clone3,mount,chroot,pivot_root")
    perijove.build("proxy", "--output", f"oci:{perijove.folder}/image", under=under)
    mine = "an ordinary user"
    if log.exists():
        calls = re.findall(r"CLONE_NEW\w+|\b(?:unshare|setns|mount|chroot|pivot_root)\(", log.read_text())
        mine += f", {', '.join(sorted(set(calls))) or 'no namespace, no mount'}"
    if not bench.with_peer:
        return [mine], None
    # The least that a Dockerfile does: a root, and one program run in it.
    context = perijove.folder / "context"
    context.mkdir()
    shutil.copy(bench.base, context / "base.tar")
    (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\nRUN true\n")
    run("chown", "-R", f"{NOBODY}:{NOBODY}", context)
    user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    place = ("--root", f"{perijove.folder}/b", "--runroot", f"{perijove.folder}/r", "--storage-driver", "vfs")
    env = os.environ | {"HOME": str(perijove.folder), "XDG_RUNTIME_DIR": str(perijove.folder), "TMPDIR": str(context)}
    tried = run(*user, "buildah", *place, "bud", "--isolation", "chroot", context, env=env, check=False)
    return [mine], ["an ordinary user" if tried.code == 0 else "root, or ids in /etc/subuid"]


def demo_first(bench):
    perijove = bench.new("demo")
    bench.demo = perijove
    return [ours.demo(perijove, "builtin")[1]], None


def bare(bench):
    """`make demo` with nothing compiled and nothing fetched but Debian's packages and the toolchains."""
    return [ours.make_demo(bench.scratch / "bare")], None


def demo_again(which):
    def measure(bench):
        if not hasattr(bench, "demo"):
            demo_first(bench)
        return [ours.demo(bench.demo, "builtin")[which] for _ in range(bench.runs)], None

    return measure


ROWS = {
    "cold": Row("hub image, cold caches, downloads included", "s", "≤ 25 s", 25, cold),
    "gzip": Row("again, warm package caches, gzip", "s", "≤ 5 s", 5, warm("gzip")),
    "zstd": Row("again, warm package caches, zstd", "s", "≤ 3 s", 3, warm("zstd")),
    "unchanged": Row("nothing changed", "s", "≤ 0.1 s", 0.1, unchanged),
    "freeze": Row("one freeze of two pins, pushed", "s", "≤ 1 s", 1, freeze),
    "empty": Row("the same, nothing at hand but the registry", "s", "", None, freeze_empty),
    "pushed": Row("bytes to push for it", "MB", "≤ 1.0 MB", 1.0, pushed),
    "fetched": Row("bytes to fetch for it, nothing at hand but the registry", "MB", "", None, fetched),
    "same": Row("layers changed when nothing changed", "", "0", "0 of", same),
    "wrong": Row("wrong image after a changed input", "", "never", "never", wrong),
    "size": Row("hub image, gzip", "MB", "≤ 100 MB", 100, size),
    "packages": Row("Debian packages in it", "", "", None, packages),
    "memory": Row("peak memory of a 1 GB image's build", "MB", "≤ 200 MB", 200, memory),
    "rights": Row("rights to build", "", "an ordinary user, no namespace", "an ordinary user, no namespace", rights),
    "bare": Row("`make demo` on a bare machine, compiling included: command to login page", "s", "≤ 360 s", 360, bare),
    "demo": Row("demo, empty caches: command to login page", "s", "≤ 60 s", 60, demo_first),
    "demo-page": Row("demo, later: container's start to login page", "s", "≤ 4 s", 4, demo_again(0)),
    "demo-all": Row("demo, later: command to login page", "s", "≤ 10 s", 10, demo_again(1)),
}
