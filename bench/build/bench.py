#!/usr/bin/env python3
"""Image builds beside buildah: times, bytes and rights as a Markdown table with ratios.

    bench/build/bench.py [--perijove PATH] [--only ROW,ROW] [--without ROW,ROW] [--images hub,proxy] [--runs N]
                         [--no-peer] [--scratch DIR]

Builds images/hub (with --images also images/proxy, for npm) with Perijove, and with buildah from hub.Dockerfile and
proxy.Dockerfile, which say the same as one usually writes it. Both start from empty folders. The peer needs root, buildah and mmdebstrap or
debootstrap (installed when missing) and fetches a Debian root before anything is measured. `uv`, npm and apt are
asked where packages come from. Rows, each by its name for --only:

{rows}

Seconds are the clock's, with the CPU's in brackets: on a shared machine those are the steadier ones.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

import peer as peers
import rows
from measure import figure
from ours import ROOT


def cell(value, unit):
    """A value for the table: seconds with CPU, a number, or words."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        wall, cpu = value
        return f"{figure(wall)} s ({figure(cpu)})"
    return f"{figure(value)} {unit}".strip()


def number(value):
    value = value[0] if isinstance(value, tuple) else value
    return value if isinstance(value, (int, float)) else None


def middle(values):
    """The median of several runs' figures; words are the same in each."""
    if isinstance(values[0], tuple):
        return tuple(statistics.median(part) for part in zip(*values))
    return statistics.median(values) if number(values[0]) is not None else values[-1]


def ratios(ours, theirs):
    """Ours by the peer's; of times the CPU's in brackets."""
    pairs = zip(*(value if isinstance(value, tuple) else (number(value),) for value in (ours, theirs)))
    parts = [figure(mine / other) for mine, other in pairs if mine is not None and other]
    return "" if not parts else f"**{parts[0]}**" + "".join(f" ({part})" for part in parts[1:])


def is_met(row, ours):
    if isinstance(row.limit, str):
        return ours.startswith(row.limit)
    return number(ours) <= row.limit


def line(row, ours, theirs):
    ratio = ratios(ours, theirs) if theirs is not None else ""
    met = "" if row.limit is None else ": met" if is_met(row, ours) else ": MISSED"
    return f"| {row.what} | {ratio} | {cell(ours, row.unit)} | {cell(theirs, row.unit)} | {row.goal}{met} |"


def main():
    listed = "\n".join(f"    {name:<10} {row.what}" for name, row in rows.ROWS.items())
    parser = argparse.ArgumentParser(
        description=__doc__.format(rows=listed), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--perijove", type=Path, default=ROOT / "target/release/perijove", help="the binary")
    parser.add_argument("--only", help="rows, separated by commas (default: all)")
    parser.add_argument("--without", default="", help="rows to leave out")
    parser.add_argument("--images", default="hub", help="what the rows of times build: hub, proxy, or both")
    parser.add_argument("--runs", type=int, default=3, help="runs of what takes seconds; the rest runs once")
    parser.add_argument("--no-peer", action="store_true", help="Perijove alone")
    parser.add_argument("--base", type=Path, help="the Debian root as a tar archive; made there when it is missing")
    parser.add_argument("--scratch", type=Path, help="folder on the disk to measure (default: a temporary one)")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else list(rows.ROWS)
    wanted = [name for name in wanted if name not in options.without.split(",")]
    for name in wanted:
        if name not in rows.ROWS:
            parser.error(f"no row `{name}`: {', '.join(rows.ROWS)}")
    if not options.perijove.is_file():
        parser.error(f"{options.perijove} is not there: cargo build --release -p perijove, or --perijove PATH")
    reason = "--no-peer" if options.no_peer else peers.missing()
    if reason:
        print(f"left out: buildah: {reason}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="image-bench-", dir=options.scratch) as scratch:
        # An ordinary user builds here, too.
        os.chmod(scratch, 0o711)
        images = options.images.split(",")
        bench = rows.Bench(Path(scratch), options.perijove.resolve(), images, not reason, options.runs, options.base)
        try:
            print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; buildah {peers.version()}\n")
            print("| | ours / buildah (CPU) | Perijove | buildah | goal |\n|---|---:|---:|---:|---|")
            for name in wanted:
                row = rows.ROWS[name]
                print(f"{name}: load {os.getloadavg()[0]:.1f}", file=sys.stderr)
                ours, theirs = row.measure(bench)
                print(line(row, middle(ours), middle(theirs) if theirs else None), flush=True)
        finally:
            bench.close()


if __name__ == "__main__":
    main()
