"""A channel over grpcio: the C core, with its resolvers, proxies and xDS."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

import grpc
import grpc.aio

from gateway.call import CallMetadata, Code, Metadata, Method, Reply, RequestBytes, StatusError
from gateway.config.upstreams import RequestCompression, TlsClient, Upstream
from gateway.files import read_file
from gateway.http2.headers import HeaderError
from gateway.telemetry.event import about
from gateway.upstream.channels.channel import QUIET_S
from gateway.upstream.channels.failures import (
    Progress,
    UnreadableReplyError,
    backend_error,
    deadline_exceeded,
    headers_too_large,
    lost,
    too_large,
    unavailable,
    unreachable,
    unsendable_metadata,
)
from gateway.upstream.channels.http2.headers import Pairs
from gateway.upstream.channels.large_replies import LargeReplies
from gateway.upstream.channels.user_agent import USER_AGENT

_LOG = logging.getLogger(__name__)
_SAY_AGAIN_S = 60.0
"""Seconds until the log repeats an unchanged reason."""
_CLOCK_SLACK_S = 0.02
"""Seconds by which the C core's clock and the back end's may differ over one deadline."""
_COMPRESSIONS: Mapping[RequestCompression, grpc.Compression] = {
    RequestCompression.NONE: grpc.Compression.NoCompression,
    RequestCompression.GZIP: grpc.Compression.Gzip,
}

_OWN_WORDS: Mapping[Code, re.Pattern[str]] = {
    Code.CANCELLED: re.compile(r"RST_STREAM|[Cc]ancelled by application|[Cc]ancelling all calls"),
    Code.DEADLINE_EXCEEDED: re.compile(r"Deadline Exceeded|RST_STREAM"),
    Code.PERMISSION_DENIED: re.compile(r"RST_STREAM|http2 header with status"),
    Code.RESOURCE_EXHAUSTED: re.compile(
        r"Received message larger|metadata size exceeds|RST_STREAM"
    ),
    Code.UNAUTHENTICATED: re.compile(r"http2 header with status"),
    Code.UNIMPLEMENTED: re.compile(r"http2 header with status"),
    Code.UNKNOWN: re.compile(
        r"RST_STREAM|[Ss]tream removed|http2 header with status|No status received"
    ),
    Code.INTERNAL: re.compile(
        r"RST_STREAM|[Ss]tream removed|http2 header with status|ipv[46]:"
        r"|Decompression failed|Compression bit set|Internal error from Core"
    ),
    Code.UNAVAILABLE: re.compile(
        r"[Ff]ailed to connect|[Cc]onnection (?:re|aborted|timed|closed)|[Ss]ocket|GOAWAY"
        r"|RST_STREAM|[Cc]ancelling all calls|DNS|errors resolving|[Kk]eepalive|Broken pipe"
        r"|address list|[Ee]ndpoint|[Tt]ransport|[Ss]tream removed|[Hh]andshake|[Ss]hutdown"
        r"|[Cc]hannel (?:closed|is closed)|http2 header with status|ipv[46]:|unix:|too_many_pings"
    ),
}
"""Words of the C core for failures that it found itself, by code. Nothing else marks them, so a
status without trailers that has such words is taken for one."""
_NEVER_SENT = re.compile(
    r"[Ff]ailed to connect|DNS|errors resolving|address list|[Hh]andshake|[Cc]hannel (?:is )?closed"
)
"""Words of the C core for a call that found no connection."""
_REFUSED = re.compile(r"RST_STREAM with error code 7\b")
"""Words of the C core for a stream that was refused (REFUSED_STREAM)."""
_WRITE_FAILED = "Internal error from Core"


class GrpcioChannel:
    """Calls one back end through `grpc.aio`, which passes bytes through unread."""

    def __init__(self, name: str, upstream: Upstream) -> None:
        self._name = name
        self._limit_bytes = upstream.max_message_bytes
        self._said = ""
        self._say_again_at_s = 0.0
        self._limit_header_bytes = upstream.max_header_bytes
        self._large_replies = LargeReplies(
            name, upstream.large_replies_bytes, upstream.large_replies_wait_s
        )
        self._channel = _open(upstream)
        self._pairs = Pairs()
        # Keeps one multi-callable for each method: making it for each call would cost time.
        self._callables: dict[tuple[str, bool, bool], Callable[..., Any]] = {}

    def __repr__(self) -> str:
        return f"<GrpcioChannel {self._name}>"

    async def call(
        self, method: Method, request: RequestBytes, metadata: CallMetadata, timeout_s: float | None
    ) -> Reply:
        """Calls `method` once; see `Channel.call`."""
        whole = request if isinstance(request, bytes) else None
        pairs = metadata if isinstance(metadata, list) else metadata.metadata()
        try:  # the C core's errors differ with the kind of call, or the call never ends
            self._pairs.encode(pairs, [])
        except HeaderError as error:
            raise unsendable_metadata(self._name, str(error)) from None
        try:
            rpc = self._callable(method)(whole, timeout=timeout_s, metadata=tuple(pairs))
        except grpc.aio.UsageError:  # the channel is closed
            raise unreachable(self._name) from None
        sending = None if isinstance(request, bytes) else _Sending(rpc, request)
        if method.server_streaming:
            return await self._stream(rpc, sending)
        try:
            message: bytes | None = await rpc
        except grpc.aio.AioRpcError as error:
            raise self._error(rpc, error, sending) from None
        except asyncio.CancelledError as cancelled:
            rpc.cancel()
            raise self._interruption(cancelled, sending) from None
        finally:
            if sending is not None:
                await sending.stop()
        if message is None:  # OK, but without the one message
            raise self._breach(Code.INTERNAL)
        reply = Reply(
            message,
            metadata=_plain(await rpc.initial_metadata()),
            trailers=_plain(await rpc.trailing_metadata()),
        )
        reply.share = await self._large_replies.room(len(message))
        return reply

    async def close(self, grace_s: float = 0.0) -> None:
        """Lets calls in progress finish for `grace_s` seconds, then ends them."""
        await self._channel.close(grace_s or None)

    def _callable(self, method: Method) -> Callable[..., Any]:
        # Not keyed by the method itself, which would keep a replaced schema alive.
        key = (method.path, method.client_streaming, method.server_streaming)
        try:
            return self._callables[key]
        except KeyError:
            made = self._callables[key] = self._multi_callable(method)
            return made

    def _multi_callable(self, method: Method) -> Callable[..., Any]:
        makers: dict[tuple[bool, bool], Callable[..., Any]] = {
            (False, False): self._channel.unary_unary,
            (False, True): self._channel.unary_stream,
            (True, False): self._channel.stream_unary,
            (True, True): self._channel.stream_stream,
        }
        # No serializers: requests and replies are wire bytes.
        return makers[method.client_streaming, method.server_streaming](method.path)  # type: ignore[no-any-return]

    async def _stream(self, rpc: Any, sending: "_Sending | None") -> Reply:
        """The reply, after its first message, its end, or its failure, or once it stays quiet."""
        reply = Reply()
        reply.messages = self._lent(self._messages(rpc, sending, reply))
        # Runs until that is known. The generator also has to be started: closing one that never ran
        # would leave the RPC running.
        await anext(reply.messages)
        return reply

    async def _messages(
        self, rpc: Any, sending: "_Sending | None", reply: Reply
    ) -> AsyncGenerator[bytes]:
        """The messages of a streaming reply, after an empty one that marks its start."""
        messages = aiter(rpc)
        fetching = asyncio.ensure_future(_first(messages))
        try:
            await asyncio.wait([fetching], timeout=QUIET_S)
            if is_quiet := not fetching.done():
                yield b""
            first = await fetching
            reply.metadata.extend(_plain(await rpc.initial_metadata()))
            if not is_quiet:
                yield b""
            if first is not None:
                yield first
                async for message in messages:
                    yield message
            reply.trailers.extend(_plain(await rpc.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            raise self._error(rpc, error, sending) from None
        except asyncio.CancelledError as cancelled:
            raise self._interruption(cancelled, sending) from None
        finally:
            rpc.cancel()
            fetching.cancel()
            await asyncio.wait([fetching])
            if sending is not None:
                await sending.stop()

    async def _lent(self, messages: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """The messages; a large one has a share of the budget until the next one is asked for."""
        try:
            async for message in messages:
                share = await self._large_replies.room(len(message))
                if share is None:
                    yield message
                    continue
                held = [share.held_by(message)]
                del message
                yield held.pop()  # nothing but the reader holds it
                share.give_back()
        finally:
            await messages.aclose()

    def _interruption(
        self, cancelled: asyncio.CancelledError, sending: "_Sending | None"
    ) -> BaseException:
        """The reason for which an RPC was cancelled: its task, its request's failure, or closing.

        grpcio raises CancelledError for all three.
        """
        task = asyncio.current_task()
        if task is None or task.cancelling():
            return cancelled
        if sending is not None and sending.failure is not None:
            return sending.failure
        return unavailable(self._name)

    def _error(
        self, rpc: Any, error: grpc.aio.AioRpcError, sending: "_Sending | None"
    ) -> StatusError:
        if sending is not None and sending.ending is not None:
            error = sending.ending
        code, _ = error.code().value
        trailers = _plain(error.trailing_metadata())
        text = error.details() or ""
        own_words = _OWN_WORDS.get(Code.of(code))
        if not trailers and own_words is not None and own_words.search(text):
            return self._local_error(_meant(Code.of(code), text, rpc.time_remaining()), text)
        return backend_error(code, text, _plain(error.initial_metadata()), trailers)

    def _local_error(self, code: Code, text: str) -> StatusError:
        """A failure that grpcio found itself, in our words, because its own contain addresses."""
        match code:
            case Code.DEADLINE_EXCEEDED:
                return deadline_exceeded()
            case Code.RESOURCE_EXHAUSTED if "metadata size" in text:
                return headers_too_large(self._name, self._limit_header_bytes)
            case Code.RESOURCE_EXHAUSTED if "larger" in text:
                return too_large(self._limit_bytes)
            case Code.CANCELLED:
                return StatusError(Code.CANCELLED, "the call was cancelled")
            case Code.UNAVAILABLE:
                self._say_unavailable(text)
                return self._unavailable(text)
            case _:
                return self._breach(code)

    def _unavailable(self, text: str) -> StatusError:
        """UNAVAILABLE, with the progress that the C core's text shows.

        A stream above the last one of a GOAWAY has the text of a lost one: it counts as seen.
        """
        if _NEVER_SENT.search(text):
            return unreachable(self._name)
        if _REFUSED.search(text):
            return lost(self._name, Progress.REFUSED)
        return unavailable(self._name)

    def _say_unavailable(self, text: str) -> None:
        """Logs the C core's reason, but not again for each call that fails for the same one."""
        now_s = time.monotonic()
        if text != self._said or now_s >= self._say_again_at_s:
            self._said, self._say_again_at_s = text, now_s + _SAY_AGAIN_S
            extra = about("gateway.upstream.down", gateway__upstream=self._name)
            _LOG.warning("upstream %s is unavailable: %s", self._name, text, extra=extra)

    def _breach(self, code: Code) -> StatusError:
        message = f'upstream "{self._name}" broke the gRPC protocol'
        return (
            UnreadableReplyError(message) if code is Code.INTERNAL else StatusError(code, message)
        )


