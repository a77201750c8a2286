"""A gateway that is the first process of a container, here of a namespace of process ids."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services import echo
from services.serving import serve
from tests.support.polling import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]


def children(pid: int) -> dict[int, str]:
    """The children of a process with their states (proc(5)); Z for one that nobody has reaped."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        state = Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2]
        found[int(child)] = state[0]
    return found


@asynccontextmanager
async def first_process(
    said: Path, *flags: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A gateway that is process 1, with its process id outside, once it serves."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare for a namespace: apt-get install util-linux")
    async with serve(echo.register) as backend:
        with said.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
                *(sys.executable, "-m", "gateway", "serve", "--listen", "127.0.0.1:0", *flags),
                *("--descriptors", "gen/descriptors.binpb", "--service", "echo.v1.*"),
                *("--upstream", backend),
                stderr=stderr,
            )
        try:
            await until(
                lambda: "serving" in said.read_text() or process.returncode is not None,
                within_s=30,
            )
            text = await asyncio.to_thread(said.read_text)
            if text.startswith("unshare:"):
                pytest.skip(f"needs a machine that permits namespaces: {text}")
            (pid,) = children(process.pid)
            yield process, pid
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def test_it_reaps_what_others_leave_behind_and_ends_in_order(tmp_path: Path) -> None:
    async with first_process(tmp_path / "stderr", "--workers", "2") as (process, pid):
        await until(lambda: len(children(pid)) >= 3)  # and the tracker of multiprocessing
        own = set(children(pid))
        # Its parent ends at once, so it becomes a child of the gateway.
        left = await asyncio.create_subprocess_exec(
            *("nsenter", "--target", str(pid), "--pid", "sh", "-c", "sleep 60 & exit 0")
        )
        assert await left.wait() == 0
        (orphan,) = set(children(pid)) - own
        os.kill(orphan, signal.SIGKILL)
        await until(lambda: not Path(f"/proc/{orphan}").exists(), within_s=10)
        assert set(children(pid)) == own
        os.kill(pid, signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
