"""Carries out errands of operators: questions and orders that need the parts of a gateway."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway.app.api_changes import Described, document_of
from gateway.app.store_errands import run_store_errand, store_errand, wanted_reset
from gateway.audit import Audit
from gateway.auth.names import MalformedError
from gateway.endpoints.admin.endpoints import Code, StatusError, failure
from gateway.endpoints.admin.operations import RESET, Errand, ErrandDone
from gateway.schema.used_files import used_files
from gateway.stores.base import StoreUnavailableError
from gateway.stores.shared import SharedStores

logger = logging.getLogger("gateway")

JSON: Final = "application/json"
_SCHEMA: Final = "application/x-protobuf"


class Errands:
    """Carries out errands with the settings and the schema in force."""

    def __init__(
        self,
        current: Callable[[], Described],
        stores: SharedStores,
        audit: Audit,
        reset_limits: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._current = current
        self._stores = stores
        self._audit = audit
        self._reset_limits = reset_limits

    def stores_down(self) -> frozenset[str]:
        """Returns the purposes of the stores that are not asked because they have failed."""
        available = self._stores.available().items()
        return frozenset(purpose for purpose, is_available in available if not is_available)

    async def run(self, errand: Errand) -> ErrandDone:
        """Carries out an errand; its failures are responses, too."""
        try:
            return await self._run(errand)
        except StatusError as error:
            failed = error
        except MalformedError as error:
            failed = StatusError(Code.INVALID_ARGUMENT, str(error))
        except StoreUnavailableError as error:
            failed = StatusError(Code.UNAVAILABLE, f"the store is unavailable: {error}")
        except Exception:
            logger.exception("%s failed", errand.action)
            failed = StatusError(Code.INTERNAL, "internal error")
        response = failure(failed)
        return ErrandDone(response.status, response.content_type or JSON, response.body)

    async def _run(self, errand: Errand) -> ErrandDone:
        api = self._current()
        if errand.action == "GET /schema":
            return ErrandDone(200, _SCHEMA, await asyncio.to_thread(_schema, api))
        if errand.action == "GET /openapi.json":
            return ErrandDone(200, JSON, await asyncio.to_thread(_document, api))
        if errand.action == RESET:
            by, name = wanted_reset(dict(errand.wanted))
            await self._reset_limits(by, name)
            return ErrandDone(200, JSON, json.dumps({"reset": name or "all"}).encode() + b"\n")
        of_store, config = store_errand(errand.action), api.config
        if of_store is None:
            raise StatusError(Code.UNIMPLEMENTED, f"{errand.action} is not known here")
        if config.auth.store is None:
            raise StatusError(Code.FAILED_PRECONDITION, "there is no store: set auth.store")
        opened = self._stores.open("credentials", config.auth.store, config.store.timeout_s)
        found = await run_store_errand(of_store, opened, self._audit, errand.wanted)
        return ErrandDone(200, JSON, json.dumps(found, indent=2).encode() + b"\n")


def _schema(api: Described) -> bytes:
    """Returns the FileDescriptorSet of all methods in force, with the files that they import."""
    files = used_files(api.schema)
    return FileDescriptorSet(file=files).SerializeToString(deterministic=True)


def _document(api: Described) -> bytes:
    """Returns the OpenAPI document of all routes in force, also of those not shown to clients."""
    return json.dumps(document_of(api)).encode() + b"\n"
