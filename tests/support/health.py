"""The service grpc.health.v1.Health of a real server, written by hand as bytes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import StringValue

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


class Health:
    """Answers with a status that a test changes."""

    def __init__(self, *, watch: bool = True, check: bool = True) -> None:
        self.status = SERVING
        self.asked: list[str] = []
        """The services that were asked for."""
        self.watching = 0
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self._changed = asyncio.Event()
        handlers: dict[str, Any] = {}
        if watch:
            handlers["Watch"] = grpc.unary_stream_rpc_method_handler(self._watch)
        if check:
            handlers["Check"] = grpc.unary_unary_rpc_method_handler(self._check)
        self.handler = grpc.method_handlers_generic_handler("grpc.health.v1.Health", handlers)

    def becomes(self, status: int) -> None:
        """Changes the status and reports that."""
        self.status = status
        self._changed.set()
        self._changed = asyncio.Event()

    async def _check(self, request: bytes, _context: Any) -> bytes:
        self.asked.append(StringValue.FromString(request).value)
        await self.goes_on.wait()
        return bytes([8, self.status])

    async def _watch(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        self.asked.append(StringValue.FromString(request).value)
        self.watching += 1
        try:
            await self.goes_on.wait()
            while True:
                changed = self._changed
                yield bytes([8, self.status])
                await changed.wait()
        finally:
            self.watching -= 1
