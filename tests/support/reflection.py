"""Servers that can be asked for their descriptors: grpcio's own, and odd ones."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_reflection.v1alpha.reflection import aio as grpcio_reflection
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from tests.support.schema import descriptor_pool

V1 = "grpc.reflection.v1.ServerReflection"
V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"

Answer = Callable[[ServerReflectionRequest], ServerReflectionResponse]


def from_grpcio(files: FileDescriptorSet, services: Iterable[str]) -> Any:
    """grpcio's own servicer: every answer brings all imports along."""
    servicer = grpcio_reflection.ReflectionServicer(services, pool=descriptor_pool(files))
    return servicer.ServerReflectionInfo


def one_file_at_a_time(
    files: FileDescriptorSet, services: Iterable[str], *, lacking: Iterable[str] = ()
) -> Any:
    """As servers do that leave it to the client to ask for imports; some lack a few."""
    pool = descriptor_pool(files)
    kept = {f.name: f.SerializeToString() for f in files.file if f.name not in set(lacking)}

    def answer(request: ServerReflectionRequest) -> ServerReflectionResponse:
        response = ServerReflectionResponse(original_request=request)
        if request.list_services:
            for service in services:
                response.list_services_response.service.add(name=service)
            return response
        try:
            name = request.file_by_filename
            if request.file_containing_symbol:
                name = pool.FindServiceByName(request.file_containing_symbol).file.name
            response.file_descriptor_response.file_descriptor_proto.append(kept[name])
        except KeyError:
            response.error_response.error_code = 5
            response.error_response.error_message = "not found"
        return response

    return answering(answer)


def answering(answer: Answer) -> Any:
    """Answers each question by a plain function."""

    async def talk(requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield answer(request)

    return talk


@asynccontextmanager
async def reflecting(talks: Mapping[str, Any]) -> AsyncIterator[str]:
    """The target of a server that offers reflection by these full service names."""
    server = grpc.aio.server()
    for name, talk in talks.items():
        handler: Any = grpc.stream_stream_rpc_method_handler(
            talk,
            request_deserializer=ServerReflectionRequest.FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}),)
        )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
