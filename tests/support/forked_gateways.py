"""Gateways of one port in processes that are forked, and so start in some milliseconds.

`python -m tests.support.forked_gateways SETTINGS COUNT` keeps COUNT of them until SIGTERM: another
takes the place of each that ends. The workers of a gateway are spawned, which takes a second.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import yaml

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from gateway.listeners.sockets import Sockets, open_shared


async def _serve(config: Config, sockets: Sockets) -> None:
    async with open_gateway(config, sockets=sockets):
        await asyncio.Event().wait()


def _fork(config: Config, sockets: Sockets) -> int:
    """Starts a gateway in a process of its own; returns its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        asyncio.run(_serve(config, sockets))
    finally:
        os._exit(1)


def main(settings: Path, count: int) -> None:
    """Replaces gateways that end, until SIGTERM; then kills them."""
    config = Config.model_validate(yaml.safe_load(settings.read_text()))
    running: dict[int, Sockets] = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        for sockets in open_shared(config.listen, count):
            running[_fork(config, sockets)] = sockets
        while True:
            sockets = running.pop(os.wait()[0])
            running[_fork(config, sockets)] = sockets
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
