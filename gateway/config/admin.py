"""Settings of the admin listener."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import model_validator

from gateway.config.sections import Section, Words


class AdminOptions(Section):
    """The admin listener, for those who operate the gateway; never for clients."""

    listen: Annotated[str, Words("HOST:PORT, or unix:/path", "127.0.0.1:9901")] | None = None
    """The address of the admin listener, such as `unix:/run/gateway/admin.sock` (only this user may
    connect) or `127.0.0.1:9901`; unset for none. An address that other machines reach needs
    `token_file`."""
    token_file: Path | None = None
    """A file with the token that requests must carry, `Authorization: Bearer TOKEN`: at least 16
    characters. Unset for none."""

    @model_validator(mode="after")
    def _closed_to_others(self) -> Self:
        if self.listen is None or self.token_file is not None or is_local(self.listen):
            return self
        raise ValueError(
            f"admin.listen: {self.listen} is open to other machines: set admin.token_file, or "
            "listen on 127.0.0.1 or a unix socket"
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
