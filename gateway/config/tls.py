"""Settings of TLS towards clients."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import model_validator

from gateway.config.sections import Section


class ClientCertificates(StrEnum):
    """Whether clients show certificates of their own."""

    OPTIONAL = "optional"
    REQUIRED = "required"


class TlsVersion(StrEnum):
    """The oldest TLS that is spoken."""

    TLS12 = "1.2"
    TLS13 = "1.3"


class TlsServer(Section):
    """TLS towards clients; files that change are read again, without losing a connection."""

    cert_file: Path
    """The gateway's certificate, and those between it and its root, as PEM."""
    key_file: Path
    """The key of `cert_file`, as PEM, without a password."""
    min_version: TlsVersion = TlsVersion.TLS12
    """The oldest version to speak: "1.2" or "1.3"."""
    client_ca_file: Path | None = None
    """Who signs the certificates of clients, as PEM; unset to ask for none."""
    client_certificates: ClientCertificates = ClientCertificates.OPTIONAL
    """Whether clients must have one: optional, or required, which refuses the connection."""

    @model_validator(mode="after")
    def _required_of_somebody(self) -> Self:
        required = self.client_certificates is ClientCertificates.REQUIRED
        if required and self.client_ca_file is None:
            raise ValueError("client_certificates: required needs client_ca_file to check them by")
        return self
