"""The endpoints of the OpenAPI document, as JSON and as YAML."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

from gateway.endpoints.docs.content import Content
from gateway.http.messages import Endpoints
from gateway.openapi.text import compact_json, to_yaml
from gateway.transcoding.payload import JSON

YAML = "application/yaml"
"""RFC 9512."""


_ONE_AT_A_TIME: Final = Lock()


def document_endpoints(path: str, build: Callable[[], dict[str, object]], level: int) -> Endpoints:
    """The endpoints `path`.json and `path`.yaml with the document that `build` makes.

    `build` runs in a thread, once for each form on its first request; `level` is that of the
    compression, 0 for none.
    """

    def as_json() -> bytes:
        with _without_collections():
            return b"".join(compact_json(build()))

    def as_yaml() -> bytes:
        with _without_collections():
            return to_yaml(build()).encode()

    return {
        f"{path}.json": {"GET": Content(as_json, JSON, level=level)},
        f"{path}.yaml": {"GET": Content(as_yaml, YAML, level=level)},
    }


@contextmanager
def _without_collections() -> Iterator[None]:
    """Pauses the search for reference cycles while a document is made; one is made at a time.

    A document has no cycles, and up to millions of parts. Searches through them take time, in
    which all threads stop.
    """
    with _ONE_AT_A_TIME:
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if was_enabled:
                gc.enable()
