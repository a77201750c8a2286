"""Builds the native JSON codec from `native/`: `python -m tools.native`.

The module comes to the folder of the project, where Python finds it before everything else. It is
one file for all Pythons from 3.11 on (abi3), and needs cargo, the tool of Rust, only to be built.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATE = ROOT / "native"
MODULE = "gateway_native.abi3.so"
_CARGO = ["build", "--release", "--quiet"]


def build(place: Path) -> Path:
    """Builds the module into a folder; returns its path."""
    work = CRATE / "target"
    environment = os.environ | {
        "PYO3_PYTHON": sys.executable,
        "CARGO_TARGET_DIR": str(work),
        # Else it needs the libpython of this Python, which other machines and versions lack.
        "PYO3_BUILD_EXTENSION_MODULE": "1",
    }
    if sys.platform == "darwin":  # the names of Python are found when the module is loaded
        environment["RUSTFLAGS"] = "-C link-arg=-undefined -C link-arg=dynamic_lookup"
    print("native codec: compiling the Rust, a minute or more ...", file=sys.stderr, flush=True)
    subprocess.run(["cargo", *_CARGO], cwd=CRATE, env=environment, check=True)  # noqa: S607
    suffix = "dylib" if sys.platform == "darwin" else "so"
    place.mkdir(parents=True, exist_ok=True)
    # Another file in its place: a process may have the one before in use.
    fresh = place / f".{MODULE}"
    shutil.copyfile(work / "release" / f"libgateway_native.{suffix}", fresh)
    return fresh.replace(place / MODULE)


def lacking() -> str:
    """The missing requirement of building, and how to install it; empty if there is none."""
    return "" if shutil.which("cargo") else "the native codec needs cargo: apt-get install cargo"


def main() -> int:
    """Builds the module into the folder of the project."""
    if missing := lacking():
        print(missing, file=sys.stderr)
        return 1
    print(build(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
