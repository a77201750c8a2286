"""Asks a back end what it serves: gRPC server reflection, v1 and then v1alpha.

The two protocols have the same messages on the wire (grpc/reflection/v1/reflection.proto), so the
messages of v1alpha, which grpcio-reflection brings, are spoken in both.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.empty_pb2 import DESCRIPTOR as EMPTY
from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import Int32Value
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from gateway.schema.catalog import Method, Source
from gateway.status import Code, StartUpError, StatusError
from gateway.upstream.channels.channel import Channel

_VERSIONS = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
_SERVING = 1
_STATUSES = {0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_EMPTY = EMPTY.message_types_by_name["Empty"]
_OWN = ("grpc.reflection.", "grpc.health.", "grpc.channelz.")
_TIMEOUT_S = 20.0
"""Seconds for a back end to describe itself: the gateway cannot start before."""
# A server chooses what it answers, so all of it is bounded; Google's whole public API has about
# 9,000 files of 30 MB in all.
_MAX_FILES = 50_000
_MAX_SERVICES = 10_000
_MAX_BYTES = 128 * 1024 * 1024


class ReflectionError(StartUpError):
    """Reflection failed; the message names the upstream and the reason."""


class NoReflectionError(ReflectionError):
    """A back end does not offer reflection."""


@dataclass(frozen=True, slots=True)
class Reflected:
    """The services of a back end, and the files that describe them, serialized."""

    services: tuple[str, ...]
    files: tuple[bytes, ...]


async def reflect(name: str, channel: Channel, *, timeout_s: float = _TIMEOUT_S) -> Reflected:
    """The services of the back end on `channel`, without those of gRPC's own tooling.

    Raises:
        ReflectionError: the upstream called `name` is unreachable, offers no reflection, or has
            not answered completely within `timeout_s`.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _reflect_any(channel)
    except TimeoutError:
        raise ReflectionError(
            f"upstream {name}: server reflection took longer than {timeout_s:g} s"
        ) from None
    except DecodeError:
        raise ReflectionError(f"upstream {name}: its descriptors cannot be read") from None
    except StatusError as error:
        if error.code is Code.UNIMPLEMENTED:
            raise NoReflectionError(
                f"upstream {name}: server reflection is not enabled there; "
                "enable it, or give descriptors or modules"
            ) from None
        reason = error.message or error.code.name
        if error.code is Code.OK:  # the server ended the stream while a question was sent
            reason = "server reflection ended early"
        raise ReflectionError(f"upstream {name}: server reflection failed: {reason}") from None


async def ask_health(channel: Channel, timeout_s: float) -> str:
    """Asks the server on `channel` whether it serves (grpc.health.v1); returns the reason if not.

    Raises:
        StatusError: there is no answer, or no such service (UNIMPLEMENTED).
    """
    method = Method(
        *("grpc.health.v1.Health", "Check", _EMPTY, _EMPTY),
        client_streaming=False,
        server_streaming=False,
        rules=(),
        source=Source("grpc/health/v1/health.proto"),
    )
    reply = await channel.call(method, b"", [], timeout_s)
    try:
        status = Int32Value.FromString(reply.message).value  # the same on the wire as its one field
    except DecodeError:
        return "its answer cannot be read"
    return "" if status == _SERVING else f"its status is {_STATUSES.get(status, status)}"


async def _reflect_any(channel: Channel) -> Reflected:
    """Uses the first version of the service that is implemented there."""
    try:
        return await _reflect(_method(_VERSIONS[0]), channel)
    except StatusError as error:
        if error.code is not Code.UNIMPLEMENTED:
            raise
    return await _reflect(_method(_VERSIONS[1]), channel)


async def _reflect(method: Method, channel: Channel) -> Reflected:
    conversation = _Conversation(method, channel)
    try:
        listed = await conversation.ask(ServerReflectionRequest(list_services="*"))
        if listed.HasField("error_response"):
            code = Code.of(listed.error_response.error_code)
            raise StatusError(code, "it does not list its services")
        if not listed.HasField("list_services_response"):
            raise StatusError(Code.INTERNAL, "it answers another question than was asked")
        names = dict.fromkeys(service.name for service in listed.list_services_response.service)
        services = tuple(name for name in names if not name.startswith(_OWN))
        if len(services) > _MAX_SERVICES:
            raise StatusError(Code.RESOURCE_EXHAUSTED, f"it lists over {_MAX_SERVICES} services")
        return Reflected(services, await _files(conversation, services))
    finally:
        await conversation.close()


