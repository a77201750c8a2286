"""A channel over grpcio: the C core, with all that it alone can do."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import grpc
import grpc.aio

from gateway.call import Metadata, Reply
from gateway.config.model import TlsClient, Upstream
from gateway.schema.catalog import Method
from gateway.status import Code, StatusError
from gateway.upstream.status_details import (
    backend_error,
    deadline_exceeded,
    too_large,
    unavailable,
)

try:
    _USER_AGENT = f"grpc-rest-gateway/{version('grpc-rest-gateway')}"
except PackageNotFoundError:  # run from a bare source tree
    _USER_AGENT = "grpc-rest-gateway"


_OWN_WORDS = re.compile(
    r"Deadline Exceeded|Received message larger|[Cc]ancelled by application|[Cc]ancelling all calls"
    r"|[Ff]ailed to connect|[Cc]onnection (?:re|aborted|timed|closed)|[Ss]ocket|GOAWAY|RST_STREAM"
    r"|DNS|[Kk]eepalive|Broken pipe|address list|[Ee]ndpoint|[Tt]ransport|[Ss]tream removed"
    r"|[Hh]andshake|[Ss]hutdown|[Cc]hannel (?:closed|is closed)|ipv[46]:|unix:|too_many_pings"
)
"""How the C core speaks of failures of its own. It marks them in no other way, but a status without
any metadata whose text has such words is taken to be its."""


class GrpcioChannel:
    """Calls one back end through `grpc.aio`, handing bytes through unread."""

    def __init__(self, name: str, upstream: Upstream) -> None:
        self._name = name
        self._limit_bytes = upstream.max_message_bytes
        self._channel = _open(upstream)
        # Saves making a multi-callable for every call.
        self._callables: dict[Method, Callable[..., Any]] = {}

    def __repr__(self) -> str:
        return f"<GrpcioChannel {self._name}>"

    async def call(
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes],
        metadata: Metadata,
        timeout_s: float | None,
    ) -> Reply:
        """Calls `method` once; see `Channel.call`."""
        try:
            start = self._callables[method]
        except KeyError:
            start = self._callables[method] = self._multi_callable(method)
        rpc = start(request, timeout=timeout_s, metadata=tuple(metadata))
        if method.server_streaming:
            return await self._stream(rpc)
        try:
            message: bytes = await rpc
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        except asyncio.CancelledError:
            rpc.cancel()
            raise
        return Reply(
            message,
            metadata=_plain(await rpc.initial_metadata()),
            trailers=_plain(await rpc.trailing_metadata()),
        )

    async def close(self, grace_s: float = 0.0) -> None:
        """Lets calls under way finish for `grace_s` seconds, then ends them."""
        await self._channel.close(grace_s or None)

    def _multi_callable(self, method: Method) -> Callable[..., Any]:
        makers: dict[tuple[bool, bool], Callable[..., Any]] = {
            (False, False): self._channel.unary_unary,
            (False, True): self._channel.unary_stream,
            (True, False): self._channel.stream_unary,
            (True, True): self._channel.stream_stream,
        }
        # No serializers: what goes in and comes out are wire bytes.
        return makers[method.client_streaming, method.server_streaming](method.path)  # type: ignore[no-any-return]

    async def _stream(self, rpc: Any) -> Reply:
        """The reply once its first message, its end, or its failure is there."""
        messages = aiter(rpc)
        try:
            first: bytes | None = await anext(messages, None)
            metadata = _plain(await rpc.initial_metadata())
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        except asyncio.CancelledError:
            rpc.cancel()
            raise
        reply = Reply(metadata=metadata)
        reply.messages = self._messages(rpc, first, messages, reply)
        return reply

    async def _messages(
        self, rpc: Any, first: bytes | None, rest: Any, reply: Reply
    ) -> AsyncGenerator[bytes]:
        try:
            if first is not None:
                yield first
                async for message in rest:
                    yield message
            reply.trailers.extend(_plain(await rpc.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        finally:
            rpc.cancel()

    def _error(self, error: grpc.aio.AioRpcError) -> StatusError:
        code, _ = error.code().value
        metadata = _plain(error.initial_metadata())
        trailers = _plain(error.trailing_metadata())
        text = error.details() or ""
        if not metadata and not trailers and _OWN_WORDS.search(text):
            return self._local_error(Code.of(code))
        return backend_error(code, text, metadata, trailers)

    def _local_error(self, code: Code) -> StatusError:
        """A failure that grpcio found itself, in our words: its own name addresses."""
        match code:
            case Code.DEADLINE_EXCEEDED:
                return deadline_exceeded()
            case Code.RESOURCE_EXHAUSTED:
                return too_large(self._limit_bytes)
            case Code.CANCELLED:
                return StatusError(Code.CANCELLED, "the call was cancelled")
            case Code.UNAVAILABLE:
                return unavailable(self._name)
            case _:
                return StatusError(code, f'upstream "{self._name}" broke the gRPC protocol')


def _plain(metadata: Any) -> Metadata:
    return [] if metadata is None else [(name, value) for name, value in metadata]


def _open(upstream: Upstream) -> grpc.aio.Channel:
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", upstream.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.primary_user_agent", _USER_AGENT),
        # Retries are the gateway's own decision, never half grpc's.
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if upstream.tls is None:
        return grpc.aio.insecure_channel(upstream.target, options=options)
    if upstream.tls.server_name is not None:
        options.append(("grpc.ssl_target_name_override", upstream.tls.server_name))
    return grpc.aio.secure_channel(upstream.target, _credentials(upstream.tls), options=options)


def _credentials(tls: TlsClient) -> grpc.ChannelCredentials:
    files: Sequence[bytes | None] = [
        None if file is None else file.read_bytes()
        for file in (tls.ca_file, tls.key_file, tls.cert_file)
    ]
    return grpc.ssl_channel_credentials(*files)
