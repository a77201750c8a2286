"""Applies a gRPC service config to an upstream: its settings, and the rules of each method.

It stands in the settings, or in DNS, where it may change (gRFC A2).
"""

import asyncio
import json
import logging
import socket
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from gateway.config.grpc_service_config import (
    ServiceConfig,
    read_service_config,
    service_config_in,
)
from gateway.files import read_file
from gateway.schema.catalog import ByMethod, Method, StartUpError
from gateway.telemetry.event import about
from gateway.upstream.interfaces import (
    AroundUpstream,
    ChecksMethods,
    Code,
    Progress,
    Reply,
    RequestBytes,
    StatusError,
    Unprocessed,
    UpstreamCall,
    UpstreamChannel,
    late_before_sending,
)
from gateway.upstream.resolving import Refresh

__all__ = [
    "ConfiguredChannel",
    "FollowingChannel",
    "ServiceConfig",
    "ServiceConfigError",
    "load_service_config",
]

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


def check_methods(name: str, config: ServiceConfig, methods: Sequence[Method]) -> None:
    """Compares the names of the service config of an upstream with the methods that go there, and
    warns of those that select none.

    Raises:
        ServiceConfigError: none of the methods that a `hedgingPolicy` is for may be hedged.
    """
    if not methods:
        return
    where = f"upstreams.{name}.grpc_service_config"
    for (service, method), rule in config.methods.items():
        shown = f"{service}/{method}" if method else service or "all methods"
        covered = [one for one in methods if config.of(one.service, one.name) is rule]
        if service and not any(
            one.service == service and method in {"", one.name} for one in methods
        ):
            logger.warning("%s: methodConfig: no call goes to %s here", where, shown)
        elif rule.hedging_policy and not any(one.declares_repeatable for one in covered):
            raise ServiceConfigError(
                f"{where}: hedgingPolicy for {shown}: expected methods whose "
                "idempotency_level is NO_SIDE_EFFECTS or IDEMPOTENT, because servers may "
                "process hedged calls more than once"
            )


class ConfiguredChannel(AroundUpstream):
    """The channel to an upstream whose calls follow the `methodConfig` of their methods."""

    def __init__(self, name: str, channel: UpstreamChannel, config: ServiceConfig) -> None:
        super().__init__(name, channel)
        self._config = config
        self._rules = ByMethod(lambda method: config.of(method.service, method.name))
        self._is_closed = False

    async def send(self, call: UpstreamCall) -> Reply:
        """Sends `call`, within the limits of time and size of its method."""
        method = call.method
        rule = self._rules.of(method)
        if rule is None:
            return await self.pass_on(call)
        if rule.timeout_s is not None:
            left_s = call.timeout_s
            shorter_s = rule.timeout_s if left_s is None else min(left_s, rule.timeout_s)
            call = call._replace(timeout_s=shorter_s)
        if rule.most_request_bytes is not None:
            call = call._replace(request=_within(call.request, rule.most_request_bytes))
        if rule.wait_for_ready and isinstance(call.request, bytes):
            reply = await self._when_ready(call)
        else:
            reply = await self.pass_on(call)
        most = rule.most_reply_bytes
        if most is not None:
            if reply.messages is not None:
                reply.messages = _all_within(reply.messages, most, _too_large("reply", most, 500))
            elif len(reply.message) > most:
                raise _too_large("reply", most, 500)
        return reply

    async def close(self, grace_s: float = 0.0) -> None:
        """Closes the channel; see `Channel.close`. Calls that wait for a connection fail soon."""
        self._is_closed = True
        await self._channel.close(grace_s)

    def check(self, methods: Sequence[Method]) -> None:
        """Checks the service config with the methods that go to the upstream; see
        `check_methods`."""
        check_methods(self._name, self._config, methods)

    async def _when_ready(self, call: UpstreamCall) -> Reply:
        """Sends `call`, again and again while no connection is possible ("wait for ready")."""
        until_s = None if call.timeout_s is None else time.monotonic() + call.timeout_s
        while True:
            left_s = None if until_s is None else until_s - time.monotonic()
            try:
                return await self.pass_on(call._replace(timeout_s=left_s))
            except Unprocessed as failure:
                # With details, it is an upstream that has too many calls: waiting adds to them.
                is_down = failure.code is Code.UNAVAILABLE and not failure.details
                if self._is_closed or not is_down or failure.progress is not Progress.UNSENT:
                    raise
                if until_s is not None and time.monotonic() + _AGAIN_S >= until_s:
                    raise
            await asyncio.sleep(_AGAIN_S)


