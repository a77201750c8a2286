"""All settings, with their defaults.

`Config.model_json_schema()` is the schema for editors, with the texts below as descriptions.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from gateway.config.auth import AuthOptions
from gateway.config.cors import CorsOptions
from gateway.config.extensions import InterceptorOptions
from gateway.config.filters import FilterRule
from gateway.config.headers import SecurityHeaderOptions
from gateway.config.log import LogOptions
from gateway.config.policy import PolicyRule
from gateway.config.rate_limits import RateLimitOptions
from gateway.config.sections import Bytes, Network, Seconds, Section, Selector, Words
from gateway.config.streams import StreamOptions
from gateway.config.supervisor import SupervisorOptions
from gateway.config.targets import Target, check_target
from gateway.config.tls import TlsServer
from gateway.config.websocket import WebSocketOptions
from gateway.status import ErrorShape

ServiceName = Annotated[str, Words("the name of a service, or package.*", "library.v1.*")]


class Unknown(StrEnum):
    """The treatment of a name that the schema does not have."""

    REJECT = "reject"
    IGNORE = "ignore"


class JsonOptions(Section):
    """Options for reading and writing messages as JSON."""

    unknown_fields: Unknown | tuple[str, ...] = Unknown.REJECT
    """Members of a body without a field: reject, ignore (also drops unknown names of enum values),
    or a list of the names to ignore."""
    emit_unset: bool = True
    """Write fields without presence even if they have their default value."""
    enums_as_numbers: bool = False
    """Write enum values as numbers instead of names."""
    proto_names: bool = False
    """Write field names as in the .proto file instead of lowerCamelCase. Input accepts both."""
    pretty: bool = False
    """Indent the output, for people."""


class QueryOptions(Section):
    """Options for reading query parameters."""

    unknown: Unknown | tuple[str, ...] = Unknown.REJECT
    """Parameters without a field: reject, ignore, or a list of the names to ignore."""
    max_parameters: Annotated[int, Field(gt=0)] = 1000
    """The largest number of parameters; more are rejected with 400."""
    maps: bool = False
    """Accept `?labels[key]=value` for maps with scalar values."""
    numeric_bools: bool = False
    """Accept 1 and 0 for booleans."""


class OnConflict(StrEnum):
    """The treatment of two methods that claim one route."""

    REFUSE = "refuse"
    FIRST = "first"
    LAST = "last"


class OnError(StrEnum):
    """The treatment of an HTTP rule that cannot be served."""

    REFUSE = "refuse"
    SKIP = "skip"


class RoutingOptions(Section):
    """Options for building routes from HTTP rules."""

    on_conflict: OnConflict = OnConflict.REFUSE
    """Two methods on one route: refuse to start, or serve the first or the last and warn."""
    on_error: OnError = OnError.REFUSE
    """A rule that cannot be served: refuse to start, or skip this rule and warn."""
    prefer: tuple[str, ...] = ()
    """Selectors of methods that win over others on the same paths; earlier ones come first."""
    exclude: tuple[str, ...] = ()
    """Selectors of methods that get no routes."""
    unannotated: bool = False
    """Give methods without an HTTP rule the route `POST /package.Service/Method`."""
    allow_nul: bool = False
    """Accept %00 in paths."""


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


class Upstream(Section):
    """One back end."""

    target: Target
    """`host:port`, or `unix:/path`."""
    services: tuple[ServiceName, ...] = ()
    """Its services: a full name, `package.*`, or `*`; empty for all that no other upstream has."""
    tls: TlsClient | None = None
    """Use TLS; `{}` to trust the certificates of the system."""
    channel: ChannelKind = ChannelKind.HTTP2
    """The gRPC client: http2 (the gateway's own) or grpcio."""
    max_message_bytes: Bytes = 64 * 1024 * 1024
    """The size limit of a reply; a larger one is RESOURCE_EXHAUSTED."""
    max_header_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 64 * 1024
    """The size limit of a reply's headers or trailers; larger ones are RESOURCE_EXHAUSTED, because
    reading them takes time."""
    max_connections: Annotated[int, Field(gt=0)] = 8
    """The largest number of connections per worker; for `http2`."""
    max_pending: Annotated[int, Field(gt=0)] = 1024
    """The largest number of calls that wait for a connection; more fail at once with UNAVAILABLE;
    for `http2`."""
    connect_timeout_s: Seconds = 10.0
    """The time limit for opening a connection, over all addresses of a name; for `http2`."""
    idle_check_s: Seconds | None = 60.0
    """Before a call, ping a connection that was idle for this time; null for never; for `http2`."""
    compression: RequestCompression = RequestCompression.NONE
    """Compress requests, for a distant back end; replies in gzip are always accepted."""
    keepalive_s: Annotated[float, Field(ge=10)] | None = None
    """Ping a connection with active calls that was silent for this time, 10 or more; unset for
    never."""
    keepalive_timeout_s: Seconds = 20.0
    """The time limit for the answer to a ping, after which the connection is closed."""

    @model_validator(mode="after")
    def _a_target_of_its_channel(self) -> Self:
        if self.channel is ChannelKind.HTTP2:
            check_target(self.target)
        return self


class DeadlineRule(Section):
    """Deadlines of selected methods."""

    selector: Selector
    """The methods it applies to: a full name, `package.*`, `package.Service.*`, or `*`."""
    default_s: Seconds | None = None
    """The deadline when the caller states none."""
    ceiling_s: Seconds | None = None
    """The longest deadline a caller can ask for."""
    idle_s: Seconds | None = None
    """The longest time that a stream may be without a message in either direction."""


class DeadlineOptions(Section):
    """Deadlines of calls; the last rule that selects a method counts."""

    default_s: Seconds = 30.0
    """The deadline when the caller states none."""
    ceiling_s: Seconds = 300.0
    """The longest deadline a caller can ask for."""
    stream_idle_s: Seconds | None = None
    """The longest time that a stream may be without a message in either direction; unset for no
    limit."""
    methods: tuple[DeadlineRule, ...] = ()
    """Exceptions by method."""


class MetadataOptions(Section):
    """The mapping of request headers to metadata, and of reply metadata to headers."""

    request_allow: tuple[str, ...] = ("*",)
    """Request headers to forward; `*` for all, a trailing `*` for a prefix."""
    request_deny: tuple[str, ...] = ()
    """Request headers not to forward, stronger than `request_allow`."""
    request_rename: dict[str, str] = Field(default_factory=dict)
    """Names of metadata by request header."""
    response_allow: tuple[str, ...] = ("*",)
    """Reply metadata to return as headers."""
    response_deny: tuple[str, ...] = ()
    """Reply metadata not to return, stronger than `response_allow`."""
    response_rename: dict[str, str] = Field(default_factory=dict)
    """Names of response headers by metadata name."""


class Limits(Section):
    """Limits on requests and responses."""

    body_bytes: Bytes = 4 * 1024 * 1024
    """The size limit of a request body after decompression; a larger one is 413."""
    stream_message_bytes: Bytes = 4 * 1024 * 1024
    """The size limit of a message in a request stream; a larger one is 413. `body_bytes` does not
    apply to streams."""
    stream_bytes: Bytes | None = None
    """The size limit of a whole request stream; a larger one is 413; unset for no limit."""
    response_bytes: Bytes = 64 * 1024 * 1024
    """The size limit of a reply; a larger one is a 500 that says so."""
    url_bytes: Bytes = 8 * 1024
    """The size limit of a request target; a longer one is 414."""
    header_bytes: Bytes = 16 * 1024
    """The size limit of a header field; a longer one is 431."""
    headers_total_bytes: Bytes = 64 * 1024
    """The size limit of all header fields; more is 431."""
    header_count: Annotated[int, Field(gt=0)] = 128
    """The largest number of header fields; more are 431."""
    json_depth: Annotated[int, Field(gt=0, le=100)] = 100
    """The nesting limit of JSON; deeper JSON is 400."""
    json_values: Annotated[int, Field(gt=0)] = 150_000
    """The largest number of JSON values in a body or message; more is 413, because reading them
    would make other requests wait."""
    response_values: Annotated[int, Field(gt=0)] = 500_000
    """The largest number of values in one message of a reply, with the unset fields that are
    written; more is a 500 that says so, because writing them would make other requests wait."""
    decompression_ratio: Annotated[int, Field(gt=1)] = 100
    """The largest growth of a gzip body by decompression; more is 413."""
    header_timeout_s: Seconds = 10.0
    """The time limit for receiving the head of a request."""
    body_timeout_s: Seconds = 30.0
    """The longest pause while receiving a body."""
    keep_alive_s: Seconds = 75.0
    """The time after which an idle connection is closed."""
    connections: Annotated[int, Field(gt=0)] = 10_000
    """The largest number of client connections per worker; more get a 503. It is lowered if the
    process may not open so many files (RLIMIT_NOFILE)."""
    connection_requests_per_s: Annotated[int, Field(gt=0)] | None = None
    """The largest number of requests per second on one connection; more get a 429, and the
    connection is closed. Unset for no limit."""
    unsent_bytes: Bytes = 256 * 1024 * 1024
    """The memory per worker for replies that clients have not read yet; beyond it, the slowest
    clients are disconnected."""
    reading_bytes_per_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1024.0
    """The lowest rate at which a client may read a waiting reply, over `body_timeout_s`; a slower
    client is disconnected. 0 for no limit."""


class CompressionOptions(Section):
    """Compression of responses with gzip."""

    enabled: bool = True
    """Compress a response if the client accepts it and the body is suitable."""
    min_bytes: Bytes = 1024
    """The size from which bodies are compressed."""
    level: Annotated[int, Field(ge=1, le=9)] = 4
    """The compression level of gzip, from 1 (fast) to 9 (small)."""


class ForwardedOptions(Section):
    """The client's address, host and protocol for back ends."""

    trusted_proxies: tuple[Network, ...] = ()
    """Networks of proxies whose `Forwarded` and `X-Forwarded-*` are trusted and extended."""
    send: bool = True
    """Send x-forwarded-for, -host and -proto as metadata."""
    withhold: tuple[str, ...] = (
        "x-forwarded",
        "x-real-ip",
        "true-client-ip",
        "client-ip",
        "x-client-ip",
        "client-cert",
        "client-cert-chain",
        "x-client-cert*",
        "x-cluster-client-ip",
        "cf-connecting-*",
        "fastly-client-ip",
        "x-envoy-*",
        "x-original-*",
        "x-rewrite-*",
        "x-ssl-client-*",
        "ssl-client-*",
    )
    """Request headers, besides `x-forwarded-*`, that clients cannot set for back ends, because they
    usually come from proxies; a trailing `*` is a prefix; `-`, `_` and `.` are equal."""
    hand_on: tuple[str, ...] = ()
    """Those of `withhold` and of `x-forwarded-*` that trusted proxies can set for back ends; the
    proxies must overwrite them in requests of clients; a trailing `*` is a prefix."""


class Config(Section):
    """The configuration of a gateway."""

    listen: Annotated[str, Words("HOST:PORT, or unix:/path", "127.0.0.1:8080")] = "127.0.0.1:8080"
    """The address to listen on, `host:port`; port 0 for any free port."""
    tls: TlsServer | None = None
    """TLS on `listen`; unset for plain HTTP."""
    workers: Annotated[int, Field(ge=0, le=1024)] = 1
    """The number of processes that share the port; 0 for one per core, within the CPU affinity and
    the CPU quota of the container."""
    supervisor: SupervisorOptions = SupervisorOptions()
    descriptors: tuple[Annotated[Path, Words("a file", "api.binpb")], ...] = ()
    """FileDescriptorSet files, from protoc or buf."""
    modules: tuple[Annotated[str, Words("a module", "gen.library.v1")], ...] = ()
    """Python packages or modules of generated code, such as `gen.library.v1`."""
    reflect: bool = False
    """Load descriptors from the upstreams by server reflection."""
    service_config: tuple[Annotated[Path, Words("a file", "http.yaml")], ...] = ()
    """google.api.Service YAML files, whose http rules override annotations."""
    services: tuple[ServiceName, ...] = ()
    """Services to expose: a full name, `package.*`, or `*`; empty for all."""
    upstreams: dict[str, Upstream] = Field(default_factory=dict)
    """Back ends by name."""
    routing: RoutingOptions = RoutingOptions()
    json_: Annotated[JsonOptions, Field(alias="json")] = JsonOptions()
    query: QueryOptions = QueryOptions()
    errors: ErrorShape = ErrorShape.AIP193
    """The form of the JSON body of failures: aip193, status, or problem."""
    metadata: MetadataOptions = MetadataOptions()
    deadlines: DeadlineOptions = DeadlineOptions()
    streams: StreamOptions = StreamOptions()
    websocket: WebSocketOptions = WebSocketOptions()
    limits: Limits = Limits()
    compression: CompressionOptions = CompressionOptions()
    forwarded: ForwardedOptions = ForwardedOptions()
    log: LogOptions = LogOptions()
    auth: AuthOptions = AuthOptions()
    filters: tuple[FilterRule, ...] = ()
    """Rules that reject requests before any other work."""
    cors: CorsOptions = CorsOptions()
    security_headers: SecurityHeaderOptions = SecurityHeaderOptions()
    policies: tuple[PolicyRule, ...] = ()
    """The policies of methods, in addition to those in their protos."""
    require_policy: bool = False
    """Refuse to start if a served method has no policy, neither in its proto nor in `policies`."""
    rate_limits: RateLimitOptions = RateLimitOptions()
    interceptors: tuple[InterceptorOptions, ...] = ()
    """Custom interceptors, in the order in which calls pass them."""

    @property
    def scheme(self) -> str:
        """The scheme of the gateway's URLs: http or https."""
        return "http" if self.tls is None else "https"

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
