"""Settings of the admin listener."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from gateway.config.sections import Section, Words

_REQUIRED: Final = r"^(store|upstreams\..+)$"


class AdminTls(Section):
    """TLS of the admin listener; its files are read again when they change."""

    cert_file: Path
    """The certificate of the admin listener and its intermediate certificates, as PEM."""
    key_file: Path
    """The key of `cert_file`, as PEM, without a password."""
    client_ca_file: Path | None = None
    """Authorities that sign the certificates of operators, as PEM: connections without such a
    certificate are refused. Unset to ask for none."""


class AdminClient(Section):
    """The TLS of commands such as `gateway status` that speak to an admin listener with TLS."""

    ca_file: Path | None = None
    """Authorities that sign the certificate of the listener, as PEM; unset for those of the
    system."""
    cert_file: Path | None = None
    """The certificate of the operator, as PEM; unset for none."""
    key_file: Path | None = None
    """The key of `cert_file`, as PEM, without a password."""

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.cert_file is None) is not (self.key_file is None):
            raise ValueError("cert_file and key_file need each other")
        return self


class AdminOptions(Section):
    """The admin listener, for those who operate the gateway; never for clients."""

    listen: Annotated[str, Words("HOST:PORT, or unix:/path", "127.0.0.1:9901")] | None = None
    """The address of the admin listener, such as `unix:/run/gateway/admin.sock` (only this user may
    connect) or `127.0.0.1:9901`; unset for none. An address that other machines reach needs
    `token_file`, or `tls` with `client_ca_file`."""
    token_file: Path | None = None
    """A file with the token that requests must carry, `Authorization: Bearer TOKEN`: at least 16
    characters. Unset for none."""

    ready_requires: tuple[
        Annotated[str, Field(pattern=_REQUIRED), Words("store, or upstreams.NAME", "store")], ...
    ] = ()
    """The conditions of `/readyz` besides a worker that serves: `store`, no store is out of reach,
    or `upstreams.NAME`, an endpoint of it takes calls, both as far as requests have shown. Empty
    for none: a failure that all nodes share must not take all of them out of service at once."""
    debug: bool = False
    """Serve `/debug/*`: the stacks, a profile, the memory and the garbage of each worker."""
    tls: AdminTls | None = None
    """TLS of the admin listener; unset for none."""
    client: AdminClient | None = None
    """The TLS of commands that speak to an admin listener; unset for none, or with `tls` for the
    authorities of the system."""

    @model_validator(mode="after")
    def _closed_to_others(self) -> Self:
        if self.tls is not None and (self.listen or "").startswith("unix:"):
            raise ValueError("admin.tls: a unix socket has no TLS: expected admin.listen HOST:PORT")
        knows_clients = self.tls is not None and self.tls.client_ca_file is not None
        is_closed = self.token_file is not None or knows_clients
        if self.listen is None or is_closed or is_local(self.listen):
            return self
        raise ValueError(
            f"admin.listen: {self.listen} is open to other machines: set admin.token_file or "
            "admin.tls.client_ca_file, or listen on 127.0.0.1 or a unix socket"
        )


def is_local(listen: str) -> bool:
    """True if only programs on this machine reach an address."""
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].removeprefix("[").removesuffix("]")
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
