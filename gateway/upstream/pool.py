"""Owns the channels, and finds the one that serves a service."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Protocol

from gateway.config.selectors import (
    EVERYTHING,
    StartUpError,
    check_selector,
    matches_service,
    names_service,
)
from gateway.config.upstreams import ChannelKind, Upstream
from gateway.upstream.balancing import SETTINGS_ONLY, Balancing
from gateway.upstream.channels.channel import Channel
from gateway.upstream.channels.named_files import check_tls_files, content_of
from gateway.upstream.interfaces import ChecksMethods, EndpointReport, UpstreamChannel

_GRACE_S = 5.0
"""Seconds for calls to finish when their channel closes, after the listeners have drained."""
_POLL_EVERY_S = 0.02
"""Seconds between two looks at the states for a report."""
_KNOWN_TO_THE_GATEWAY = ("gatewayapi.v1.AuthService",)
"""Services that the gateway itself calls, even if no descriptors describe them."""
_OF_ROUTES = ("services", "fallback")
"""The settings of an upstream that its channel does not use."""


Reports = dict[str, list[EndpointReport]]
"""The endpoints of each upstream, by its name."""


class PoolError(StartUpError):
    """Services and upstreams do not match; the message names them."""


class Opener(Protocol):
    """Opens the channel to an upstream."""

    def __call__(
        self, name: str, upstream: Upstream, balancing: Balancing = SETTINGS_ONLY
    ) -> Channel:
        """The channel to `upstream`; connects to nothing.

        Raises:
            OSError, ValueError: a TLS file cannot be used.
        """
        ...


def _grpcio(name: str, upstream: Upstream, balancing: Balancing = SETTINGS_ONLY) -> Channel:
    from gateway.upstream.channels.grpcio import GrpcioChannel  # noqa: PLC0415 - one kind, one library

    if name in balancing.names:
        raise PoolError(
            f"upstreams.{name}: a resolver, policy or health check of one's own needs "
            "channel: http2"
        )
    return GrpcioChannel(name, upstream)


def _http2(name: str, upstream: Upstream, balancing: Balancing = SETTINGS_ONLY) -> Channel:
    from gateway.upstream.opening import open_http2  # noqa: PLC0415 - one kind, one library

    try:
        return open_http2(name, upstream, balancing)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "dns":
            raise
        raise PoolError(
            f"upstreams.{name}: its DNS servers can be asked only with dnspython: "
            "pip install 'grpc-rest-gateway[dns]'"
        ) from None


CHANNELS: Mapping[ChannelKind, Opener] = {
    ChannelKind.GRPCIO: _grpcio,
    ChannelKind.HTTP2: _http2,
}
"""Opens a channel of each kind."""


class _Opened:
    """A channel that several pools may use; the last of them closes it."""

    def __init__(self, channel: Channel, made_of: object) -> None:
        self.channel = channel
        self.made_of = made_of
        """All that decides how the channel works; equal if another one would do the same."""
        self.pools = 0

    async def release(self) -> None:
        """Ends the use by one pool; the last pool closes the channel."""
        self.pools -= 1
        if not self.pools:
            await self.channel.close(_GRACE_S)


class Pool:
    """The open channels by upstream name."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        channels: Mapping[str, Channel],
        opened: Mapping[str, _Opened] | None = None,
    ) -> None:
        self._upstreams = upstreams
        self._channels = channels
        self._opened = opened or {}
        self._with_endpoints = {
            name: one for name, one in channels.items() if isinstance(one, UpstreamChannel)
        }
        """The channels that know their endpoints: those of the kind `http2`."""

    def opened_from(self, name: str, made_of: object) -> _Opened | None:
        """The channel to an upstream, for another pool, if it is open and made of the same."""
        opened = self._opened.get(name)
        is_same = opened is not None and opened.pools > 0 and opened.made_of == made_of
        return opened if is_same else None

    def __getitem__(self, upstream: str) -> Channel:
        return self._channels[upstream]

    def __contains__(self, upstream: str) -> bool:
        return upstream in self._channels

    def __iter__(self) -> Iterator[str]:
        return iter(self._channels)

    async def resolve(self) -> None:
        """Waits for the first lookup of every name, but not longer than `dns.start_s` of each."""
        await asyncio.gather(*[one.resolve() for one in self._with_endpoints.values()])

    async def report(self, timeout_s: float) -> Reports:
        """Connects to every endpoint of each upstream, and reports them once that is done or the
        time is over. An upstream whose channel is `grpcio` has none to report.
        """
        known = self._with_endpoints
        found = await asyncio.gather(*[_report(one, timeout_s) for one in known.values()])
        reports: Reports = {name: [] for name in self._channels}
        reports.update(zip(known, found, strict=True))
        return reports

    def census(self) -> Counter[tuple[str, str]]:
        """The number of endpoints of each upstream in each state, as they are now."""
        return Counter((name, endpoint.state) for name, endpoint in self.endpoints())

    def endpoints(self) -> Iterator[tuple[str, EndpointReport]]:
        """Yields the name of each upstream with each of its endpoints, as they are now.

        An upstream whose channel is `grpcio` has none to report.
        """
        for name, channel in self._with_endpoints.items():
            for endpoint in channel.report():
                yield name, endpoint

    def limits(self) -> Iterator[tuple[str, str, bool]]:
        """Yields each upstream with each limit of its calls, and whether that refuses some now."""
        for name, channel in self._with_endpoints.items():
            for limit, is_refusing in channel.refusing().items():
                yield name, limit, is_refusing

    def panics(self) -> dict[str, bool]:
        """Returns whether each upstream is in a panic; see `UpstreamChannel.panics`.

        An upstream whose channel is `grpcio` is not among them.
        """
        return {name: one.panics() for name, one in self._with_endpoints.items()}

    def name_of(self, channel: Channel) -> str:
        """Returns the name of the upstream whose channel this is."""
        return next(name for name, one in self._channels.items() if one is channel)

    def assign(
        self, services: Iterable[str], reflected: Mapping[str, str] | None = None
    ) -> dict[str, Channel]:
        """The channel of each service.

        The order is: a configured name, a longer prefix, a shorter prefix, the upstream that
        `reflected` (service to upstream) gives, the one upstream that names no services.

        Raises:
            PoolError: no upstream serves a service, or several claim it equally.
        """
        reflected = reflected or {}
        claims = {
            service: claimants(self._upstreams, service, reflected.get(service))
            for service in services
        }
        if any(len(names) != 1 for names in claims.values()):
            raise PoolError("; ".join(_problems(claims)))
        return {service: self._channels[names[0]] for service, names in claims.items()}

    def checks(self, name: str) -> ChecksMethods | None:
        """Returns the channel of an upstream if it has settings for single methods."""
        channel = self._channels[name]
        return channel if isinstance(channel, ChecksMethods) else None


