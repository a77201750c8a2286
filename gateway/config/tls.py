"""Settings of TLS for clients."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import model_validator

from gateway.config.sections import Section


class ClientCertificates(StrEnum):
    """The requirement for client certificates."""

    OPTIONAL = "optional"
    REQUIRED = "required"


class TlsVersion(StrEnum):
    """The oldest accepted version of TLS."""

    TLS12 = "1.2"
    TLS13 = "1.3"


class TlsServer(Section):
    """TLS for clients; changed files are read again, without closing connections."""

    cert_file: Path
    """The gateway's certificate and its intermediate certificates, as PEM."""
    key_file: Path
    """The key of `cert_file`, as PEM, without a password."""
    min_version: TlsVersion = TlsVersion.TLS12
    """The oldest accepted version: "1.2" or "1.3"."""
    client_ca_file: Path | None = None
    """Authorities that sign client certificates, as PEM; unset to request no certificates."""
    client_certificates: ClientCertificates = ClientCertificates.OPTIONAL
    """Client certificates: optional, or required; then a connection without one is refused."""

    @model_validator(mode="after")
    def _required_of_somebody(self) -> Self:
        required = self.client_certificates is ClientCertificates.REQUIRED
        if required and self.client_ca_file is None:
            raise ValueError("client_certificates: required needs client_ca_file to verify them")
        return self
