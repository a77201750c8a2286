"""Every setting there is, with its default beside it.

`Config.model_json_schema()` is the schema editors use; the descriptions below are its words.
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
    """What to do with a name the schema does not have."""

    REJECT = "reject"
    IGNORE = "ignore"


class JsonOptions(Section):
    """How messages are written and read as JSON."""

    unknown_fields: Unknown | tuple[str, ...] = Unknown.REJECT
    """Body members no field has: reject, ignore (and leave out unknown names of enums, too), or a
    list of the names to ignore."""
    emit_unset: bool = True
    """Write fields without presence even when they hold their default."""
    enums_as_numbers: bool = False
    """Write enum values as numbers instead of names."""
    proto_names: bool = False
    """Write field names as in the .proto file instead of lowerCamelCase. Input takes both."""
    pretty: bool = False
    """Indent, for people."""


class QueryOptions(Section):
    """How query parameters are read."""

    unknown: Unknown | tuple[str, ...] = Unknown.REJECT
    """Parameters no field has: reject, ignore, or a list of the names to ignore."""
    max_parameters: Annotated[int, Field(gt=0)] = 1000
    """More parameters than this are refused with 400."""
    maps: bool = False
    """Accept `?labels[key]=value` for maps with scalar values."""
    numeric_bools: bool = False
    """Accept 1 and 0 for booleans."""


class OnConflict(StrEnum):
    """What to do when two methods claim one route."""

    REFUSE = "refuse"
    FIRST = "first"
    LAST = "last"


class OnError(StrEnum):
    """What to do with an HTTP rule that cannot be served."""

    REFUSE = "refuse"
    SKIP = "skip"


class RoutingOptions(Section):
    """How routes are made from HTTP rules."""

    on_conflict: OnConflict = OnConflict.REFUSE
    """Two methods on one route: refuse to start, or serve the first or the last and warn."""
    on_error: OnError = OnError.REFUSE
    """A rule that cannot be served: refuse to start, or skip this rule and warn."""
    prefer: tuple[str, ...] = ()
    """Methods, by selector, that serve what others could as well; earlier ones come first."""
    exclude: tuple[str, ...] = ()
    """Methods, by selector, that get no routes."""
    unannotated: bool = False
    """Give methods without an HTTP rule the route `POST /package.Service/Method`."""
    allow_nul: bool = False
    """Accept %00 in paths."""


class TlsClient(Section):
    """TLS towards a back end."""

    ca_file: Path | None = None
    """Certificates to trust, as PEM; the system's when unset."""
    cert_file: Path | None = None
    """The gateway's own certificate chain for mutual TLS, as PEM."""
    key_file: Path | None = None
    """The key of `cert_file`, as PEM."""
    server_name: str | None = None
    """The name to expect in the back end's certificate, where it is not the target's."""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file come together: give both or neither")
        return self


class ChannelKind(StrEnum):
    """Which gRPC client talks to a back end."""

    HTTP2 = "http2"
    GRPCIO = "grpcio"


class RequestCompression(StrEnum):
    """How requests to a back end are compressed."""

    NONE = "none"
    GZIP = "gzip"


class Upstream(Section):
    """One back end."""

    target: Target
    """`host:port`, or `unix:/path`."""
    services: tuple[ServiceName, ...] = ()
    """Services it serves: a full name, `package.*`, or `*`; empty for all that no other names."""
    tls: TlsClient | None = None
    """Speak TLS; `{}` for the system's trust."""
    channel: ChannelKind = ChannelKind.HTTP2
    """Which gRPC client to use."""
    max_message_bytes: Bytes = 64 * 1024 * 1024
    """A larger reply is RESOURCE_EXHAUSTED."""
    max_header_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 64 * 1024
    """A reply with larger headers or trailers is RESOURCE_EXHAUSTED; reading them takes time."""
    max_connections: Annotated[int, Field(gt=0)] = 8
    """How many connections one worker opens, by `http2`."""
    max_pending: Annotated[int, Field(gt=0)] = 1024
    """How many calls may wait for a connection, by `http2`; more are UNAVAILABLE at once."""
    connect_timeout_s: Seconds = 10.0
    """How long a connection may take to open, all addresses of a name together, by `http2`."""
    idle_check_s: Seconds | None = 60.0
    """Ping a connection that was silent for so long ahead of a call, by `http2`; null for never."""
    compression: RequestCompression = RequestCompression.NONE
    """Compress requests, for a back end that is far away; replies in gzip are always read."""
    keepalive_s: Annotated[float, Field(ge=10)] | None = None
    """Ping a connection with calls that is silent for so long, 10 or more; unset for never."""
    keepalive_timeout_s: Seconds = 20.0
    """A connection whose ping is not answered in this time is given up."""

    @model_validator(mode="after")
    def _a_target_of_its_channel(self) -> Self:
        if self.channel is ChannelKind.HTTP2:
            check_target(self.target)
        return self


