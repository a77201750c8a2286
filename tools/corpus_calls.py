"""Sends one request for each binding to a gateway, and checks the result.

The back end answers any method. The RPC, the request message that it received and the reply that
the client read are compared with the results of Python's protobuf library for the same values,
which the gateway does not use.
"""

import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import grpc
import grpc.aio
from aiohttp import ClientSession
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message
from yarl import URL

from gateway.app.gateway import Gateway, open_gateway
from gateway.config.model import Config
from gateway.status import StatusError
from gateway.transcoding.binding import Binding
from gateway.transcoding.routing.template import DeepWildcard, Literal
from tools.sample_messages import filled, message_of, text_of

RAW_TYPE = "text/x-corpus"
RAW = b"corpus bytes"
_HTTP_BODY = "google.api.HttpBody"


class AnyMethod(grpc.GenericRpcHandler):
    """Answers every RPC of any kind with `reply`, and keeps the request."""

    def __init__(self) -> None:
        self.reply = b""
        self.rpc = ""
        self.requests: list[bytes] = []

    def service(self, handler_call_details: Any) -> Any:
        """The handler of one RPC; a handler of streams serves every kind."""
        self.rpc = handler_call_details.method
        self.requests = []
        return grpc.stream_stream_rpc_method_handler(self._answer)

    async def _answer(self, requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        self.requests = [request async for request in requests]
        yield self.reply


@asynccontextmanager
async def any_backend() -> AsyncIterator[tuple[str, AnyMethod]]:
    """Runs a gRPC server that answers any method; yields its target and its handler."""
    handler = AnyMethod()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}", handler
    finally:
        await server.stop(None)


@asynccontextmanager
async def gateway_over(
    files: FileDescriptorSet, **settings: Any
) -> AsyncIterator[tuple[Gateway, AnyMethod]]:
    """Runs a gateway for `files` with a back end that answers any method."""
    with tempfile.NamedTemporaryFile(suffix=".binpb") as file:
        file.write(files.SerializeToString())
        file.flush()
        async with any_backend() as (target, backend):
            defaults: dict[str, Any] = {
                "listen": "127.0.0.1:0",
                "descriptors": [file.name],
                "upstreams": {"any": {"target": target}},
                "log": {"access": "off", "audit": "off"},
                # Sample messages have all fields, and are compared with what was sent.
                "resources": {"output_only": "leave"},
            }
            config = Config.model_validate(defaults | settings)
            async with open_gateway(config) as gateway:
                yield gateway, backend


@dataclass
class Request:
    """A sample request for a binding, and the message that is expected from it."""

    http_method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes | None
    message: Message


@dataclass
class Calls:
    """The results of the calls."""

    right: int = 0
    left_out: int = 0
    """The bindings whose sample path another binding serves."""
    wrong: list[str] = field(default_factory=list)


async def call_all(files: FileDescriptorSet) -> Calls:
    """Sends one request for each binding of `files` through a gateway."""
    calls = Calls()
    routing = {"on_conflict": "first", "on_error": "skip"}
    async with (
        gateway_over(files, routing=routing) as (gateway, backend),
        ClientSession() as client,
    ):
        for binding in gateway.transcoder.bindings:
            request = make_request(binding)
            try:
                served = gateway.transcoder.match(request.http_method, request.path).target
            except StatusError:
                served = None
            if served is not None and served is not binding:
                calls.left_out += 1
                continue
            try:
                difference = await _call(client, gateway.url, backend, binding, request)
            except Exception as error:  # noqa: BLE001 - a failed call must not end the others
                difference = f"{type(error).__name__}: {error}"
            if difference:
                calls.wrong.append(f"{binding}: {difference}")
            else:
                calls.right += 1
    return calls


async def _call(
    client: ClientSession, url: str, backend: AnyMethod, binding: Binding, request: Request
) -> str:
    """The difference between the result and the expected one; empty if there is none."""
    reply = _reply(binding)
    backend.rpc, backend.requests, backend.reply = "", [], reply.SerializeToString()
    query = f"?{urlencode(request.query)}" if request.query else ""
    async with client.request(
        request.http_method,
        URL(f"{url}{request.path}{query}", encoded=True),
        data=request.body,
        headers=request.headers,
    ) as response:
        body = await response.read()
        status, media_type = response.status, response.content_type
    if status != 200:
        return f"{request.http_method} {request.path}{query}: {status} {body[:300]!r}"
    if backend.rpc != binding.method.path:
        return f"called {backend.rpc}"
    got = [message_of(binding.method.input, wire) for wire in backend.requests]
    if got != [request.message]:
        return f"the back end got {got} for {request.message}"
    if request.http_method == "HEAD":
        return ""
    return _reply_difference(binding, reply, body, media_type)


def _reply_difference(binding: Binding, reply: Message, body: bytes, media_type: str) -> str:
    field = binding.response_body
    sent = binding.method.output if field is None else field.message_type
    if sent is not None and sent.full_name == _HTTP_BODY and not (field and field.is_repeated):
        right = (body, media_type) == (RAW, RAW_TYPE)
        return "" if right else f"the client read {media_type} {body[:300]!r}"
    document = json.loads(body)
    read = message_of(binding.method.output)
    json_format.ParseDict(
        document if field is None else {field.name: document},
        read,
        descriptor_pool=binding.method.output.file.pool,
    )
    return "" if read == reply else f"the client read {body[:300]!r} for {reply}"


