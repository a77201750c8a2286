"""Resolves names again and again: the resolver of the system, and when it is asked."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from random import Random
from typing import Generic, Protocol, TypeVar

from gateway.config.upstreams import DnsOptions, Family
from gateway.upstream.endpoint import Endpoint

_Found_co = TypeVar("_Found_co", covariant=True)

logger = logging.getLogger("gateway")

_JITTER = 0.1
"""The largest part of `refresh_s` that is added, so that processes do not all ask at once."""
_BACKOFF_START_S, _BACKOFF_FACTOR, _BACKOFF_CAP_S = 1.0, 1.6, 30.0
"""The pauses after failed lookups; those of gRPC's connection-backoff.md with a lower cap."""
_LOOKUP_S = 30.0
"""Seconds after which a lookup counts as failed; the system's resolver has shorter limits."""
_NO_SUCH_NAME = {getattr(socket, name, None) for name in ("EAI_NONAME", "EAI_NODATA")}
MOST_ENDPOINTS = 1000
"""The most addresses taken of one answer: each is a connection."""


class SystemResolver:
    """Resolves a name as the system does: hosts file, search list, DNS."""

    def __init__(self, host: str, port: int, family: Family) -> None:
        self._host = host
        self._port = port
        self._family = family

    async def resolve(self) -> Sequence[Endpoint]:
        """One endpoint for each address; see `Resolver.resolve`."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                return []
            raise
        except ValueError:  # no resolver takes the name
            return []
        by_family: dict[int, list[str]] = {socket.AF_INET6: [], socket.AF_INET: []}
        for family, _, _, _, address in found:
            if family in by_family:
                by_family[family].append(_address_text(address))
        v6, v4 = (list(dict.fromkeys(by_family[one])) for one in by_family)
        return endpoints_at(v6, v4, self._family)[:MOST_ENDPOINTS]


def endpoints_at(
    v6: Sequence[str],
    v4: Sequence[str],
    family: Family,
) -> Sequence[Endpoint]:
    """The endpoints with these addresses; a server with an address of each family is one endpoint.

    One IPv6 and one IPv4 address are one server (gRFC A61). With more, nothing says which of them
    belong together, so only one family is used: no server must count twice.
    """
    if family is Family.BOTH:
        chosen = [*v6, *v4]
    elif family is not Family.AUTO:
        chosen = list(v6 if family is Family.V6 else v4)
    elif len(v6) == len(v4) == 1:
        return [Endpoint((v6[0], v4[0]))]
    else:
        chosen = list(v6 if v6 and (not v4 or _has_route(v6[0])) else v4)
    return [Endpoint((address,)) for address in chosen]


def _has_route(address: str) -> bool:
    """True if this machine has a route to an IPv6 address; connecting UDP sends nothing."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
    except OSError:
        return False
    return True


def _address_text(address: Sequence[object]) -> str:
    """The address of a socket as text, with the zone of a link-local one."""
    host, port = str(address[0]), address[1]
    if len(address) > 3 and address[3] and "%" not in host:
        host = f"{host}%{address[3]}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Schedule:
    """Decides when a name is resolved next, and when an empty answer counts; reads no clock."""

    def __init__(self, options: DnsOptions, random: Random) -> None:
        self._options = options
        self._random = random
        self._failures = 0
        self._empty_since_s: float | None = None
        self._has_answer = False

    def after_answer(self) -> float:
        """Seconds to the next lookup after an answer with addresses."""
        self._failures = 0
        self._empty_since_s = None
        self._has_answer = True
        return self._options.refresh_s * (1 + self._random.random() * _JITTER)

    def after_failure(self) -> float:
        """Seconds to the next lookup after one that failed."""
        pause_s = min(_BACKOFF_CAP_S, _BACKOFF_START_S * _BACKOFF_FACTOR**self._failures)
        self._failures = min(self._failures + 1, 20)
        return pause_s * self._random.uniform(0.8, 1.2)

    def empty_counts(self, now_s: float) -> bool:
        """True if an answer without addresses at `now_s` replaces the last one."""
        if not self._has_answer:
            return True
        if self._empty_since_s is None:
            self._empty_since_s = now_s
        return now_s - self._empty_since_s >= self._options.empty_grace_s