def _meant(code: Code, text: str, remaining_s: float | None) -> Code:
    """The code of a failure that grpcio found, given the call's remaining time."""
    if remaining_s is None or remaining_s >= _CLOCK_SLACK_S:
        return code
    # The back end applied the deadline, by a clock that was a little ahead of the C core's, and may
    # have closed a connection that it was draining, on which the call was the last; or the core was
    # too late to send at all, which it reports as an internal error.
    was_closed = code is Code.UNAVAILABLE and text.startswith("Stream removed")
    if was_closed or code in (Code.CANCELLED, Code.INTERNAL):
        return Code.DEADLINE_EXCEEDED
    return code


class _Sending:
    """Writes a request's messages to an RPC, and keeps the reason if they fail.

    grpcio could do it, but drops the reason, and still waits for messages after the RPC has ended.
    """

    def __init__(self, rpc: Any, messages: AsyncGenerator[bytes]) -> None:
        self.failure: Exception | None = None
        self.ending: grpc.aio.AioRpcError | None = None
        """The end of the RPC. After a write that comes too late grpcio would report INTERNAL."""
        self._rpc = rpc
        rpc.add_done_callback(self._note_ending)
        self._task = asyncio.create_task(self._send(messages))

    async def stop(self) -> None:
        """Reads no further message, and returns once the generator is closed."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def _note_ending(self, rpc: Any) -> None:
        details = _at_once(rpc.details())
        if self.ending is None and details != _WRITE_FAILED:
            self.ending = grpc.aio.AioRpcError(
                _at_once(rpc.code()),
                _at_once(rpc.initial_metadata()),
                _at_once(rpc.trailing_metadata()),
                details,
            )

    async def _send(self, messages: AsyncGenerator[bytes]) -> None:
        try:
            async with aclosing(messages):
                async for message in messages:
                    await self._rpc.write(message)
            # If it fails, the core has ended the RPC; the status that follows has the reason.
            with suppress(grpc.aio.InternalError):
                await self._rpc.done_writing()
        except Exception as error:  # noqa: BLE001 - it is raised where the reply is awaited
            # If the RPC ended first, its status has the reason.
            if not self._rpc.done():
                self.failure = error
                self._rpc.cancel()


def _at_once(reading: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that does not wait."""
    try:
        reading.send(None)
    except StopIteration as done:
        return done.value
    reading.close()
    raise RuntimeError("grpcio reports an RPC as done without its status")


