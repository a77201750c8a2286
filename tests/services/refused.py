"""What a refused call said."""

from collections.abc import Awaitable
from typing import Any

import grpc.aio
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from grpc_status import rpc_status


async def refusal(call: Awaitable[Any]) -> tuple[str, list[Any]]:
    """The code's name and the unpacked details of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return code_and_details(caught.value)


async def stream_refusal(call: Any) -> tuple[str, list[Any]]:
    """The same of a stream that must fail after whatever it sent."""
    return await refusal(_read_all(call))


async def violations(call: Awaitable[Any]) -> list[str]:
    """The fields that a call refused as INVALID_ARGUMENT blames."""
    code, details = await refusal(call)
    assert code == "INVALID_ARGUMENT"
    return [violation.field for violation in details[0].field_violations]


def code_and_details(error: grpc.aio.AioRpcError) -> tuple[str, list[Any]]:
    """The code's name and the unpacked details."""
    # grpc-status takes it for a call: it answers the same three questions.
    status = rpc_status.from_call(error)
    return error.code().name, [_unpacked(detail) for detail in status.details] if status else []


async def _read_all(call: Any) -> None:
    # Not `async for`, which grpc refuses once a test has called `read`.
    while await call.read() is not grpc.aio.EOF:
        pass


def _unpacked(detail: AnyMessage) -> Any:
    descriptor = descriptor_pool.Default().FindMessageTypeByName(detail.TypeName())
    message = message_factory.GetMessageClass(descriptor)()
    assert detail.Unpack(message)
    return message
