"""HAProxy with the settings of `deploy/haproxy`, in front of gateways on ports of 127.0.0.1."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.polling import first

SETTINGS = Path(__file__).parents[2] / "deploy/haproxy/haproxy.cfg"


def settings_for(port: int, gateways: Sequence[int], **changes: str) -> str:
    """The settings with these ports; `changes` are other values of lines, by their first word."""
    text = SETTINGS.read_text().replace("0.0.0.0:8000", f"127.0.0.1:{port}")
    for number, gateway in enumerate(gateways, 1):
        text = text.replace(f"gateway-{number}:8080", f"127.0.0.1:{gateway}")
    for name, value in changes.items():
        line = name.replace("_", "-")
        text, count = re.subn(rf"(?m)^(\s*){line} .*$", rf"\g<1>{line} {value}", text)
        assert count == 1, f"{line} is in {count} lines of {SETTINGS}"
    return text


@asynccontextmanager
async def haproxy(place: Path, settings: str, port: int) -> AsyncIterator[None]:
    """Runs HAProxy while the block runs, from when it listens."""
    binary = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if binary is None:
        pytest.skip("needs haproxy: apt-get install haproxy")
    file, log = place / "haproxy.cfg", place / "haproxy.log"
    file.write_text(settings)
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *(binary, "-db", "-f", str(file)), stdout=said, stderr=said
        )

    async def listens() -> bool:
        assert process.returncode is None, log.read_text()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return False
        writer.close()
        return True

    try:
        await first(listens, bool)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