class DeadlineRule(Section):
    """How long calls of some methods may take."""

    selector: Selector
    """The methods it is for: a full name, `package.*`, `package.Service.*`, or `*`."""
    default_s: Seconds | None = None
    """The deadline when the caller states none."""
    ceiling_s: Seconds | None = None
    """The longest deadline a caller can ask for."""
    idle_s: Seconds | None = None
    """How long a stream may go without a message, whichever way."""


class DeadlineOptions(Section):
    """How long calls may take; the last rule that selects a method counts."""

    default_s: Seconds = 30.0
    """The deadline when the caller states none."""
    ceiling_s: Seconds = 300.0
    """The longest deadline a caller can ask for."""
    stream_idle_s: Seconds | None = None
    """How long a stream may go without a message, whichever way; unset for as long as it likes."""
    methods: tuple[DeadlineRule, ...] = ()
    """Exceptions by method."""


class MetadataOptions(Section):
    """Which headers become metadata, and which metadata become headers."""

    request_allow: tuple[str, ...] = ("*",)
    """Request headers to hand on; `*` for all, a trailing `*` for a prefix."""
    request_deny: tuple[str, ...] = ()
    """Request headers to hold back, stronger than `request_allow`."""
    request_rename: dict[str, str] = Field(default_factory=dict)
    """Request header to metadata name."""
    response_allow: tuple[str, ...] = ("*",)
    """Reply metadata to hand back as headers."""
    response_deny: tuple[str, ...] = ()
    """Reply metadata to hold back, stronger than `response_allow`."""
    response_rename: dict[str, str] = Field(default_factory=dict)
    """Metadata name to response header."""


class Limits(Section):
    """The largest things a client can send or cause."""

    body_bytes: Bytes = 4 * 1024 * 1024
    """A larger request body, after decompression, is 413."""
    stream_message_bytes: Bytes = 4 * 1024 * 1024
    """A larger message of a request that streams is 413; `body_bytes` does not apply to it."""
    stream_bytes: Bytes | None = None
    """More bytes of a request that streams, all in all, are 413; unset for no limit."""
    response_bytes: Bytes = 64 * 1024 * 1024
    """A larger reply is a 500 that says so."""
    url_bytes: Bytes = 8 * 1024
    """A longer request target is 414."""
    header_bytes: Bytes = 16 * 1024
    """A longer header field is 431."""
    headers_total_bytes: Bytes = 64 * 1024
    """More header bytes in all are 431."""
    header_count: Annotated[int, Field(gt=0)] = 128
    """More header fields are 431."""
    json_depth: Annotated[int, Field(gt=0, le=100)] = 100
    """Deeper nested JSON is 400."""
    json_values: Annotated[int, Field(gt=0)] = 150_000
    """A body or message with more JSON values is 413: each keeps all other requests waiting."""
    decompression_ratio: Annotated[int, Field(gt=1)] = 100
    """A gzip body that grows by more than this is 413."""
    header_timeout_s: Seconds = 10.0
    """How long a request's head may take to arrive."""
    body_timeout_s: Seconds = 30.0
    """How long a request's body may pause."""
    keep_alive_s: Seconds = 75.0
    """How long an idle connection is kept."""
    connections: Annotated[int, Field(gt=0)] = 10_000
    """How many clients one worker has connected at once; more get a 503. Lowered where the process
    may not have as many files open (RLIMIT_NOFILE)."""
    connection_requests_per_s: Annotated[int, Field(gt=0)] | None = None
    """More requests on one connection within a second are 429, and it is closed; unset for any."""
    unsent_bytes: Bytes = 256 * 1024 * 1024
    """When more waits in one worker for clients that read slowly, the slowest are cut off."""
    reading_bytes_per_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1024.0
    """A client that takes less of what waits for it, over `body_timeout_s`, is cut off."""


