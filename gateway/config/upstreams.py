"""Settings of back ends."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from gateway.config.hashing import HashBalanceFactor, HashSources, RingSize
from gateway.config.health_checks import HealthCheckOptions
from gateway.config.load_reports import LoadReportOptions
from gateway.config.outliers import IN_A_ROW, OutlierOptions
from gateway.config.overload import AdaptiveOptions, Calls
from gateway.config.retries import HedgingPolicy, Retries, RetryPolicy, RetryThrottling
from gateway.config.sections import Bytes, Seconds, Section, ServiceName
from gateway.config.targets import (
    DnsTarget,
    Target,
    TargetOptions,
    ZoneOptions,
    check_target,
    dns_target,
)


class TlsClient(Section):
    """TLS to a back end."""

    ca_file: Path | None = None
    """Trusted certificates, as PEM; unset for those of the system."""
    cert_file: Path | None = None
    """The gateway's own certificate chain for mutual TLS, as PEM."""
    key_file: Path | None = None
    """The key of `cert_file`, as PEM."""
    server_name: str | None = None
    """The name expected in the back end's certificate, if it is not the target's."""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: set both or neither")
        return self


class ChannelKind(StrEnum):
    """The gRPC client for a back end."""

    HTTP2 = "http2"
    GRPCIO = "grpcio"


class RequestCompression(StrEnum):
    """The compression of requests to a back end."""

    NONE = "none"
    GZIP = "gzip"


class Balance(StrEnum):
    """The choice of an endpoint for each call."""

    PICK_FIRST = "pick_first"
    ROUND_ROBIN = "round_robin"
    LEAST_REQUEST = "least_request"
    RING_HASH = "ring_hash"
    WEIGHTED_ROUND_ROBIN = "weighted_round_robin"


_WITHOUT_SHARES = (Balance.PICK_FIRST, Balance.RING_HASH)
_FOR_BALANCE = {
    "full_scan": Balance.LEAST_REQUEST,
    "shuffle": Balance.PICK_FIRST,
    "weighted_round_robin": Balance.WEIGHTED_ROUND_ROBIN,
}
"""The settings of one way to choose, which have no effect with others."""


class Family(StrEnum):
    """The addresses of a name that are used."""

    AUTO = "auto"
    V4 = "v4"
    V6 = "v6"
    BOTH = "both"


class DnsOptions(Section):
    """The rules by which the name of a target is resolved again; for `http2`."""

    refresh_s: Seconds = 5.0
    """Seconds after which a name is resolved again, and up to a tenth more."""
    quiet_refresh_s: Seconds = 60.0
    """Seconds between two lookups while no call came for so long; calls end that after `refresh_s`
    at most."""
    min_interval_s: Seconds = 1.0
    """The shortest time between two lookups; a lost or failed connection asks for one at once."""
    start_s: Seconds = 5.0
    """The longest wait for the first lookup when the gateway starts; then it serves without."""
    empty_grace_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    """Seconds for which the last addresses stay in use when a name no longer exists or has none."""
    family: Family = Family.AUTO
    """Which addresses are endpoints: v4, v6, both; auto for v6 if this machine has a route there
    and the name has any, else v4."""
    service_config: bool = False
    """Read the gRPC service config of the name from DNS, and follow its changes: who can change
    the zone decides then on repeats and time limits."""


_HTTP2_ONLY = (
    *("adaptive", "balance", "connect_timeout_s", "dns", "drain_s", "full_scan"),
    *("grpc_service_config", "hash", "hash_balance_factor", "health", "hedging_policy"),
    *("idle_check_s", "idle_close_s", "max_connection_age_s", "max_connections", "max_pending"),
    *("max_requests", "max_ring_size", "outlier", "panic_percent", "retries", "retry_policy"),
    *("retry_throttling", "slow_start_aggression", "slow_start_min_weight", "slow_start_s"),
    *("shuffle", "subset_size", "targets", "unacknowledged_s", "weighted_round_robin", "zones"),
)
"""The settings that `grpcio` cannot take: the C core has its own resolver, balancing and
retries."""


