"""The errors of the sample back ends: statuses with google/rpc/error_details.proto details."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

DOMAIN = "library.example.com"
Context = Any  # grpc.aio.ServicerContext, which is generic over types that handlers do not need
Handler = Any  # grpc.RpcMethodHandler, whose stubs lack its fields

_METADATA_NAME = re.compile(r"(?!grpc-)[0-9a-z_.-]+")


class Refusal(Exception):  # noqa: N818 - a refusal is an expected answer, not a fault
    """Ends a call with a code of google/rpc/code.proto, a message, and details."""

    def __init__(self, code: int, message: str, *details: Message) -> None:
        super().__init__(message)
        self.status = status_pb2.Status(code=code, message=message)
        for detail in details:
            packed = detail if isinstance(detail, AnyMessage) else AnyMessage()
            if packed is not detail:
                packed.Pack(detail)
            self.status.details.append(packed)


def not_found(kind: str, name: str) -> Refusal:
    """The error for a resource that does not exist."""
    info = error_details_pb2.ResourceInfo(
        resource_type=f"{DOMAIN}/{kind}", resource_name=name, description="does not exist"
    )
    return Refusal(code_pb2.NOT_FOUND, f"{name} does not exist", info)


def already_exists(kind: str, name: str) -> Refusal:
    """The error for a name that is taken."""
    info = error_details_pb2.ResourceInfo(
        resource_type=f"{DOMAIN}/{kind}", resource_name=name, description="exists already"
    )
    return Refusal(code_pb2.ALREADY_EXISTS, f"{name} exists already", info)


def invalid(*violations: tuple[str, str]) -> Refusal:
    """The error for invalid fields: the path of each, with what is expected."""
    request = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
            for field, description in violations
        ]
    )
    message = "; ".join(f"{field}: {description}" for field, description in violations)
    return Refusal(code_pb2.INVALID_ARGUMENT, message, request)


def failed_precondition(kind: str, subject: str, description: str) -> Refusal:
    """The error for a system that is not in the required state."""
    violation = error_details_pb2.PreconditionFailure.Violation(
        type=kind, subject=subject, description=description
    )
    return Refusal(
        code_pb2.FAILED_PRECONDITION,
        f"{subject}: {description}",
        error_details_pb2.PreconditionFailure(violations=[violation]),
    )


def etag_mismatch(name: str, sent: str, current: str) -> Refusal:
    """The error for a concurrent change (AIP-154)."""
    info = error_details_pb2.ErrorInfo(
        reason="ETAG_MISMATCH", domain=DOMAIN, metadata={"sent": sent, "current": current}
    )
    return Refusal(code_pb2.ABORTED, f"{name} was changed by someone else", info)


def check_metadata(field: str, metadata: Iterable[tuple[str, str | bytes]]) -> None:
    """Rejects metadata that gRPC cannot send (gRPC over HTTP2, "Custom-Metadata").

    Raises:
        Refusal: a name or value does not match the grammar.
    """
    for number, (name, value) in enumerate(metadata):
        where = f"{field}[{number}]"
        if not _METADATA_NAME.fullmatch(name):
            raise invalid((where, "expected a name of a-z 0-9 _ - . that grpc- does not begin"))
        if name.endswith("-bin") != isinstance(value, bytes):
            raise invalid((where, "a name that ends in -bin goes with binary_value, others do not"))
        if isinstance(value, str) and not (value.isascii() and value.isprintable()):
            raise invalid((where, "expected printable ASCII"))


class RefusalsAsStatus(grpc.aio.ServerInterceptor):
    """Ends calls whose handlers raise a `Refusal` with its status and details."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The handler, wrapped to convert refusals."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        asked = "stream" if handler.request_streaming else "unary"
        answered = "stream" if handler.response_streaming else "unary"
        wrap = _answering_many if handler.response_streaming else _answering_once
        build = getattr(grpc, f"{asked}_{answered}_rpc_method_handler")
        return build(
            wrap(getattr(handler, f"{asked}_{answered}")),
            handler.request_deserializer,
            handler.response_serializer,
        )


def _answering_once(inner: Callable[[Any, Context], Awaitable[Any]]) -> Callable[..., Any]:
    async def outer(request: Any, context: Context) -> Any:
        try:
            return await inner(request, context)
        except Refusal as refusal:
            await _refuse(context, refusal)

    return outer


def _answering_many(inner: Callable[[Any, Context], AsyncIterator[Any]]) -> Callable[..., Any]:
    async def outer(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            async for response in inner(request, context):
                yield response
        except Refusal as refusal:
            await _refuse(context, refusal)

    return outer


async def _refuse(context: Context, refusal: Refusal) -> NoReturn:
    status = rpc_status.to_status(refusal.status)
    trailers = (*(context.trailing_metadata() or ()), *status.trailing_metadata)
    await context.abort(status.code, status.details, trailers)
    raise AssertionError("abort always raises")
