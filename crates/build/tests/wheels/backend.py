"""A build backend that needs nothing but Python (PEP 517)."""
import os
import time
import zipfile

INFO = "@NAME@-@VERSION@.dist-info"
METADATA = "Metadata-Version: 2.1\nName: @NAME@\nVersion: @VERSION@\n"


def get_requires_for_build_wheel(config_settings=None):
    return []


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    files = {
        "@NAME@.py": "x = 1\n",
        INFO + "/METADATA": METADATA,
        INFO + "/WHEEL": "Wheel-Version: 1.0\nGenerator: made %r\nRoot-Is-Purelib: true\nTag: py3-none-any\n" % time.time(),
        INFO + "/RECORD": "@NAME@.py,,\n",
    }
    @LINE@
    names = sorted(files, reverse=os.getpid() % 2 == 0)
    with zipfile.ZipFile(os.path.join(wheel_directory, "@WHEEL@"), "w", zipfile.ZIP_DEFLATED) as wheel:
        for name in names:
            wheel.writestr(zipfile.ZipInfo(name, time.gmtime()[:6]), files[name])
    return "@WHEEL@"