class Upstream(Section):
    """One back end: one endpoint, or several that serve the same."""

    target: Target | None = None
    """`host:port`, `unix:/path`, `dns://SERVER[:PORT]/NAME:PORT`, or `srv:///_grpc._tcp.NAME`; each
    address of a name is an endpoint."""
    targets: tuple[TargetOptions, ...] = ()
    """The endpoints, in place of `target`; for `http2`."""
    balance: Balance | None = None
    """The choice between endpoints: pick_first, round_robin, least_request, weighted_round_robin,
    or ring_hash; unset for round_robin; for `http2`."""
    full_scan: bool = False
    """With `least_request`, compare the calls under way of all endpoints, and not of two; the cost
    of a choice grows with their number; for `http2`."""
    shuffle: bool = False
    """With `pick_first`, begin with an endpoint that each worker draws, by weight, so that not all
    call the same one; for `http2`."""
    weighted_round_robin: LoadReportOptions = LoadReportOptions()
    zones: ZoneOptions = ZoneOptions()
    slow_start_s: Seconds | None = None
    """Seconds in which the share of an endpoint grows to its whole one, after it was new or not
    well; unset for at once; for `http2`."""
    slow_start_aggression: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 1.0
    """The growth of the share: 1 for evenly, more for faster at first, less for slower; for
    `http2`."""
    slow_start_min_weight: Annotated[float, Field(ge=0.01, le=1, allow_inf_nan=False)] = 0.1
    """The part of its share that an endpoint gets from the first moment on; for `http2`."""
    subset_size: Annotated[int, Field(ge=1, le=1000)] | None = None
    """The number of endpoints, of each priority, to which one worker connects; unset for all; for
    `http2`."""
    hash: HashSources = ()
    """With `ring_hash`, what of a call decides its endpoint: one part of it or a list; for
    `http2`."""
    hash_balance_factor: HashBalanceFactor | None = None
    """With `ring_hash`, the percentage of the mean number of calls under way above which an
    endpoint gets no more, 100 or more; unset for no limit; for `http2`."""
    max_ring_size: RingSize = 4096
    """With `ring_hash`, the largest number of points on the ring; for `http2`."""
    dns: DnsOptions = DnsOptions()
    drain_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    """Seconds for calls to finish at an endpoint whose address went away, or on a connection that
    is replaced for its age; for `http2`."""
    retries: Retries = Retries.SAFE
    """Calls repeated on another endpoint after a lost connection or UNAVAILABLE: safe (those of
    methods that may be repeated), or off; for `http2`."""
    retry_policy: RetryPolicy | None = None
    """The rules of repetition; with it, also on the same endpoint if there is no other; for
    `http2`."""
    hedging_policy: HedgingPolicy | None = None
    """Send calls to a second endpoint if the first does not answer soon, in place of repeats; unset
    for never; for `http2`."""
    retry_throttling: RetryThrottling | None = None
    """Stop repeats while too many calls fail; unset for never; for `http2`."""
    health: HealthCheckOptions | None = None
    """Ask each endpoint if it is well, and leave out those that are not; `{}` for the defaults,
    unset for never; for `http2`."""
    outlier: OutlierOptions | None = IN_A_ROW
    """Leave out endpoints whose calls fail, for a time; unset for after five failures in a row, for
    3 to 8 s; `{}` for the times of gRFC A50, null for never; for `http2`."""
    panic_percent: Annotated[int, Field(ge=0, le=100)] = 50
    """While a lower percentage of endpoints takes calls, those that are left out get calls too; 0
    for only when no other is there; for `http2`."""
    grpc_service_config: dict[str, Any] | Path | None = None
    """A gRPC service config, as a map or a file of JSON. Where it says something, it replaces
    `balance`, `health`, `retry_throttling` and `max_connections`; for `http2`."""
    fallback: str | None = None
    """The upstream that gets calls which could not be sent to this one, because none of its
    endpoints can be reached; those that a back end may have seen stay here."""
    services: tuple[ServiceName, ...] = ()
    """Its services: a full name, `package.*`, or `*`; empty for all that no other upstream has."""
    tls: TlsClient | None = None
    """Use TLS; `{}` to trust the certificates of the system."""
    channel: ChannelKind = ChannelKind.HTTP2
    """The gRPC client: http2 (the gateway's own) or grpcio."""
    max_message_bytes: Bytes = 64 * 1024 * 1024
    """The size limit of a reply; a larger one is RESOURCE_EXHAUSTED."""
    large_replies_bytes: Bytes = 64 * 1024 * 1024
    """The memory per worker for replies over 1 MiB, or messages of streams, until they are
    transcoded; more of them wait: at the back end over `http2`, and with `grpcio` in memory, as
    much again."""
    large_replies_wait_s: Seconds = 10.0
    """The longest wait of a reply for this memory, after which it is RESOURCE_EXHAUSTED. An
    interceptor that keeps a large reply keeps its memory."""
    max_header_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 64 * 1024
    """The size limit of a reply's headers or trailers; larger ones are RESOURCE_EXHAUSTED, because
    reading them takes time."""
    max_connections: Annotated[int, Field(gt=0)] = 8
    """The largest number of connections to each endpoint per worker; for `http2`."""
    max_pending: Annotated[int, Field(gt=0)] = 1024
    """The largest number of calls per worker that wait for a connection, to all endpoints together;
    more fail at once with UNAVAILABLE; for `http2`."""
    max_requests: Calls | None = None
    """The largest number of calls per worker under way, those that wait and streams included; more
    fail at once with UNAVAILABLE; unset for no limit; for `http2`."""
    adaptive: AdaptiveOptions | None = None
    """Find the largest number of calls under way from the time they take; `{}` for the defaults,
    unset for no; for `http2`."""
    max_connection_age_s: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    """Replace a connection after this time, 1 or more, and a tenth more or less: calls under way at
    the old one may finish for `drain_s`; unset for never; for `http2`."""
    idle_close_s: Seconds | None = 1800.0
    """Close a connection that had no call for this time, and half as much more at most; with
    several endpoints not the last one to each; null for never; for `http2`."""
    connect_timeout_s: Seconds = 10.0
    """The time limit for opening a connection, over all addresses of a name; for `http2`."""
    unacknowledged_s: Annotated[float, Field(ge=0.1, le=86_400, allow_inf_nan=False)] | None = 20.0
    """Close a connection when data that was sent to the back end is not acknowledged by its machine
    for this time, at least 0.1; null for the time of the system, some 15 minutes; for `http2`, on
    Linux."""
    idle_check_s: Seconds | None = 60.0
    """Before a call, ping a connection that was idle for this time; null for never; for `http2`."""
    compression: RequestCompression = RequestCompression.NONE
    """Compress requests, for a distant back end; replies in gzip are always accepted."""
    keepalive_s: Annotated[float, Field(ge=10)] | None = None
    """Ping a connection with active calls that was silent for this time, 10 or more; unset for
    never."""
    keepalive_timeout_s: Seconds = 20.0
    """The time limit for the answer to a ping, after which the connection is closed."""

    @property
    def asks_dns(self) -> DnsTarget | None:
        """The name that DNS servers are asked for; None if they are not."""
        return dns_target(self.target or "")

    @model_validator(mode="after")
    def _targets_of_its_channel(self) -> Self:
        if self.channel is ChannelKind.GRPCIO:
            self._check_grpcio()
        if self.target is None and not self.targets:
            raise ValueError("expected target: HOST:PORT, or targets: [{address: HOST:PORT}]")
        if self.target is not None and self.targets:
            raise ValueError("targets: expected either target or targets, not both")
        if self.channel is ChannelKind.HTTP2 and self.target is not None:
            check_target(self.target)
        for name in ("retry_policy", "hedging_policy", "retry_throttling"):
            if self.retries is Retries.OFF and getattr(self, name) is not None:
                raise ValueError(f"{name}: has no effect with retries: off; remove one of them")
        if self.retry_policy is not None and self.hedging_policy is not None:
            raise ValueError("hedging_policy: expected either it or retry_policy, not both")
        if self.health is not None and self.health.tls and self.tls is None:
            raise ValueError("health.tls: expected tls of the upstream too, {} for the defaults")
        self._check_balance()
        self._check_zones()
        addresses = [one.address for one in self.targets]
        for number, address in enumerate(addresses):
            check_target(address, f"targets[{number}].address")
            if address in addresses[:number]:
                raise ValueError(f"targets[{number}].address: {address} is there twice")
        return self

    def _check_grpcio(self) -> None:
        for name in _HTTP2_ONLY:
            if name in self.model_fields_set:
                raise ValueError(
                    f"{name}: is for channel: http2; grpcio has a resolver, connections, balancing "
                    "and retries of its own"
                )
        if (self.target or "").lower().startswith("srv:"):
            raise ValueError("target: srv: is for channel: http2; grpcio reads no SRV records")

    def _check_zones(self) -> None:
        without = [number for number, one in enumerate(self.targets) if one.zone is None]
        if len(without) == len(self.targets):
            if "zones" in self.model_fields_set:
                raise ValueError("zones: has no effect without a zone in targets")
            return
        if without:
            raise ValueError(
                f"targets[{without[0]}].zone: expected a zone, as other targets have one"
            )
        if self.balance in _WITHOUT_SHARES:
            raise ValueError(
                f"targets[0].zone: has no effect with balance: {self.balance}, which does not "
                "divide calls among endpoints"
            )
        if self.subset_size is not None:
            raise ValueError(
                "subset_size: cannot be used with zones, as a part of the endpoints may have none "
                "of a zone"
            )

    def _check_balance(self) -> None:
        if self.dns.service_config and (self.target is None or self.target.startswith("unix:")):
            raise ValueError(
                "dns.service_config: expected a target that is a name, such as "
                "library.internal:50051"
            )
        for name, balance in _FOR_BALANCE.items():
            is_set = name in self.model_fields_set and getattr(self, name)
            if is_set and self.balance is not balance:
                raise ValueError(f"{name}: has no effect without balance: {balance}")
        for name in ("slow_start_aggression", "slow_start_min_weight"):
            if name in self.model_fields_set and self.slow_start_s is None:
                raise ValueError(f"{name}: has no effect without slow_start_s")
        if self.slow_start_s is not None and self.balance in _WITHOUT_SHARES:
            raise ValueError(
                f"slow_start_s: has no effect with balance: {self.balance}, where endpoints have "
                "no shares that could grow"
            )
        if self.balance is Balance.RING_HASH:
            if self.subset_size is not None:
                raise ValueError(
                    "subset_size: cannot be used with balance: ring_hash, whose keys need the same "
                    "endpoints in every worker"
                )
            if not self.hash:
                raise ValueError(
                    "hash: expected with balance: ring_hash, such as {by: header, name: x-tenant}"
                )
            return
        for name in ("hash", "hash_balance_factor", "max_ring_size"):
            if name in self.model_fields_set:
                raise ValueError(f"{name}: has no effect without balance: ring_hash")


def check_fallbacks(upstreams: Mapping[str, Upstream]) -> None:
    """Refuses a fallback that is not there, or that leads back to where it came from.

    Raises:
        ValueError: there is one; the text says where.
    """
    for name, upstream in upstreams.items():
        passed, other = [name], upstream.fallback
        while other is not None:
            if other not in upstreams:
                known = ", ".join(one for one in upstreams if one != passed[-1]) or "none"
                raise ValueError(
                    f"upstreams.{passed[-1]}.fallback: there is no upstream {other}; "
                    f"available: {known}"
                )
            if other in passed:
                raise ValueError(
                    f"upstreams.{passed[-1]}.fallback: {' -> '.join([*passed, other])} is a loop"
                )
            passed.append(other)
            other = upstreams[other].fallback
