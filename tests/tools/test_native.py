"""The file of the native codec, if this machine has built it."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="names of libraries as in ELF files")
def test_the_native_codec_needs_the_library_of_no_python() -> None:
    """One file serves all Pythons; a library of one version is not there for the others."""
    found = importlib.util.find_spec("gateway_native")
    if found is None or found.origin is None:
        pytest.skip("the native codec is not built: `make native`")
    assert b"libpython" not in Path(found.origin).read_bytes()
