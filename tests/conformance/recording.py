"""The back end of the rows: answers as a row says, over real gRPC, and keeps what it was sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2

from tests.support.schema import descriptor_pool, descriptor_set

HERE = Path(__file__).parent
SERVICE = "conformance.v1.Conformance"
Case = dict[str, Any]


@cache
def files() -> FileDescriptorSet:
    return descriptor_set(conformance=(HERE / "conformance.proto").read_text(encoding="utf-8"))


@cache
def pool() -> DescriptorPool:
    return descriptor_pool(files())


class Recorder:
    """A back end that answers as a row says, and keeps what it was sent."""

    def __init__(self) -> None:
        self.got: tuple[str, bytes] | None = None
        self.metadata: list[tuple[str, str | bytes]] = []
        self.reply: bytes = b""
        self.replies: list[bytes] = []
        self.streamed: list[bytes] = []
        self.case: Case = {}

    def handlers(self) -> dict[str, Any]:
        def handler(name: str) -> Any:
            async def answer(request: bytes, context: Any) -> bytes:
                self.called(name, request, context)
                await self._decorate(context)
                await self._fail(context)
                return self.reply

            return grpc.unary_unary_rpc_method_handler(answer)

        methods = pool().FindServiceByName(SERVICE).methods
        return {m.name: handler(m.name) for m in methods if not m.server_streaming} | {
            m.name: self._stream_handler(m) for m in methods if m.server_streaming
        }

    def operations(self) -> dict[str, Any]:
        """Shows an operation as the row says; without it, the service is not there."""

        async def show(_request: bytes, _context: Any) -> bytes:
            kind = pool().FindMessageTypeByName("google.longrunning.Operation")
            shown = GetMessageClass(kind)()
            json_format.Parse(self.case["operation"], shown, descriptor_pool=pool())
            wire: bytes = shown.SerializeToString()
            return wire

        return {"GetOperation": grpc.unary_unary_rpc_method_handler(show)}

    def called(self, name: str, request: bytes, context: Any) -> None:
        self.got = (name, request)
        self.metadata = [(k, v) for k, v in context.invocation_metadata()]

    def _stream_handler(self, method: MethodDescriptor) -> Any:
        async def answer(requests: Any, context: Any) -> AsyncIterator[bytes]:
            self.streamed = (
                [requests] if isinstance(requests, bytes) else [one async for one in requests]
            )
            self.called(method.name, b"".join(self.streamed), context)
            await self._decorate(context)
            if not self.case.get("fail", {}).get("late"):
                await self._fail(context)
            for reply in self.replies:
                yield reply
            await self._fail(context)

        if method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(answer)
        return grpc.unary_stream_rpc_method_handler(answer)

    async def _decorate(self, context: Any) -> None:
        sent = self.case.get("metadata", {})
        await context.send_initial_metadata([(k, _value(k, v)) for k, v in sent.items()])
        context.set_trailing_metadata(tuple(self.case.get("trailers", {}).items()))

    async def _fail(self, context: Any) -> None:
        fail = self.case.get("fail")
        if fail is None:
            return
        if "details" in fail:
            status = status_pb2.Status(code=fail.get("details_code", fail["code"]), message="?")
            json_format.ParseDict({"details": fail["details"]}, status, descriptor_pool=pool())
            wire = status.SerializeToString()
            context.set_trailing_metadata((("grpc-status-details-bin", wire),))
        if "raw_details" in fail:
            raw = bytes.fromhex(fail["raw_details"])
            context.set_trailing_metadata((("grpc-status-details-bin", raw),))
        codes = {code.value[0]: code for code in grpc.StatusCode}
        await context.abort(codes[fail["code"]], fail.get("message", ""))


def _value(name: str, text: str) -> str | bytes:
    return bytes.fromhex(text) if name.endswith("-bin") else text


@asynccontextmanager
async def backend() -> AsyncIterator[tuple[str, Recorder]]:
    recorder = Recorder()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    services = {
        SERVICE: recorder.handlers(),
        "google.longrunning.Operations": recorder.operations(),
    }
    made = [grpc.method_handlers_generic_handler(name, own) for name, own in services.items()]
    server.add_generic_rpc_handlers(tuple(made))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}", recorder
    finally:
        await server.stop(None)
