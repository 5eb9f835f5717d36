"""An image repository of one image of 1 GB: one large wheel, from an index on loopback, and plain files."""

import base64
import hashlib
import http.server
import json
import random
import sys
import threading
import zipfile
from pathlib import Path

MB = 1 << 20
WHEEL = "big-1.0-py3-none-any.whl"
SETTINGS = """
[repository]
platforms = ["linux/amd64"]
[image.big]
version = "1.0"
base = { debian = "trixie" }
python = "requirements.txt"
python-version = "3.13"
glibc = "2.41"
files = "rootfs"
"""


def contents(rng, count):
    """Half of it compresses well, half not at all: files of 64 MB."""
    for index in range(count):
        page = b"".join(b"%d,%d,sample\n" % (n, rng.randrange(1000)) for n in range(60_000))[:MB]
        yield index, [rng.randbytes(MB) if index % 2 else page for _ in range(64)]


def write(repository):
    """Writes the repository, and gives the wheel's digest."""
    rng = random.Random(20260101)
    image = repository / "images/big"
    files = image / "rootfs/srv/data"
    files.mkdir(parents=True)
    for index, pieces in contents(rng, 8):
        (files / f"{index}.csv").write_bytes(b"".join(pieces))
    wheel = repository / WHEEL
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        record = ["big-1.0.dist-info/RECORD,,"]

        def add(name, pieces):
            digest, size = hashlib.sha256(), 0
            with archive.open(name, "w") as out:
                for piece in pieces:
                    digest.update(piece)
                    size += len(piece)
                    out.write(piece)
            hashed = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={hashed},{size}")

        for index, pieces in contents(rng, 8):
            add(f"big/{index}.so", pieces)
        add("big-1.0.dist-info/METADATA", [b"Metadata-Version: 2.1\nName: big\nVersion: 1.0\n"])
        add("big-1.0.dist-info/WHEEL", [b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"])
        archive.writestr("big-1.0.dist-info/RECORD", "\n".join(record) + "\n")
    digest = hashlib.file_digest(wheel.open("rb"), "sha256").hexdigest()
    size = wheel.stat().st_size
    (repository / "perijove.toml").write_text(SETTINGS)
    none = "sha256:" + hashlib.sha256(b"").hexdigest()
    (image / "debs.lock").write_text(
        f"version 1\ninput {none}\ncodename trixie\nplatforms linux/amd64\nsuite trixie 2026-09-12T07:55:41Z {none}\n"
    )
    (image / "requirements.txt").write_text(
        f"big==1.0 \\\n    --hash=sha256:{digest}\n    # wheel: {WHEEL} {size} bytes sha256:{digest[:12]}\n"
    )
    return digest


class Index:
    """A package index (PEP 691) with the one wheel."""

    def __init__(self, wheel, digest):
        size = wheel.stat().st_size
        page = {
            "meta": {"api-version": "1.1"},
            "name": "big",
            "files": [{"filename": WHEEL, "url": f"/files/{WHEEL}", "size": size, "hashes": {"sha256": digest}}],
        }

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(page).encode()
                is_page = self.path == "/simple/big/"
                self.send_response(200 if is_page or self.path.startswith("/files/") else 404)
                self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json" if is_page else "application/zip")
                self.send_header("Content-Length", str(len(body) if is_page else size))
                self.end_headers()
                if is_page:
                    self.wfile.write(body)
                else:
                    with open(wheel, "rb") as file:
                        while piece := file.read(MB):
                            self.wfile.write(piece)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
