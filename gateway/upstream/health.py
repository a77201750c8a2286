"""Health checks of endpoints: `Watch` of grpc.health.v1 as in gRFC A17, `Check`, HTTP or TCP.

An endpoint is asked for as long as it is connected; by gRPC on its own connection. Until its first
answer it counts as connecting.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random

from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from gateway.config.health_checks import HealthCheckOptions
from gateway.telemetry.event import about
from gateway.upstream.endpoint import Endpoint, HealthCheck, State
from gateway.upstream.interfaces import (
    AnyRequest,
    Around,
    CallMetadata,
    Code,
    ConnectionLost,
    EndpointChannel,
    Method,
    Reply,
    StatusError,
)
from gateway.upstream.own_calls import own_method, pause_s
from gateway.upstream.watch import UNWATCHED_ENDPOINTS, WatchEndpoints

logger = logging.getLogger("gateway.upstream")

_JITTER = 0.15
_STATUSES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_SERVING = "SERVING"


Ask = Callable[[], Awaitable[tuple[str, bool]]]
"""Asks an endpoint outside its connection; see `Probe.ask`."""

_SERVICE, _FILE = "grpc.health.v1.Health", "grpc/health/v1/health.proto"
_CHECK = own_method(_SERVICE, "Check", _FILE, server_streaming=False)
_WATCH = own_method(_SERVICE, "Watch", _FILE, server_streaming=True)


class Verdict:
    """The health of an endpoint, from the results of its checks; pure."""

    def __init__(self, options: HealthCheckOptions) -> None:
        self._options = options
        self._against = 0
        self.is_healthy: bool | None = None
        """None before the first result."""
        self.reason = ""
        """The reason why it is unhealthy; empty if it is not."""

    def checked(self, reason: str) -> bool:
        """Takes one result, with the reason if it failed; true if that changes the verdict.

        The first result decides alone (Envoy), later ones only several in a row.
        """
        passed = not reason
        if passed is self.is_healthy:
            self._against = 0
            return False
        self._against += 1
        needed = self._options.healthy if passed else self._options.unhealthy
        if self.is_healthy is not None and self._against < needed:
            return False
        return self.decided(reason)

    def decided(self, reason: str) -> bool:
        """Takes a result that decides at once; true if that changes the verdict."""
        passed = not reason
        changes = passed is not self.is_healthy
        self.is_healthy, self.reason, self._against = passed, reason, 0
        return changes

    def forget(self) -> None:
        """Forgets all results, for a new connection."""
        self.is_healthy, self.reason, self._against = None, "", 0


class CheckedChannel(Around):
    """The channel to an endpoint whose health is asked for; an `EndpointChannel` itself."""

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        channel: EndpointChannel,
        options: HealthCheckOptions,
        random: Random,
        *,
        own: EndpointChannel,
        probe: Ask,
        check: HealthCheck | None = None,
        watch: WatchEndpoints = UNWATCHED_ENDPOINTS,
    ) -> None:
        """Asks by `check`, if the program has one; otherwise as `options` say: by `probe`, or over
        `own`, the same channel without the counts of calls around it."""
        super().__init__(channel)
        self._own = own
        self._name = name
        self._watch_results = watch
        self._endpoint = endpoint
        self._options = options
        self._outside = None if options.by_grpc else probe
        if check is not None:
            self._outside = _ask_program(check, endpoint)
        self._random = random
        self._request = StringValue(value=options.service).SerializeToString()
        """A HealthCheckRequest: its one field has the number and the type of a StringValue's."""
        self._verdict = Verdict(options)
        self._had_call = True
        self._task: asyncio.Task[None] | None = None
        self._is_asking = False
        self._is_closed = False
        self.on_pass: Callable[[], None] | None = None
        """Called with each good result."""

    def call(
        self, method: Method, request: AnyRequest, metadata: CallMetadata, timeout_s: float | None
    ) -> Awaitable[Reply]:
        """Calls `method` once; see `EndpointChannel.call`."""
        self._had_call = True
        return self.channel.call(method, request, metadata, timeout_s)

    async def close(self, grace_s: float = 0.0) -> None:
        """Asks no more, and closes the channel; see `Channel.close`."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await super().close(grace_s)

    @property
    def in_flight(self) -> int:
        """The number of calls that have started and not ended, without those of the checks."""
        return self.channel.in_flight - self._is_asking

    @property
    def state(self) -> State:
        """The state of its connections, or that it is unhealthy."""
        state = self.channel.state
        if state is not State.READY or self._verdict.is_healthy:
            return state
        return State.CONNECTING if self._verdict.is_healthy is None else State.UNHEALTHY

    @property
    def failure(self) -> str:
        """The reason why it takes no calls; empty if it does."""
        return self.channel.failure or self._verdict.reason

    def tell(self) -> None:
        """Asks from the time when it is connected, until it is so no more."""
        is_ready = self.channel.state is State.READY
        if not is_ready and self._task is not None:
            self._task.cancel()
            self._task = None
            self._verdict.forget()
        elif is_ready and self._task is None and not self._is_closed:
            self._task = asyncio.get_running_loop().create_task(self._run())
        super().tell()

    async def _run(self) -> None:
        try:
            if (outside := self._outside) is not None:
                await self._repeat(lambda: self._probe(outside))
            if self._options.watch:
                await self._watch()
            await self._repeat(self._check)
        except asyncio.CancelledError:
            raise
        except Exception:
            # A fault of ours must not keep the endpoint from its calls.
            logger.exception("upstream %s: a health check failed", self._name)
            self._take("", at_once=True)

    async def _watch(self) -> None:
        """Takes what the endpoint reports; returns if it does not know `Watch`."""
        failures = 0
        while True:
            try:
                had_answer = await self._watch_once()
            except StatusError as error:
                if error.code is Code.UNIMPLEMENTED:
                    return
                had_answer = False
                self._take(f"its health check ended with {error.code.name}", at_once=True)
            failures = 0 if had_answer else failures + 1
            if not had_answer:
                await asyncio.sleep(pause_s(failures, self._random))

    async def _watch_once(self) -> bool:
        """Takes the reports of one stream; true if there was any."""
        had_answer = False
        self._is_asking = True
        try:
            async with asyncio.timeout(self._options.timeout_s) as first:
                reply = await self._own.call(_WATCH, self._request, [], None)
                messages = reply.messages
                if messages is None:
                    return False
                try:
                    async for message in messages:
                        first.reschedule(None)
                        had_answer = True
                        self._take(_reason(message), at_once=True)
                finally:
                    await messages.aclose()
        except TimeoutError:
            self._take(self._no_answer(), at_once=True)
            return False
        except StatusError as error:
            if not had_answer:
                raise
            if isinstance(error, ConnectionLost) and self.channel.state is State.READY:
                return True  # its connection was replaced: that says nothing about its health
            self._take(f"its health check ended with {error.code.name}", at_once=True)
            return True
        finally:
            self._is_asking = False
        self._take("its health check ended", at_once=True)
        return had_answer

    async def _repeat(self, ask: Callable[[], Awaitable[bool]]) -> None:
        """Asks at intervals for as long as `ask` returns true; seldom while there are no calls."""
        options, loop = self._options, asyncio.get_running_loop()
        called_s = asked_s = loop.time()
        while await ask():
            asked_s = loop.time()
            while True:
                jitter = self._random.uniform(1 - _JITTER, 1 + _JITTER)
                await asyncio.sleep(options.interval_s * jitter)
                now_s = loop.time()
                if self._had_call:
                    self._had_call, called_s = False, now_s
                is_quiet = now_s - called_s >= options.quiet_interval_s
                if not is_quiet or now_s - asked_s >= options.quiet_interval_s:
                    break

    async def _check(self) -> bool:
        """Asks by `Check`; false if the endpoint does not know the service."""
        self._is_asking = True
        try:
            async with asyncio.timeout(self._options.timeout_s):
                reply = await self._own.call(_CHECK, self._request, [], self._options.timeout_s)
            reason = _reason(reply.message)
        except TimeoutError:
            reason = self._no_answer()
        except StatusError as error:
            if error.code is Code.UNIMPLEMENTED:
                self._say_unknown()
                self._take("", at_once=True)
                return False
            reason = f"its health check ended with {error.code.name}"
            if error.code is Code.DEADLINE_EXCEEDED:
                reason = self._no_answer()
        finally:
            self._is_asking = False
        self._take(reason, at_once=False)
        return True

    async def _probe(self, outside: Ask) -> bool:
        """Asks by HTTP, connects, or asks the program."""
        try:
            async with asyncio.timeout(self._options.timeout_s):
                reason, at_once = await outside()
        except TimeoutError:
            reason, at_once = self._no_answer(), False
        self._take(reason, at_once=at_once)
        return True

    def _take(self, reason: str, *, at_once: bool) -> None:
        was_healthy = self._verdict.is_healthy
        verdict = self._verdict
        self._watch_results.checked(passed=not reason)
        changes = verdict.decided(reason) if at_once else verdict.checked(reason)
        if not reason and self.on_pass is not None:
            self.on_pass()
        if changes:
            self._say(was_unknown=was_healthy is None)
            self.tell()

    def _no_answer(self) -> str:
        return f"its health check had no answer in {self._options.timeout_s:g} s"

    def _say(self, *, was_unknown: bool) -> None:
        address = str(self._endpoint)
        fields = {"gateway__upstream": self._name, "server__address": address}
        if not self._verdict.is_healthy:
            logger.warning(
                "upstream %s: %s is unhealthy: %s",
                self._name,
                address,
                self._verdict.reason,
                extra=about("gateway.upstream.endpoint_unhealthy", **fields),
            )
        elif not was_unknown:
            logger.info(
                "upstream %s: %s is healthy again",
                self._name,
                address,
                extra=about("gateway.upstream.endpoint_healthy", **fields),
            )

    def _say_unknown(self) -> None:
        logger.warning(
            "upstream %s: %s does not serve grpc.health.v1.Health, so it counts as healthy",
            self._name,
            self._endpoint,
            extra=about(
                "gateway.upstream.no_health_service",
                gateway__upstream=self._name,
                server__address=str(self._endpoint),
            ),
        )


def _ask_program(check: HealthCheck, endpoint: Endpoint) -> Ask:
    """The function that asks about `endpoint` by a program's own check."""

    async def ask() -> tuple[str, bool]:
        try:
            return await check.check(endpoint), False
        except OSError as error:
            return f"its health check failed: {error.strerror or error}", False

    return ask


def _reason(message: bytes) -> str:
    """The reason why a HealthCheckResponse is a failure; empty if it is none.

    Its one field, an enum, has on the wire the number and the form of an Int32Value's.
    """
    try:
        status = Int32Value.FromString(message).value
    except DecodeError:
        return "the answer to its health check cannot be read"
    name = _STATUSES.get(status, str(status))
    return "" if name == _SERVING else f"its health is {name}"
