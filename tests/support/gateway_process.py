"""A `gateway serve` in a process of its own, with settings from a file."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml


@asynccontextmanager
async def gateway_process(place: Path, **config: Any) -> AsyncIterator[int]:
    """A `gateway serve` of its own; its port."""
    file, said = _written(place, config), place / "stderr"
    with said.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve", "--config", str(file)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        async with asyncio.timeout(40):
            while not (found := re.search(r"serving .* on http://[\d.]+:(\d+)", said.read_text())):
                assert process.returncode is None, said.read_text()
                await asyncio.sleep(0.05)
        yield int(found[1])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


def _written(place: Path, config: dict[str, Any]) -> Path:
    place.mkdir()
    file = place / "gateway.yaml"
    file.write_text(yaml.safe_dump(config))
    return file
