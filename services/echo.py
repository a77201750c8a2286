"""The echo service: returns its input, and fails, waits or adds metadata on request."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterable

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from gen.echo.v1 import echo_pb2 as pb
from gen.echo.v1 import echo_pb2_grpc as rpc
from services import serving
from services.refusal import Context, Refusal, check_metadata, invalid

DOMAIN = "echo.example.com"
SLEEP_LIMIT_S = 60
REPEAT_LIMIT = 100_000


class EchoService(rpc.EchoServiceServicer):
    """echo.v1.EchoService."""

    async def Echo(self, request: pb.EchoRequest, context: Context) -> pb.EchoResponse:
        """Returns the request and its metadata."""
        response = _response(context, request.text)
        response.rest = request.rest
        response.number = request.number
        response.words.extend(request.words)
        if request.HasField("inner"):
            response.inner.CopyFrom(request.inner)
        return response

    async def Fail(self, request: pb.FailRequest, context: Context) -> pb.EchoResponse:
        """Fails with the requested status."""
        raise _failure(request.code, request.message, request.reason, request.details)

    async def Sleep(self, request: pb.SleepRequest, context: Context) -> pb.SleepResponse:
        """Answers late."""
        started_s = time.monotonic()
        await asyncio.sleep(_pause_s("duration", request.duration))
        response = pb.SleepResponse()
        response.slept.FromNanoseconds(int((time.monotonic() - started_s) * 1e9))
        return response

    async def SendMetadata(
        self, request: pb.SendMetadataRequest, context: Context
    ) -> pb.EchoResponse:
        """Answers with the requested metadata."""
        headers, trailers = _pairs(request.headers), _pairs(request.trailers)
        check_metadata("headers", headers)
        check_metadata("trailers", trailers)
        await context.send_initial_metadata(headers)
        context.set_trailing_metadata(trailers)
        return _response(context, "")

    async def Repeat(
        self, request: pb.RepeatRequest, context: Context
    ) -> AsyncIterator[pb.EchoResponse]:
        """Answers many times, then ends with the requested status."""
        if not 0 <= request.count <= REPEAT_LIMIT:
            raise invalid(("count", f"expected 0 to {REPEAT_LIMIT}"))
        pause_s = _pause_s("interval", request.interval)
        for number in range(1, request.count + 1):
            if pause_s and number > 1:
                await asyncio.sleep(pause_s)
            yield pb.EchoResponse(text=request.text, number=number)
        if request.code:
            raise _failure(request.code, f"failed after {request.count}", "", ())


def register(server: grpc.aio.Server) -> str:
    """Adds the service to a server."""
    rpc.add_EchoServiceServicer_to_server(EchoService(), server)
    return pb.DESCRIPTOR.services_by_name["EchoService"].full_name


def _response(context: Context, text: str) -> pb.EchoResponse:
    response = pb.EchoResponse(text=text)
    for name, value in context.invocation_metadata():
        if isinstance(value, bytes):
            response.metadata.add(name=name, binary_value=value)
        else:
            response.metadata.add(name=name, value=value)
    remaining_s = context.time_remaining()
    if remaining_s is not None:
        response.time_remaining.FromNanoseconds(int(remaining_s * 1e9))
    return response


def _failure(code: int, message: str, reason: str, details: Iterable[Message]) -> Refusal:
    if not 1 <= code <= 16:
        return invalid(("code", "expected 1 to 16 (google/rpc/code.proto)"))
    info = [error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)] if reason else []
    return Refusal(code, message, *details, *info)


def _pause_s(field: str, duration: Duration) -> float:
    pause_s = duration.ToNanoseconds() / 1e9
    if not 0 <= pause_s <= SLEEP_LIMIT_S:
        raise invalid((field, f"expected 0s to {SLEEP_LIMIT_S}s"))
    return pause_s


def _pairs(metadata: Iterable[pb.Metadatum]) -> tuple[tuple[str, str | bytes], ...]:
    return tuple(
        (one.name, one.binary_value if one.WhichOneof("kind") == "binary_value" else one.value)
        for one in metadata
    )


if __name__ == "__main__":
    sys.exit(serving.main({"echo": register}))