class CompressionOptions(Section):
    """gzip towards clients."""

    enabled: bool = True
    """Compress when the client accepts it and it is worth it."""
    min_bytes: Bytes = 1024
    """Smaller bodies are sent as they are."""
    level: Annotated[int, Field(ge=1, le=9)] = 4
    """gzip's own scale, from fast to small."""


class ForwardedOptions(Section):
    """What back ends are told of the client."""

    trusted_proxies: tuple[Network, ...] = ()
    """Networks whose `Forwarded` and `X-Forwarded-*` headers are believed and extended."""
    send: bool = True
    """Send x-forwarded-for, -host and -proto as metadata."""
    withhold: tuple[str, ...] = (
        "x-real-ip",
        "true-client-ip",
        "client-ip",
        "x-client-ip",
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
    """Request headers that no client can set for back ends, as none can set `x-forwarded-*`,
    because they would be taken for a proxy's word; a trailing `*` for a prefix, `-` is `_`."""
    hand_on: tuple[str, ...] = ()
    """Of these and of `x-forwarded-*`, the headers that trusted proxies can set for back ends,
    and so must overwrite in what clients send; a trailing `*` for a prefix."""


class Config(Section):
    """A gateway, described."""

    listen: Annotated[str, Words("HOST:PORT, or unix:/path", "127.0.0.1:8080")] = "127.0.0.1:8080"
    """`host:port` to serve on; port 0 for any free one."""
    tls: TlsServer | None = None
    """Speak TLS on `listen`; unset for plain HTTP."""
    workers: Annotated[int, Field(ge=0, le=1024)] = 1
    """Processes that serve the port together; 0 for one on each core, as far as affinity and the
    container's CPU quota allow."""
    supervisor: SupervisorOptions = SupervisorOptions()
    descriptors: tuple[Annotated[Path, Words("a file", "api.binpb")], ...] = ()
    """FileDescriptorSet files: protoc's, or buf images."""
    modules: tuple[Annotated[str, Words("a module", "gen.library.v1")], ...] = ()
    """Python packages or modules of generated code, such as `gen.library.v1`."""
    reflect: bool = False
    """Ask the upstreams for their descriptors by server reflection."""
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
    """The JSON body of failures: aip193, status, or problem."""
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
    """Which requests are turned away, rule by rule, before anything is done for them."""
    cors: CorsOptions = CorsOptions()
    security_headers: SecurityHeaderOptions = SecurityHeaderOptions()
    policies: tuple[PolicyRule, ...] = ()
    """What methods ask of their callers, beside what their protos say."""
    require_policy: bool = False
    """Refuse to serve methods of which neither their proto nor `policies` say anything."""
    rate_limits: RateLimitOptions = RateLimitOptions()
    interceptors: tuple[InterceptorOptions, ...] = ()
    """Interceptors of one's own, in the order in which calls pass them."""

    @property
    def scheme(self) -> str:
        """The scheme of the URLs that clients ask: http or https."""
        return "http" if self.tls is None else "https"

    @field_validator("filters")
    @classmethod
    def _no_name_twice(cls, filters: tuple[FilterRule, ...]) -> tuple[FilterRule, ...]:
        names = [rule.name for rule in filters]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(
                f"two rules are called {twice}: a refusal is logged by its rule's name"
            )
        return filters

    @model_validator(mode="after")
    def _no_key_is_logged(self) -> Self:
        header = self.auth.keys.header
        if self.auth.takes_keys and header.lower() in self.log.headers:
            raise ValueError(f"log.headers: {header} carries API keys, which no log may show")
        return self

    @model_validator(mode="after")
    def _tls_fits(self) -> Self:
        if self.tls is not None and self.listen.startswith("unix:"):
            raise ValueError("tls needs a port: a unix socket never leaves its machine")
        certificates = self.auth.certificates
        if certificates is None:
            return self
        if not certificates.forwarded and (self.tls is None or self.tls.client_ca_file is None):
            raise ValueError("auth.certificates needs tls.client_ca_file, or forwarded: true")
        if certificates.forwarded and not self.forwarded.trusted_proxies:
            raise ValueError("auth.certificates.forwarded needs forwarded.trusted_proxies")
        return self
