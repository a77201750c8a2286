"""Settings of back ends."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.config.sections import Bytes, Seconds, Section, ServiceName
from gateway.config.targets import Target, check_target


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
    large_replies_bytes: Bytes = 64 * 1024 * 1024
    """The memory per worker for single replies over 1 MiB until they are transcoded; more of them
    wait at the back end; for `http2`."""
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