async def _files(conversation: "_Conversation", services: Sequence[str]) -> tuple[bytes, ...]:
    """Every file that describes a service, and all they import, each once."""
    files = _Files()
    wanted = [ServerReflectionRequest(file_containing_symbol=service) for service in services]
    asked: set[str] = set()
    while wanted:
        request = wanted.pop()
        if request.file_by_filename in files.by_name:
            continue
        answer = await conversation.ask(request)
        if answer.HasField("error_response"):
            _refuse_unknown_symbol(request, answer)
        for serialized in answer.file_descriptor_response.file_descriptor_proto:
            for imported in files.add(serialized):
                if imported not in asked:
                    asked.add(imported)
                    wanted.append(ServerReflectionRequest(file_by_filename=imported))
        if len(asked) > _MAX_FILES:
            raise StatusError(Code.RESOURCE_EXHAUSTED, f"its files import over {_MAX_FILES} others")
    for service in services:
        if service not in files.services:
            raise StatusError(Code.INTERNAL, f"it lists {service} but does not describe it")
    return tuple(files.by_name.values())


class _Files:
    """The files found so far, limited in number and size."""

    def __init__(self) -> None:
        self.by_name: dict[str, bytes] = {}
        self.services: set[str] = set()
        """The full names of the services that they define."""
        self._seen: set[bytes] = set()
        self._total_bytes = 0

    def add(self, serialized: bytes) -> Sequence[str]:
        """Adds a file and returns its imports; nothing for one that was seen before.

        Raises:
            DecodeError: it is not a descriptor.
            StatusError: there are too many files or bytes.
        """
        if serialized in self._seen:  # servers send a file again with each service that needs it
            return ()
        self._total_bytes += len(serialized)
        if self._total_bytes > _MAX_BYTES or len(self._seen) >= _MAX_FILES:
            raise StatusError(
                Code.RESOURCE_EXHAUSTED,
                f"it describes over {_MAX_FILES} files or {_MAX_BYTES} bytes",
            )
        self._seen.add(serialized)
        file = FileDescriptorProto.FromString(serialized)
        self.by_name[file.name] = serialized
        prefix = f"{file.package}." if file.package else ""
        self.services.update(prefix + service.name for service in file.service)
        return file.dependency


def _refuse_unknown_symbol(
    request: ServerReflectionRequest, answer: ServerReflectionResponse
) -> None:
    # Some servers leave out imports such as the well-known types. Those may come from elsewhere; if
    # not, building the schema reports the missing file.
    if not request.file_by_filename:
        code = Code.of(answer.error_response.error_code)
        raise StatusError(code, f"it lists {request.file_containing_symbol} but cannot describe it")


class _Conversation:
    """Questions and answers on one reflection stream."""

    def __init__(self, method: Method, channel: Channel) -> None:
        self._method = method
        self._channel = channel
        self._questions: asyncio.Queue[bytes] = asyncio.Queue()
        self._answers: AsyncGenerator[bytes] | None = None

    async def ask(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        self._questions.put_nowait(request.SerializeToString())
        if self._answers is None:
            reply = await self._channel.call(self._method, self._sent(), [], None)
            self._answers = reply.messages
        message = None if self._answers is None else await anext(self._answers, None)
        if message is None:
            raise StatusError(Code.UNAVAILABLE, "server reflection ended early")
        return ServerReflectionResponse.FromString(message)

    async def close(self) -> None:
        if self._answers is not None:
            await self._answers.aclose()

    async def _sent(self) -> AsyncGenerator[bytes]:
        while True:
            yield await self._questions.get()


def _method(version: str) -> Method:
    # Channels use names and kind only, so any message type is enough here.
    empty = EMPTY.message_types_by_name["Empty"]
    return Method(
        service=f"{version}.ServerReflection",
        name="ServerReflectionInfo",
        input=empty,
        output=empty,
        client_streaming=True,
        server_streaming=True,
        rules=(),
        source=Source(f"{version.replace('.', '/')}/reflection.proto"),
    )
