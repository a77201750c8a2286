"""All settings, with their defaults.

`Config.model_json_schema()` is the schema for editors; the texts below are its descriptions
after `describe_settings`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from gateway.config.admin import AdminOptions
from gateway.config.auth import AuthOptions
from gateway.config.cache import CacheOptions
from gateway.config.compat import Compat, with_compat
from gateway.config.compression import CompressionOptions
from gateway.config.cors import CorsOptions
from gateway.config.deadlines import DeadlineOptions
from gateway.config.drain import DrainOptions
from gateway.config.extensions import InterceptorOptions
from gateway.config.faults import FaultOptions
from gateway.config.filters import FilterRule
from gateway.config.forwarded import ForwardedOptions
from gateway.config.headers import SecurityHeaderOptions
from gateway.config.health import HealthOptions
from gateway.config.idempotency import IdempotencyOptions
from gateway.config.json import JsonOptions
from gateway.config.limits import Limits
from gateway.config.log import LogOptions
from gateway.config.metadata import MetadataOptions
from gateway.config.metrics import MetricsOptions
from gateway.config.mirrors import Mirror
from gateway.config.openapi import DocsOptions, OpenApiOptions
from gateway.config.policy import PolicyRule
from gateway.config.query import QueryOptions
from gateway.config.rate_limits import OnStoreFailure, RateLimitOptions
from gateway.config.reload import ReloadOptions
from gateway.config.resources import ResourceOptions
from gateway.config.routing import RoutingOptions
from gateway.config.sections import Section, ServiceName, Words
from gateway.config.splits import Split, check_splits, check_upstream, with_subsets
from gateway.config.stores import StoreOptions
from gateway.config.streams import StreamOptions
from gateway.config.supervisor import SupervisorOptions
from gateway.config.targets import Zone
from gateway.config.tls import TlsServer
from gateway.config.tracing import TracingOptions
from gateway.config.upstreams import Upstream, check_fallbacks
from gateway.config.validation import Validation
from gateway.config.websocket import WebSocketOptions
from gateway.status import ErrorShape, StartUpError

__all__ = ["Config", "StartUpError"]


@dataclass(frozen=True, slots=True)
class _Origins:
    """The sources of values; the same settings from other sources are equal."""

    by_path: Mapping[str, str] = field(default_factory=dict, compare=False)
    file: Path | None = field(default=None, compare=False)
    secret_files: tuple[Path, ...] = field(default=(), compare=False)
    states: Mapping[Path, object] = field(default_factory=dict, compare=False)


class Config(Section):
    """The configuration of a gateway."""

    compat: Compat = Compat.NONE
    """Behave as grpc-gateway, as Envoy or as Google's services where a setting exists: a set of the
    settings below, which `gateway config` prints. A setting that is given itself wins."""
    listen: Annotated[str, Words("HOST:PORT, or unix:/path", "127.0.0.1:8080")] = "127.0.0.1:8080"
    """The address to listen on, `host:port`; port 0 for any free port. A reload opens a new address
    before it closes the old one."""
    tls: TlsServer | None = None
    """TLS on `listen`; unset for plain HTTP."""
    workers: Annotated[int, Field(ge=0, le=1024)] = 1
    """The number of processes that share the port; 0 for one per core, within the CPU affinity and
    the CPU quota of the container. A reload changes it if there is a supervisor."""
    supervisor: SupervisorOptions = SupervisorOptions()
    drain: DrainOptions = DrainOptions()
    reload: ReloadOptions = ReloadOptions()
    admin: AdminOptions = AdminOptions()
    health: HealthOptions = HealthOptions()
    descriptors: tuple[Annotated[Path, Words("a file", "api.binpb")], ...] = ()
    """FileDescriptorSet files, from protoc or buf."""
    modules: tuple[Annotated[str, Words("a module", "gen.library.v1")], ...] = ()
    """Python packages or modules of generated code, such as `gen.library.v1`."""
    reflect: bool = False
    """Load descriptors from the upstreams by server reflection."""
    service_config: tuple[Annotated[Path, Words("a file", "http.yaml")], ...] = ()
    """google.api.Service YAML files, whose http rules override annotations; their system_parameters
    are read, too."""
    services: tuple[ServiceName, ...] = ()
    """Services to expose: a full name, `package.*`, or `*`; empty for all. The document of the API
    and lists of routes have them in this order, else in that of the files."""
    zone: Zone | None = None
    """Where this gateway runs, such as `eu-west-1a`: it prefers the endpoints of an upstream whose
    `targets[].zone` is the same; unset for all alike."""
    upstreams: dict[str, Upstream] = Field(default_factory=dict)
    """Back ends by name."""
    splits: Annotated[tuple[Split, ...], Field(max_length=1000)] = ()
    """Divide the calls of some methods among upstreams, in place of the one that has their service;
    the first that fits a call decides."""
    mirrors: Annotated[tuple[Mirror, ...], Field(max_length=100)] = ()
    """Send copies of calls of methods without side effects to other upstreams."""
    faults: FaultOptions = FaultOptions()
    routing: RoutingOptions = RoutingOptions()
    json_: Annotated[JsonOptions, Field(alias="json")] = JsonOptions()
    query: QueryOptions = QueryOptions()
    resources: ResourceOptions = ResourceOptions()
    errors: ErrorShape = ErrorShape.AIP193
    """The form of the JSON body of failures: aip193, status, or problem."""
    validation: Validation = Validation.OFF
    """Check request messages against the rules in their protos, before the back end gets them:
    protovalidate (the extra `validation`), also with `field_behavior` REQUIRED, or off."""
    metadata: MetadataOptions = MetadataOptions()
    deadlines: DeadlineOptions = DeadlineOptions()
    streams: StreamOptions = StreamOptions()
    websocket: WebSocketOptions = WebSocketOptions()
    limits: Limits = Limits()
    compression: CompressionOptions = CompressionOptions()
    forwarded: ForwardedOptions = ForwardedOptions()
    log: LogOptions = LogOptions()
    metrics: MetricsOptions = MetricsOptions()
    tracing: TracingOptions = TracingOptions()
    auth: AuthOptions = AuthOptions()
    filters: tuple[FilterRule, ...] = ()
    """Rules that reject requests before any other work."""
    cors: CorsOptions = CorsOptions()
    security_headers: SecurityHeaderOptions = SecurityHeaderOptions()
    policies: tuple[PolicyRule, ...] = ()
    """The policies of methods, in addition to those in their protos."""
    require_policy: bool = False
    """Refuse to start if a served method has no policy, neither in its proto nor in `policies`."""
    store: StoreOptions = StoreOptions()
    rate_limits: RateLimitOptions = RateLimitOptions()
    cache: CacheOptions = CacheOptions()
    idempotency: IdempotencyOptions = IdempotencyOptions()
    openapi: OpenApiOptions = OpenApiOptions()
    docs: DocsOptions = DocsOptions()
    interceptors: tuple[InterceptorOptions, ...] = ()
    """Custom interceptors, in the order in which calls pass them."""

    _origins: _Origins = PrivateAttr(default_factory=_Origins)

    @property
    def origins(self) -> Mapping[str, str]:
        """The source of each value that is no default, by its path; see `origins.py`."""
        return self._origins.by_path

    @property
    def file(self) -> Path | None:
        """The file that the settings were read from; None if there was none."""
        return self._origins.file

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """The files with the secrets that the settings name by `file:`."""
        return self._origins.secret_files

    @property
    def states(self) -> Mapping[Path, object]:
        """The state of each file right before it was read; see `watched.py`."""
        return self._origins.states

    def with_origins(
        self,
        by_path: Mapping[str, str],
        file: Path | None = None,
        secrets: Iterable[Path] = (),
        states: Mapping[Path, object] | None = None,
    ) -> Self:
        """Returns these settings with the sources of their values; what is not given stays."""
        copy, files = self.model_copy(), tuple(secrets) or self.secret_files
        found = self.states if states is None else states
        copy._origins = _Origins(by_path, file or self.file, files, found)  # noqa: SLF001 - its own
        return copy

    @property
    def scheme(self) -> str:
        """The scheme of the gateway's URLs: http or https."""
        return "http" if self.tls is None else "https"

    @model_validator(mode="before")
    @classmethod
    def _take_compat(cls, settings: object) -> object:
        return with_compat(settings) if isinstance(settings, Mapping) else settings

    @field_validator("filters")
    @classmethod
    def _no_name_twice(cls, filters: tuple[FilterRule, ...]) -> tuple[FilterRule, ...]:
        names = [rule.name for rule in filters]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(
                f"two rules have the name {twice}: names must differ, because logs name the rule"
            )
        return filters

    @model_validator(mode="after")
    def _docs_show_a_document(self) -> Self:
        if not self.docs.enabled:
            return self
        if not self.openapi.enabled:
            raise ValueError("docs.enabled needs openapi.enabled: the page shows that document")
        if self.docs.path == self.openapi.path or self.docs.path.startswith(
            (f"{self.openapi.path}.json", f"{self.openapi.path}.yaml")
        ):
            raise ValueError("docs.path: expected another path than that of openapi.path")
        return self

    @property
    def destinations(self) -> Mapping[str, Upstream]:
        """The upstreams, and the parts of them that splits choose by labels."""
        return with_subsets(self.upstreams, self.splits)

    @model_validator(mode="after")
    def _calls_go_to_upstreams(self) -> Self:
        check_splits(self.splits, self.upstreams)
        check_fallbacks(self.upstreams)
        for number, mirror in enumerate(self.mirrors):
            check_upstream(f"mirrors[{number}].to", mirror.to, self.upstreams)
        for name in self.admin.ready_requires:
            if name.startswith("upstreams."):
                upstream = name.removeprefix("upstreams.")
                check_upstream("admin.ready_requires", upstream, self.upstreams)
        return self

    @model_validator(mode="after")
    def _parts_of_limits_are_known(self) -> Self:
        limits = self.rate_limits
        is_local = limits.on_store_failure is OnStoreFailure.LOCAL
        if is_local and not (limits.processes or self.workers):
            raise ValueError(
                "rate_limits.on_store_failure: local needs rate_limits.processes, the number of "
                "processes on all nodes, because workers: 0 does not say it"
            )
        return self

    @model_validator(mode="after")
    def _no_key_is_logged(self) -> Self:
        header = self.auth.keys.header
        if self.auth.takes_keys and header.lower() in self.log.headers:
            raise ValueError(f"log.headers: {header} carries API keys, which must not be logged")
        return self

    @model_validator(mode="after")
    def _tls_fits(self) -> Self:
        if self.tls is not None and self.listen.startswith("unix:"):
            raise ValueError("tls needs a port: a unix socket is local and needs no TLS")
        certificates = self.auth.certificates
        if certificates is None:
            return self
        if not certificates.forwarded and (self.tls is None or self.tls.client_ca_file is None):
            raise ValueError("auth.certificates needs tls.client_ca_file, or forwarded: true")
        if certificates.forwarded and not self.forwarded.trusted_proxies:
            raise ValueError("auth.certificates.forwarded needs forwarded.trusted_proxies")
        return self
