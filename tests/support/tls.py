"""Certificates of a test's own, and connections that are secured by them."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trustme

from gateway.app.gateway import Gateway
from tests.support.http import RawClient


class Files:
    """A certificate authority, and what it has written for a gateway."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.clients = trustme.CA()
        self.cert, self.key, self.client_ca = (folder / n for n in ("cert", "key", "client_ca"))
        self.clients.cert_pem.write_to_path(self.client_ca)
        self.issue(self.ca)

    def issue(self, by: trustme.CA) -> None:
        """Writes a certificate for the gateway, and its key."""
        own = by.issue_cert("127.0.0.1")
        self.key.write_bytes(own.private_key_pem.bytes())
        self.cert.write_bytes(b"".join(blob.bytes() for blob in own.cert_chain_pems))

    def settings(self, **more: Any) -> dict[str, Any]:
        """The `tls` section."""
        return {"cert_file": str(self.cert), "key_file": str(self.key)} | more

    def trusting(self, **more: Any) -> dict[str, Any]:
        """The `tls` section of one who knows clients by their certificates."""
        return self.settings(client_ca_file=str(self.client_ca), **more)

    def context(
        self, client: trustme.LeafCert | None = None, ca: trustme.CA | None = None
    ) -> ssl.SSLContext:
        """What a client connects with."""
        context = ssl.create_default_context()
        (ca or self.ca).configure_trust(context)
        if client is not None:
            client.configure_cert(context)
        return context


@asynccontextmanager
async def secured(gateway: Gateway, context: ssl.SSLContext) -> AsyncIterator[RawClient]:
    """A connection that is secured."""
    host, _, port = gateway.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()
