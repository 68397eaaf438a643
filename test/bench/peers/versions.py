"""What the peers run on, as one JSON object: Python, the modules that are installed, the BLAS that numpy calls.

    /usr/bin/python3 test/bench/peers/versions.py
"""

import importlib
import json
import platform
from pathlib import Path


def version(module):
    try:
        return importlib.import_module(module).__version__
    except ImportError:
        return None


def blas():
    """The library that numpy has loaded; Debian chooses it by alternatives, so numpy's own build does not know."""
    maps = Path("/proc/self/maps")
    if version("numpy") is None or not maps.exists():
        return None
    files = {line.split()[-1] for line in maps.read_text().splitlines() if "blas" in line.rsplit("/", 1)[-1]}
    return sorted(str(Path(file).resolve()) for file in files)


# numpy before torch, so that what is found is numpy's own.
found = {"python": platform.python_version(), "numpy": version("numpy"), "blas": blas()}
for name in ("torch", "torchvision", "PIL", "sklearn"):
    found[name] = version(name)
print(json.dumps(found))