async def _first(messages: AsyncIterator[bytes]) -> bytes | None:
    return await anext(messages, None)


def _plain(metadata: Any) -> Metadata:
    return [] if metadata is None else [(name, value) for name, value in metadata]


def _open(upstream: Upstream) -> grpc.aio.Channel:
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", upstream.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        # Below the first the C core takes all, between the two it refuses some at random.
        ("grpc.max_metadata_size", upstream.max_header_bytes),
        ("grpc.absolute_max_metadata_size", upstream.max_header_bytes),
        ("grpc.primary_user_agent", USER_AGENT),
        # Retries configured through DNS are off: the operator has not chosen them. Transparent ones
        # of calls that no back end has seen stay on: a GOAWAY may cross a call.
        ("grpc.service_config_disable_resolution", 1),
        # A back end that is up again is noticed in seconds; the default waits up to two minutes.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5000),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if upstream.keepalive_s is not None:
        options += [
            ("grpc.keepalive_time_ms", round(upstream.keepalive_s * 1000)),
            ("grpc.keepalive_timeout_ms", round(upstream.keepalive_timeout_s * 1000)),
        ]
    compression = _COMPRESSIONS[upstream.compression]
    target = upstream.target or ""  # the settings refuse `targets` with this channel
    if upstream.tls is None:
        return grpc.aio.insecure_channel(target, options, compression)
    if upstream.tls.server_name is not None:
        options.append(("grpc.ssl_target_name_override", upstream.tls.server_name))
    return grpc.aio.secure_channel(target, _credentials(upstream.tls), options, compression)


def _credentials(tls: TlsClient) -> grpc.ChannelCredentials:
    files: Sequence[bytes | None] = [
        None if file is None else read_file(file)
        for file in (tls.ca_file, tls.key_file, tls.cert_file)
    ]
    return grpc.ssl_channel_credentials(*files)
