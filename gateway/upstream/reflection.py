"""Asks a back end what it serves: gRPC server reflection, v1 and then v1alpha.

The two protocols have the same messages on the wire (grpc/reflection/v1/reflection.proto), so the
messages of v1 are spoken in both.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.empty_pb2 import DESCRIPTOR as EMPTY
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from gateway.schema.catalog import Method, Source
from gateway.status import Code, StatusError
from gateway.upstream.channel import Channel

_VERSIONS = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
_OWN = ("grpc.reflection.", "grpc.health.", "grpc.channelz.")
_TIMEOUT_S = 20.0
_MAX_FILES = 50_000


class ReflectionError(Exception):
    """A back end could not be asked; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Reflected:
    """The services of a back end, and the files that describe them, serialized."""

    services: tuple[str, ...]
    files: tuple[bytes, ...]


async def reflect(name: str, channel: Channel) -> Reflected:
    """What the back end behind `channel` serves, without the services of gRPC's own tooling.

    Raises:
        ReflectionError: the upstream called `name` is unreachable or offers no reflection.
    """
    for version in _VERSIONS:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await _reflect(_method(version), channel)
        except TimeoutError:
            raise ReflectionError(f"upstream {name}: server reflection did not answer") from None
        except StatusError as error:
            if error.code is not Code.UNIMPLEMENTED:
                raise ReflectionError(f"upstream {name}: {error.message}") from None
        except DecodeError:
            raise ReflectionError(f"upstream {name}: its descriptors cannot be read") from None
    raise ReflectionError(f"upstream {name}: server reflection is not enabled there")


async def _reflect(method: Method, channel: Channel) -> Reflected:
    conversation = _Conversation(method, channel)
    try:
        listed = await conversation.ask(ServerReflectionRequest(list_services="*"))
        names = [service.name for service in listed.list_services_response.service]
        services = tuple(name for name in names if not name.startswith(_OWN))
        return Reflected(services, tuple((await _files(conversation, services)).values()))
    finally:
        await conversation.close()


async def _files(conversation: "_Conversation", services: Iterable[str]) -> dict[str, bytes]:
    """Every file that describes a service, and all they import, by name."""
    found: dict[str, bytes] = {}
    wanted = [ServerReflectionRequest(file_containing_symbol=service) for service in services]
    asked: set[str] = set()
    while wanted:
        answer = await conversation.ask(wanted.pop())
        for serialized in answer.file_descriptor_response.file_descriptor_proto:
            file = FileDescriptorProto.FromString(serialized)
            found[file.name] = serialized
            for imported in file.dependency:
                if imported not in asked:
                    asked.add(imported)
                    wanted.append(ServerReflectionRequest(file_by_filename=imported))
        wanted = [request for request in wanted if request.file_by_filename not in found]
        if len(found) > _MAX_FILES:
            raise StatusError(Code.RESOURCE_EXHAUSTED, "it describes too many files")
    return found


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
            reply = await self._channel.call(self._method, self._sent(), [], _TIMEOUT_S)
            self._answers = reply.messages
        message = None if self._answers is None else await anext(self._answers, None)
        if message is None:
            raise StatusError(Code.UNAVAILABLE, "server reflection ended early")
        answer = ServerReflectionResponse.FromString(message)
        if answer.HasField("error_response"):
            code = Code.of(answer.error_response.error_code)
            raise StatusError(code, "server reflection knows not all that it lists")
        return answer

    async def close(self) -> None:
        if self._answers is not None:
            await self._answers.aclose()

    async def _sent(self) -> AsyncGenerator[bytes]:
        while True:
            yield await self._questions.get()


def _method(version: str) -> Method:
    # Channels look at names and kind only, so any message type will do here.
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