def _reply(binding: Binding) -> Message:
    reply = filled(binding.method.output, raw=(RAW_TYPE, RAW))
    if binding.response_body is not None:
        alone = message_of(binding.method.output)
        alone.CopyFrom(reply)
        for described, _ in reply.ListFields():
            if described.number != binding.response_body.number:
                alone.ClearField(described.name)
        return alone
    return reply


def make_request(binding: Binding) -> Request:
    """A request that sets the fields that the rule allows in path, query and body."""
    method = binding.method
    message = message_of(method.input)
    body = binding.body
    if body == "*":
        message = filled(method.input, raw=(RAW_TYPE, RAW))
    elif isinstance(body, FieldDescriptor):
        whole = filled(method.input, raw=(RAW_TYPE, RAW), only=body.name)
        message.CopyFrom(whole)
    path, values = _path(binding)
    query = [] if body == "*" else list(_query(binding))
    pool = method.input.file.pool
    for names, value in values:
        _clear(message, names)
        json_format.ParseDict(_nested(names, value), message, descriptor_pool=pool)
    without_path = message_of(method.input)
    without_path.CopyFrom(message)
    for names, _ in values:
        _clear(without_path, names)
    for name, text in query:
        described = method.input.fields_by_name[name]
        value = [text] if described.is_repeated else _as_json(described, text)
        json_format.ParseDict({name: value}, message, descriptor_pool=pool)
    content, headers = _content(binding, without_path)
    http_method = binding.http_method
    if http_method == "*":
        http_method = "GET" if content is None else "POST"
    return Request(http_method, path, query, headers, content, message)


def _content(binding: Binding, message: Message) -> tuple[bytes | None, dict[str, str]]:
    body = binding.body
    headers = {"Accept": "application/x-ndjson"} if binding.method.server_streaming else {}
    if binding.response_body is not None or binding.method.output.full_name == _HTTP_BODY:
        headers = {}
    if body is None:
        return None, headers
    described = body if isinstance(body, FieldDescriptor) else None
    kind = described.message_type if described else binding.method.input
    if (
        kind is not None
        and kind.full_name == _HTTP_BODY
        and not (described and described.is_repeated)
    ):
        return RAW, headers | {"Content-Type": RAW_TYPE}
    pool = binding.method.input.file.pool
    document: Any = json_format.MessageToDict(
        message, preserving_proto_field_name=True, descriptor_pool=pool
    )
    if described is not None:
        document = document.get(described.name, {})
    if binding.method.client_streaming:
        document = [document]
    return json.dumps(document).encode(), headers | {"Content-Type": "application/json"}


def _path(binding: Binding) -> tuple[str, list[tuple[list[str], Any]]]:
    """A path of the template, and the values of its variables: names, and value as JSON."""
    segments: list[list[str]] = []
    for number, segment in enumerate(binding.template.segments):
        if isinstance(segment, Literal):
            segments.append([str(segment)])
        elif isinstance(segment, DeepWildcard):
            segments.append([f"zz{number}a", f"zz{number}b"])
        else:
            segments.append([f"zz{number}"])
    values: list[tuple[list[str], Any]] = []
    for variable, path in zip(binding.template.variables, binding.variables, strict=True):
        is_free = not isinstance(binding.template.segments[variable.start], Literal)
        if not variable.many_segments and is_free and text_of(path.leaf) is not None:
            is_text = path.leaf.type == FieldDescriptor.TYPE_STRING
            if not is_text:
                segments[variable.start] = [str(text_of(path.leaf))]
        text = "/".join(part for parts in segments[variable.start : variable.end] for part in parts)
        values.append(([f.name for f in path.fields], _as_json(path.leaf, text)))
    verb = f":{Literal(binding.template.verb)}" if binding.template.verb else ""
    return f"/{'/'.join(part for parts in segments for part in parts)}{verb}", values


def _query(binding: Binding) -> list[tuple[str, str]]:
    """A few parameters, for fields that are in neither path nor body."""
    taken = {path.fields[0].name for path in binding.variables}
    if isinstance(binding.body, FieldDescriptor):
        taken.add(binding.body.name)
    found: list[tuple[str, str]] = []
    for described in binding.method.input.fields:
        text = text_of(described)
        if described.name in taken or described.containing_oneof is not None or text is None:
            continue
        found.append((described.name, text))
    return found[:4]


def _as_json(described: FieldDescriptor, text: str) -> Any:
    return text == "true" if described.type == FieldDescriptor.TYPE_BOOL else text


def _nested(names: Sequence[str], value: Any) -> dict[str, Any]:
    for name in reversed(names):
        value = {name: value}
    made: dict[str, Any] = value
    return made


def _clear(message: Message, names: Sequence[str]) -> None:
    for name in names[:-1]:
        if not message.HasField(name):
            return
        message = getattr(message, name)
    message.ClearField(names[-1])