class Lookup(Protocol[_Found_co]):
    """A `Resolver`, or the same for other things than endpoints, such as DNS records."""

    async def resolve(self) -> Sequence[_Found_co]:
        """All things that are found at this time; see `Resolver.resolve`."""
        ...


class Refresh(Generic[_Found_co]):
    """Asks a resolver for as long as it is open, and hands on each answer.

    A failed lookup hands on nothing, so that the last answer stays in use. An empty answer replaces
    the last one only after a time (`Schedule.empty_counts`). `when_empty` is the reason with which
    it is also reported as a failure; if that is empty, it is not reported.
    """

    def __init__(
        self,
        resolver: Lookup[_Found_co],
        options: DnsOptions,
        on_answer: Callable[[Sequence[_Found_co]], None],
        on_failure: Callable[[str], None],
        random: Random,
        *,
        when_empty: str = "it has no addresses",
    ) -> None:
        self._when_empty = when_empty
        self._resolver = resolver
        self._min_interval_s = options.min_interval_s
        self._start_s = options.start_s
        self._on_answer = on_answer
        self._on_failure = on_failure
        self._schedule = Schedule(options, random)
        self._refresh_s, self._quiet_s = options.refresh_s, options.quiet_refresh_s
        self.called_s: Callable[[], float] | None = None
        """Tells when the last call was made, on the clock of the event loop; without it, names are
        resolved as if there were always calls."""
        self._asked = asyncio.Event()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    async def first(self, timeout_s: float | None = None) -> bool:
        """Starts asking; returns once the first lookup is over, or False if that takes longer."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        try:
            async with asyncio.timeout(timeout_s):
                await self._asked.wait()
        except TimeoutError:
            return False
        return True

    async def start(self) -> None:
        """Starts asking, and waits for the first lookup, but not longer than `dns.start_s`."""
        if not await self.first(self._start_s):
            self._on_failure(f"the first lookup takes longer than {self._start_s:g} s")

    def ask_soon(self) -> None:
        """Asks as soon as the shortest time between two lookups allows it."""
        self._wanted.set()

    async def close(self) -> None:
        """Asks no more."""
        # Python 3.11's `wait_for`, which resolvers use, can swallow a cancellation.
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            pause_s = await self._ask()
            if self._is_closed:
                return
            asked_s = loop.time()
            self._asked.set()
            await asyncio.sleep(min(pause_s, self._min_interval_s))
            wait_s = max(0.0, pause_s - self._min_interval_s)
            while not await self._is_wanted(wait_s) and self._is_quiet(asked_s):
                wait_s = min(self._refresh_s, self._quiet_s)
            self._wanted.clear()

    async def _is_wanted(self, wait_s: float) -> bool:
        """True as soon as a lookup is asked for; False if that takes longer than `wait_s`."""
        try:
            async with asyncio.timeout(wait_s):
                return await self._wanted.wait()
        except TimeoutError:
            return False

    def _is_quiet(self, asked_s: float) -> bool:
        """True if a lookup can wait, because nobody has called for long."""
        if self.called_s is None:
            return False
        since_s = asyncio.get_running_loop().time() - self._quiet_s
        return self.called_s() <= since_s < asked_s

    async def _ask(self) -> float:
        """Asks once; returns the seconds to the next time."""
        try:
            async with asyncio.timeout(_LOOKUP_S):
                found = await self._resolver.resolve()
        except TimeoutError:
            self._on_failure("the lookup took too long")
            return self._schedule.after_failure()
        except OSError as error:
            self._on_failure(error.strerror or type(error).__name__)
            return self._schedule.after_failure()
        except Exception:
            # A resolver of the program's own must not end the lookups.
            logger.exception("the resolver of an upstream failed")
            self._on_failure("internal error of the resolver")
            return self._schedule.after_failure()
        if self._is_closed:
            return 0.0
        if found:
            self._on_answer(found)
            return self._schedule.after_answer()
        if self._when_empty:
            self._on_failure(self._when_empty)
        if self._schedule.empty_counts(asyncio.get_running_loop().time()):
            self._on_answer([])
        return self._schedule.after_failure()