async def _report(channel: UpstreamChannel, timeout_s: float) -> list[EndpointReport]:
    await channel.connect(timeout_s)
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while any(not one.is_settled for one in channel.report()):  # noqa: ASYNC110 - many states
                await asyncio.sleep(_POLL_EVERY_S)
    return channel.report()


def claimants(
    upstreams: Mapping[str, Upstream], service: str, reflected: str | None = None
) -> list[str]:
    """The upstreams with the strongest claim to a service: one if the settings are valid.

    `reflected` is the one that names it by reflection.
    """
    claims: dict[int, list[str]] = {}
    for name, upstream in upstreams.items():
        strength = max((_strength(p, service) for p in upstream.services), default=0)
        if strength:
            claims.setdefault(strength, []).append(name)
    if claims:
        return claims[max(claims)]
    if reflected is not None:
        return [reflected]
    return [name for name, upstream in upstreams.items() if not upstream.services]


def check_services(upstreams: Mapping[str, Upstream], declared: Iterable[str]) -> None:
    """Refuses a selector in an upstream's services that selects none of the `declared` ones.

    Raises:
        SelectorError: there is one; the text names it and the nearest service.
    """
    known = [*declared, *_KNOWN_TO_THE_GATEWAY]
    for name, upstream in upstreams.items():
        for number, selector in enumerate(upstream.services):
            if selector != EVERYTHING:
                where = f"upstreams.{name}.services[{number}]"
                check_selector(where, selector, known, kind="service")


def _strength(selector: str, service: str) -> int:
    """The strength of a selector's claim to `service`: 0 if it does not select it."""
    if names_service(selector, service):
        return len(service) + 1
    return len(selector) if matches_service(selector, service) else 0


def _problems(claims: Mapping[str, list[str]]) -> Iterator[str]:
    unclaimed = sorted(service for service, names in claims.items() if not names)
    if unclaimed:
        yield (
            f"no upstream serves {', '.join(unclaimed)}: "
            "name it in upstreams.<name>.services, or add --upstream HOST:PORT"
        )
    for service, names in sorted(claims.items()):
        if len(names) > 1:
            yield (
                f"{service} could go to {' or '.join(names)}: "
                f"name it in the services of one of them (upstreams.{names[0]}.services)"
            )


@asynccontextmanager
async def open_pool(
    upstreams: Mapping[str, Upstream],
    balancing: Balancing = SETTINGS_ONLY,
    former: Pool | None = None,
) -> AsyncIterator[Pool]:
    """Opens a channel for each upstream, and closes them at the end. None connects before a call.

    Upstreams whose settings, and the files that these name, are those in the `former` pool share
    its channels, with their connections and all that was learned about their endpoints.

    Raises:
        PoolError: a TLS file cannot be read, or does not hold what it should; or `balancing` is for
            an upstream that is not there.
    """
    for name in balancing.names:
        if name not in upstreams:
            raise PoolError(f"balancing is given for {name}, but there is no such upstream")
    async with AsyncExitStack() as stack:
        opened: dict[str, _Opened] = {}
        for name, upstream in upstreams.items():
            one = opened[name] = _open(name, upstream, balancing, former)
            one.pools += 1
            stack.push_async_callback(one.release)
        yield Pool(upstreams, {name: one.channel for name, one in opened.items()}, opened)


def _open(name: str, upstream: Upstream, balancing: Balancing, former: Pool | None) -> _Opened:
    """The channel to an upstream: that of the former pool, if it does the same."""
    try:
        if upstream.tls is not None:
            check_tls_files(upstream.tls)
        # Read before the channel reads them: a change in between is then seen by the next reload.
        made_of = _settings_of(upstream), content_of(upstream), balancing
        kept = None if former is None else former.opened_from(name, made_of)
        if kept is not None:
            return kept
        return _Opened(CHANNELS[upstream.channel](name, upstream, balancing), made_of)
    except OSError as error:
        raise PoolError(f"upstreams.{name}.tls: {error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise PoolError(f"upstreams.{name}.tls.{error}") from None


def _settings_of(upstream: Upstream) -> tuple[Upstream, frozenset[str]]:
    """The settings that the channel uses, and the names of those that are stated: a service config
    replaces the others. The settings of routes are not among them."""
    used = upstream.model_copy(update=dict.fromkeys(_OF_ROUTES))
    return used, frozenset(used.model_fields_set)
