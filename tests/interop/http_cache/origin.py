"""The gRPC back end that plays the origin of the public suite, and the gateway in front of it.

The suite has an origin of its own, which speaks HTTP/1.1 and does what the tests tell it. The back
end asks it for each call, and sends status, header fields and content on as gRPC can state them:
`x-http-code`, metadata and `google.api.HttpBody`. So the only cache between the suite's client and
its origin is that of the gateway.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message_factory import GetMessageClass

from gateway.app.gateway import open_gateway
from gateway.call import Call, Handler, Reply
from gateway.config.model import Config
from tests.support.schema import descriptor_pool, descriptor_set

_PROTO: Final = """
syntax = "proto3";
package cachetests.v1;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";
message Target { string path = 1; string test = 2; }
message Change { string path = 1; google.api.HttpBody body = 2; }
service Origin {
  rpc Get(Target) returns (google.api.HttpBody) {
    option (google.api.http) = { get: "/{path=test/**}" };
  }
  rpc State(Target) returns (google.api.HttpBody) {
    option (google.api.http) = { get: "/{path=state/*}" };
  }
  rpc Configure(Change) returns (google.api.HttpBody) {
    option (google.api.http) = { put: "/{path=config/*}" body: "body" };
  }
  rpc Post(Change) returns (google.api.HttpBody) {
    option (google.api.http) = { post: "/{path=test/**}" body: "body" };
  }
  rpc Put(Change) returns (google.api.HttpBody) {
    option (google.api.http) = { put: "/{path=test/**}" body: "body" };
  }
  rpc Delete(Change) returns (google.api.HttpBody) {
    option (google.api.http) = { delete: "/{path=test/**}" body: "body" };
  }
  rpc Search(Change) returns (google.api.HttpBody) {
    option (google.api.http) = {
      custom: { kind: "M-SEARCH" path: "/{path=test/**}" } body: "body"
    };
  }
}
"""
_FILES: Final = descriptor_set(cachetests=_PROTO)
_SERVICE: Final = descriptor_pool(_FILES).FindServiceByName("cachetests.v1.Origin")
_METHODS: Final = {
    "Get": "GET",
    "State": "GET",
    "Configure": "PUT",
    "Post": "POST",
    "Put": "PUT",
    "Delete": "DELETE",
    "Search": "M-SEARCH",
}
# Fields of one connection, which HTTP/2 does not have (RFC 9113 section 8.2.2), and the length,
# which there is that of the gRPC message.
_NOT_IN_HTTP2: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}
    | {"content-length", "content-type"}
)
_NOT_FORWARDED: Final = ("user-agent", "te", "traceparent", "x-request-id")

_TIMEOUT_S: Final = 30.0

_numbers: dict[str, str] = {}


class NoteNumber:
    """Notes the number of each request of a test, which the suite sends in `Req-Num`.

    The origin needs it, but it is not part of the key of a reply, so the gateway does not send it
    when it fetches one. The requests of a test come one after the other.
    """

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Proceeds with a call."""
        number = call.headers.get("Req-Num")
        if number is not None:
            _numbers[_test_of(call.target[1])] = number
        return await proceed(call)


def _test_of(path: str) -> str:
    return path.strip("/").split("/")[1]


class _Origin:
    """Answers calls with what the suite's origin answers."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def answer(self, method: Any, request: bytes, context: Any) -> bytes:
        message: Any = GetMessageClass(method.input_type).FromString(request)
        told = dict(context.invocation_metadata())
        headers = {
            name: str(value)
            for name, value in told.items()
            if name not in _NOT_FORWARDED and not name.startswith("grpc-")
        }
        body = b""
        if method.input_type.name == "Change":
            body, headers["content-type"] = message.body.data, message.body.content_type
        number = _numbers.get(_test_of(message.path))
        if number is not None:
            headers["req-num"] = number
        query = f"?test={message.test}" if getattr(message, "test", "") else ""
        where = f"/{message.path}{query}"
        try:
            response, content = await asyncio.to_thread(
                _fetched, self._port, _METHODS[method.name], where, body, headers
            )
        except (OSError, HTTPException) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        await context.send_initial_metadata(_metadata(response))
        if response.status == 304:  # the reply that is stored already has the rest
            return b""
        kind = response.getheader("content-type") or ""
        return bytes(HttpBody(content_type=kind, data=content).SerializeToString())


def _fetched(
    port: int, method: str, where: str, body: bytes, headers: dict[str, str]
) -> tuple[HTTPResponse, bytes]:
    """Returns the response of the suite's origin, in a thread: some are not right HTTP."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request(method, where, body or None, headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def _metadata(response: HTTPResponse) -> list[tuple[str, str]]:
    """Returns the header fields of a response as metadata."""
    fields = [(name.lower(), value) for name, value in response.getheaders()]
    dropped = set(_NOT_IN_HTTP2)
    for name, value in fields:
        if name == "connection":
            dropped.update(one.strip().lower() for one in value.split(","))
    status = min(response.status, 599)  # the suite has 999 for requests that should not come
    kept = [(name, value) for name, value in fields if name not in dropped and value.isascii()]
    return [("x-http-code", str(status)), *kept]


def _handler(origin: _Origin, method: Any) -> Callable[[bytes, Any], Awaitable[bytes]]:
    async def handle(request: bytes, context: Any) -> bytes:
        return await origin.answer(method, request, context)

    return handle


@asynccontextmanager
async def cache_of(port: int, place: Path, vary: Collection[str]) -> AsyncIterator[str]:
    """Serves a gateway that stores what the origin on `port` answers; yields its URL.

    `vary` has the request headers by which its replies vary. The gateway neither compresses nor
    adds headers for browsers, because the suite wants those of the origin.
    """
    origin = _Origin(port)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handlers: dict[str, Any] = {
        one.name: grpc.unary_unary_rpc_method_handler(_handler(origin, one))
        for one in _SERVICE.methods
    }
    generic = grpc.method_handlers_generic_handler("cachetests.v1.Origin", handlers)
    server.add_generic_rpc_handlers((generic,))
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    descriptors = place / "origin.binpb"
    descriptors.write_bytes(_FILES.SerializeToString())
    settings: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "descriptors": [str(descriptors)],
        "upstreams": {"origin": {"target": target, "retries": "off"}},
        "interceptors": [{"use": f"{__name__}:NoteNumber"}],
        "policies": [{"selector": "cachetests.v1.Origin.Get", "cache": {"vary": [*vary]}}],
        "compression": {"enabled": False},
        "security_headers": {"enabled": False},
        "log": {"access": "off", "audit": "off"},
    }
    try:
        async with open_gateway(Config.model_validate(settings)) as gateway:
            yield gateway.url
    finally:
        await server.stop(None)
