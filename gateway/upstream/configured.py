"""Applies a gRPC service config to an upstream: its settings, and the rules of each method."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from gateway.call import CallHead, Metadata, Reply
from gateway.config.grpc_service_config import MethodConfig, ServiceConfig, read_service_config
from gateway.files import read_file
from gateway.schema.catalog import Method
from gateway.status import Code, StartUpError, StatusError
from gateway.upstream.channels.failures import Progress, Unprocessed
from gateway.upstream.interfaces import UpstreamChannel

__all__ = ["ConfiguredChannel", "ServiceConfig", "ServiceConfigError", "load_service_config"]

logger = logging.getLogger("gateway.upstream")

_MOST_BYTES = 1024 * 1024
"""The largest file: a service config is some kB."""
_AGAIN_S = 0.1
"""Seconds between two looks for a connection, for a call that waits until one is there."""


class ServiceConfigError(StartUpError):
    """A service config cannot be used; the message names the place."""


def load_service_config(name: str, source: Mapping[str, Any] | Path) -> ServiceConfig:
    """Reads the service config of the upstream `name`, from its settings or a file of JSON.

    Raises:
        ServiceConfigError: it cannot be read, or a part of it is bad.
    """
    where = f"upstreams.{name}.grpc_service_config"
    value: object = source
    if isinstance(source, Path):
        where = f"{where}: {source}"
        try:
            value = json.loads(read_file(source, _MOST_BYTES))
        except OSError as error:
            raise ServiceConfigError(f"{where}: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise ServiceConfigError(f"{where}: is not JSON") from None
    try:
        config = read_service_config(value)
    except ValueError as error:
        raise ServiceConfigError(f"{where}: {error}") from None
    for path in config.ignored:
        logger.warning("%s: %s is not known, and ignored", where, path)
    return config


class ConfiguredChannel:
    """The channel to an upstream whose calls follow the `methodConfig` of their methods."""

    def __init__(self, channel: UpstreamChannel, config: ServiceConfig) -> None:
        self._channel = channel
        self._config = config
        self._known: dict[Method, MethodConfig | None] = {}
        self.key_of = channel.key_of
        self.connect = channel.connect
        self.report = channel.report
        self.close = channel.close

    async def call(
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes],
        metadata: Metadata | CallHead,
        timeout_s: float | None,
        key: int | None = None,
    ) -> Reply:
        """Calls `method` within its limits of time and size; see `Channel.call`."""
        if method not in self._known:
            self._known[method] = self._config.of(method.service, method.name)
        rule = self._known[method]
        if rule is None:
            return await self._channel.call(method, request, metadata, timeout_s, key)
        if rule.timeout_s is not None:
            timeout_s = rule.timeout_s if timeout_s is None else min(timeout_s, rule.timeout_s)
        if rule.most_request_bytes is not None:
            request = _within(request, rule.most_request_bytes)
        if rule.wait_for_ready and isinstance(request, bytes):
            reply = await self._when_ready(method, request, metadata, timeout_s, key)
        else:
            reply = await self._channel.call(method, request, metadata, timeout_s, key)
        most = rule.most_reply_bytes
        if most is not None:
            if reply.messages is not None:
                reply.messages = _all_within(reply.messages, most, _too_large("reply", most, 500))
            elif len(reply.message) > most:
                raise _too_large("reply", most, 500)
        return reply

    async def _when_ready(
        self,
        method: Method,
        request: bytes,
        metadata: Metadata | CallHead,
        timeout_s: float | None,
        key: int | None,
    ) -> Reply:
        """Calls `method`, again and again while no connection is possible ("wait for ready")."""
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = None if until_s is None else until_s - time.monotonic()
            try:
                return await self._channel.call(method, request, metadata, left_s, key)
            except Unprocessed as failure:
                # With details, it is an upstream that has too many calls: waiting adds to them.
                is_down = failure.code is Code.UNAVAILABLE and not failure.details
                if not is_down or failure.progress is not Progress.UNSENT:
                    raise
                if until_s is not None and time.monotonic() + _AGAIN_S >= until_s:
                    raise
            await asyncio.sleep(_AGAIN_S)


def _too_large(kind: str, most: int, http_status: int) -> StatusError:
    text = f"the {kind} has a message of more than the {most} bytes that its method may have"
    return StatusError(Code.RESOURCE_EXHAUSTED, text, http_status=http_status)


def _within(request: bytes | AsyncGenerator[bytes], most: int) -> bytes | AsyncGenerator[bytes]:
    if not isinstance(request, bytes):
        return _all_within(request, most, _too_large("request", most, 413))
    if len(request) > most:
        raise _too_large("request", most, 413)
    return request


async def _all_within(
    messages: AsyncGenerator[bytes], most: int, error: StatusError
) -> AsyncGenerator[bytes]:
    """The messages, up to one that is larger than `most` bytes, which raises `error`."""
    async with aclosing(messages):
        async for message in messages:
            if len(message) > most:
                raise error
            yield message