class FollowingChannel(AroundUpstream):
    """Calls over a channel that is opened anew whenever the service config changes."""

    def __init__(
        self,
        name: str,
        open_channel: Callable[[ServiceConfig | None], UpstreamChannel],
        drain_s: float,
        percentile: int,
        refreshing: Callable[
            [Callable[[Sequence[str]], None], Callable[[str], None]], Refresh[str]
        ],
    ) -> None:
        """`open_channel` opens the channel with a service config, or without that of DNS;
        `refreshing` asks for the texts of the TXT records, and hands on answers and failures."""
        super().__init__(name, open_channel(None))
        self._open = open_channel
        self._drain_s = drain_s
        self._old: set[asyncio.Task[None]] = set()
        self._value: object = None
        self._said = ""
        self._is_known = False
        self._host = socket.gethostname()
        self._percentile = percentile
        self._methods: Sequence[Method] = ()
        self._refresh = refreshing(self._found, self._not_found)

    async def send(self, call: UpstreamCall) -> Reply:
        """Sends `call`, once the first lookup is over."""
        if not self._is_known:
            started_s = time.monotonic()
            if not await self._refresh.first(call.timeout_s):
                raise late_before_sending()
            self._is_known = True
            if call.timeout_s is not None:
                left_s = call.timeout_s - (time.monotonic() - started_s)
                call = call._replace(timeout_s=left_s)
        return await self.pass_on(call)

    async def resolve(self) -> None:
        """Waits for the first lookups, but not longer than `dns.start_s` for each."""
        await self._refresh.start()
        await self._channel.resolve()

    async def connect(self, timeout_s: float) -> object:
        """Asks for the service config and the endpoints, and begins to connect to all."""
        await self._refresh.first(timeout_s)
        return await self._channel.connect(timeout_s)

    async def close(self, grace_s: float = 0.0) -> None:
        """Closes the channels; see `Channel.close`."""
        await self._refresh.close()
        for task in self._old:
            task.cancel()
        await self._channel.close(grace_s)

    def check(self, methods: Sequence[Method]) -> None:
        """Checks `methods` with the service config of now, and with each one that DNS has later.

        Raises:
            ServiceConfigError: see `check_methods`.
        """
        self._methods = methods
        if isinstance(self._channel, ChecksMethods):
            self._channel.check(methods)

    def _found(self, records: Sequence[str]) -> None:
        """Takes the service config of an answer; a bad one changes nothing (gRFC A21)."""
        try:
            found = service_config_in(records, self._host, self._percentile)
            value = None if found is None else found[0]
            if value == self._value:
                self._said = ""
                return
            config = None if found is None else read_service_config(value)
            if config is not None:
                check_methods(self._name, config, self._methods)
            channel = self._open(config)
        except (ValueError, OSError, StartUpError) as error:
            self._say(
                "gateway.upstream.service_config_refused",
                "the service config that DNS has is not used",
                " ".join(str(error).split())[:300],
            )
            return
        task = asyncio.get_running_loop().create_task(self._channel.close(self._drain_s))
        self._old.add(task)
        task.add_done_callback(self._old.discard)
        self._channel, self._value, self._said = channel, value, ""
        ignored = (*found[1], *config.ignored) if found is not None and config is not None else ()
        logger.info(
            "upstream %s: %s%s",
            self._name,
            "DNS has no service config" if config is None else "uses a service config of DNS",
            f", without {', '.join(ignored)}, not known" if ignored else "",
            extra=about("gateway.upstream.service_config_changed", gateway__upstream=self._name),
        )

    def _not_found(self, reason: str) -> None:
        self._say("gateway.upstream.lookup_failed", "its service config cannot be resolved", reason)

    def _say(self, event: str, text: str, reason: str) -> None:
        """Logs a warning, once for each reason."""
        if reason != self._said:
            self._said = reason
            extra = about(event, gateway__upstream=self._name)
            logger.warning("upstream %s: %s: %s", self._name, text, reason, extra=extra)


def _too_large(kind: str, most: int, http_status: int) -> StatusError:
    text = f"the {kind} has a message of more than the {most} bytes that its method may have"
    return StatusError(Code.RESOURCE_EXHAUSTED, text, http_status=http_status)


def _within(request: RequestBytes, most: int) -> RequestBytes:
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
