"""Owns the channels, and knows which one serves a service."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.config.model import ChannelKind, Upstream
from gateway.upstream.channel import Channel

_GRACE_S = 5.0


class PoolError(Exception):
    """Services and upstreams do not fit each other; the text names them."""


def _grpcio(name: str, upstream: Upstream) -> Channel:
    from gateway.upstream.grpcio_channel import GrpcioChannel  # noqa: PLC0415 - one kind, one library

    return GrpcioChannel(name, upstream)


CHANNELS: Mapping[ChannelKind, Callable[[str, Upstream], Channel]] = {
    ChannelKind.GRPCIO: _grpcio,
}
"""How each kind of channel is opened."""


class Pool:
    """The open channels by upstream name."""

    def __init__(self, upstreams: Mapping[str, Upstream], channels: Mapping[str, Channel]) -> None:
        self._upstreams = upstreams
        self._channels = channels

    def __getitem__(self, upstream: str) -> Channel:
        return self._channels[upstream]

    def __iter__(self) -> Iterator[str]:
        return iter(self._channels)

    def assign(
        self, services: Iterable[str], reflected: Mapping[str, str] | None = None
    ) -> dict[str, Channel]:
        """The channel of each service.

        A configured name beats a longer pattern, that beats a shorter one, then comes what
        `reflected` (service to upstream) says, then the one upstream that names no services.

        Raises:
            PoolError: no upstream serves a service, or several claim it alike.
        """
        reflected = reflected or {}
        chosen = {service: self._choose(service, reflected.get(service)) for service in services}
        homeless = sorted(service for service, name in chosen.items() if name is None)
        if homeless:
            raise PoolError(
                f"no upstream serves {', '.join(homeless)}; "
                "name it in upstreams.<name>.services, or add --upstream HOST:PORT"
            )
        return {s: self._channels[name] for s, name in chosen.items() if name is not None}

    def _choose(self, service: str, reflected: str | None) -> str | None:
        claims: dict[int, list[str]] = {}
        for name, upstream in self._upstreams.items():
            strength = max((_strength(p, service) for p in upstream.services), default=0)
            if strength:
                claims.setdefault(strength, []).append(name)
        if claims:
            return _only(service, claims[max(claims)])
        if reflected is not None:
            return reflected
        open_to_all = [name for name, upstream in self._upstreams.items() if not upstream.services]
        return _only(service, open_to_all) if open_to_all else None


def _strength(pattern: str, service: str) -> int:
    """How exactly `pattern` names `service`: 0 for not at all."""
    if pattern == service:
        return len(service) + 1
    if pattern == "*" or (pattern.endswith(".*") and service.startswith(pattern[:-1])):
        return len(pattern)
    return 0


def _only(service: str, names: list[str]) -> str:
    if len(names) > 1:
        raise PoolError(
            f"{service} could go to {' or '.join(names)}; "
            f"name it in the services of one of them (upstreams.{names[0]}.services)"
        )
    return names[0]


@asynccontextmanager
async def open_pool(upstreams: Mapping[str, Upstream]) -> AsyncIterator[Pool]:
    """A channel for each upstream, closed in the end. None connects before its first call."""
    async with AsyncExitStack() as stack:
        channels: dict[str, Channel] = {}
        for name, upstream in upstreams.items():
            channel = CHANNELS[upstream.channel](name, upstream)
            stack.push_async_callback(channel.close, _GRACE_S)
            channels[name] = channel
        yield Pool(upstreams, channels)
