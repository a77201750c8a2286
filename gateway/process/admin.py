"""The admin listener of one process: its own, or its workers' supervisor's."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from gateway.audit import Audit
from gateway.endpoints.admin.admission import Access
from gateway.endpoints.admin.debug import debug_endpoints
from gateway.endpoints.admin.endpoints import admin_endpoints, failure
from gateway.endpoints.admin.errands import errand_endpoints
from gateway.endpoints.admin.followed import followed_endpoint
from gateway.endpoints.admin.operations import Config, Operations
from gateway.endpoints.admin.page import PAGE_PATHS, page_endpoints
from gateway.endpoints.admin.trail import AdminTrail
from gateway.endpoints.metrics import PATH, metrics_endpoint
from gateway.exchange.endpoints import EndpointRegistry
from gateway.listeners.plain_http import PlainServer, serve_endpoints
from gateway.listeners.sockets import Sockets, open_sockets
from gateway.process.nodes import Nodes

_ONLY_THIS_USER: Final = 0o177
"""The mode bits that a socket file must not have."""
_LOOK_EVERY_S: Final = 1.0
"""The interval of the looks at the files of certificates and of the token."""


class AdminListener:
    """The open sockets of the admin listener, and the checks of its requests."""

    def __init__(self, config: Config, listen: str, sockets: Sockets | None = None) -> None:
        """Opens the listener, unless its `sockets` are given; it answers while `serve` runs.

        Raises:
            StartUpError: the token or a TLS file cannot be used, or the address is invalid or in
                use.
        """
        self._access = Access(config.admin, PAGE_PATHS)
        if sockets is not None:
            self.sockets = sockets
            return
        before = os.umask(_ONLY_THIS_USER)
        try:
            self.sockets = open_sockets(listen)
        finally:
            os.umask(before)

    @asynccontextmanager
    async def serve(self, operations: Operations, audit: Audit) -> AsyncIterator[PlainServer]:
        """Serves the admin endpoints while the block runs; `audit` records changes."""
        nodes = Nodes(operations)
        debug = debug_endpoints(operations) if operations.config.admin.debug else {}
        registry = EndpointRegistry(
            admin_endpoints(operations), errand_endpoints(operations), page_endpoints(), debug
        )
        registry.add("GET", "/nodes", nodes.show)
        registry.add("POST", "/requests", followed_endpoint(operations))
        registry.add("GET", PATH, metrics_endpoint(lambda: operations.exposition))
        access, trail = self._access, AdminTrail(audit)
        serving = serve_endpoints(
            *(self.sockets, registry, access.admit, failure), tls=access.tls, answered=trail
        )
        async with nodes.announced(), serving as server:
            renewal = asyncio.create_task(_renew(access, server))
            try:
                yield server
            finally:
                renewal.cancel()


async def _renew(access: Access, server: PlainServer) -> None:
    """Uses the files of certificates and of the token again whenever they have changed."""
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        if access.renewed():
            server.admit = access.admit
            await server.open(access.tls)
