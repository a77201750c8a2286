"""The back end of the soak test: counts its answers to each call in a shared file.

`python -m benchmarks.soak_backend PORT LEDGER`; prints a line when it serves, drains on SIGTERM.
"""

import asyncio
import mmap
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio

SERVICE = "soak.v1.Soak"
LEDGER_BYTES = 64 * 1024 * 1024
"""One byte for each call; untouched pages of the file use no space."""
STREAMED = 20
_AGE_MS, _GRACE_MS, _DRAIN_S = 700, 10_000, 0.5


def call_id(message: bytes) -> int:
    """The id of a message's call: its first eight bytes."""
    return int.from_bytes(message[:8], "big")


class Soak:
    """Answers calls, and records that it did."""

    def __init__(self, ledger: mmap.mmap) -> None:
        self._ledger = ledger

    def _note(self, message: bytes) -> None:
        place = call_id(message) % LEDGER_BYTES
        self._ledger[place] = min(255, self._ledger[place] + 1)

    async def echo(self, request: bytes, _: object) -> bytes:
        self._note(request)
        return request

    async def sleep(self, request: bytes, _: object) -> bytes:
        self._note(request)
        await asyncio.sleep(1)
        return request

    async def repeat(self, request: bytes, _: object) -> AsyncIterator[bytes]:
        self._note(request)
        for number in range(STREAMED):
            yield request + bytes((number,))

    async def gather(self, requests: AsyncIterator[bytes], _: object) -> bytes:
        first, count = b"", 0
        async for request in requests:
            first, count = first or request, count + 1
        self._note(first)
        return first[:8] + bytes((count,))

    async def talk(self, requests: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
        is_first = True
        async for request in requests:
            if is_first:
                self._note(request)
            is_first = False
            yield request


def _handler(soak: Soak) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "Echo": grpc.unary_unary_rpc_method_handler(soak.echo),
            "Sleep": grpc.unary_unary_rpc_method_handler(soak.sleep),
            "Repeat": grpc.unary_stream_rpc_method_handler(soak.repeat),
            "Gather": grpc.stream_unary_rpc_method_handler(soak.gather),
            "Talk": grpc.stream_stream_rpc_method_handler(soak.talk),
        },
    )


async def serve(port: int, ledger: mmap.mmap) -> None:
    """Serves until SIGTERM, then drains; sends GOAWAY on each connection regularly."""
    options = [("grpc.max_connection_age_ms", _AGE_MS),
               ("grpc.max_connection_age_grace_ms", _GRACE_MS),
               ("grpc.max_concurrent_streams", 100)]  # fmt: skip
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((_handler(Soak(ledger)),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    print("serving", flush=True)
    await stopping.wait()
    await server.stop(_DRAIN_S)


def main(port: str, ledger: str) -> None:
    """Serves on `port`, with the ledger at this path."""
    with Path(ledger).open("r+b") as file, mmap.mmap(file.fileno(), LEDGER_BYTES) as pages:
        asyncio.run(serve(int(port), pages))


if __name__ == "__main__":
    main(*sys.argv[1:])
