"""The endpoints of the OpenAPI document, as JSON and as YAML."""

import gc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from io import BytesIO
from threading import Lock
from typing import Final, NamedTuple

from gateway.endpoints.docs.content import Content
from gateway.http.messages import Endpoint, Endpoints, Request, Response
from gateway.openapi.text import compact_json, yaml_pieces
from gateway.transcoding.media import JSON

YAML = "application/yaml"
"""RFC 9512."""


_ONE_AT_A_TIME: Final = Lock()
_MOST_DOCUMENTS: Final = 16
"""The limit of documents that are kept for callers with different rights, in each form."""


Rights = frozenset[str] | None
"""The scopes of a caller that some method asks for; None for a caller without a principal."""
Build = Callable[[Rights], dict[str, object]]
"""Makes the document of what callers with these rights may call."""


class Readers(NamedTuple):
    """The callers that read the document, if each sees only what they may call."""

    rights_of: Callable[[Request], Awaitable[Rights]]
    """Finds the rights of the caller of a request; raises a StatusError for bad credentials."""
    headers: Sequence[str]
    """The header fields that credentials come in."""


def document_endpoints(
    path: str, build: Build, level: int, readers: Readers | None = None
) -> Endpoints:
    """The endpoints `path`.json and `path`.yaml with the document that `build` makes.

    `build` runs in a thread, once for each form and set of rights on its first request; without
    `readers`, everyone has no rights. `level` is that of the compression, 0 for none.
    """

    def as_json(rights: Rights) -> bytes:
        with _without_collections():
            return _joined(compact_json(build(rights)))

    def as_yaml(rights: Rights) -> bytes:
        with _without_collections():
            return _joined(yaml_pieces(build(rights)))

    def endpoint(form: Callable[[Rights], bytes], media_type: str) -> Endpoint:
        if readers is None:
            return Content(partial(form, None), media_type, level=level)
        headers = [("Vary", ", ".join(readers.headers))] if readers.headers else []

        def content(rights: Rights) -> Content:
            return Content(
                partial(form, rights), media_type, level=level, headers=headers, is_private=True
            )

        return ContentByRights(readers.rights_of, content)

    return {
        f"{path}.json": {"GET": endpoint(as_json, JSON)},
        f"{path}.yaml": {"GET": endpoint(as_yaml, YAML)},
    }


def _joined(pieces: Iterator[bytes]) -> bytes:
    """Joins pieces one by one: to copy all of a large document at once would hold other threads."""
    joined = BytesIO()
    for piece in pieces:
        joined.write(piece)
    return joined.getvalue()


class ContentByRights:
    """An endpoint with content for each set of rights; those asked for last are kept."""

    def __init__(
        self,
        rights_of: Callable[[Request], Awaitable[Rights]],
        make: Callable[[Rights], Content],
    ) -> None:
        self._rights_of = rights_of
        # A large document takes tens of megabytes, and scopes can be granted in any combination.
        self._content = lru_cache(maxsize=_MOST_DOCUMENTS)(make)

    async def __call__(self, request: Request) -> Response:
        """Answers with the content for the caller.

        Raises:
            StatusError: UNAUTHENTICATED for an invalid credential.
        """
        return await self._content(await self._rights_of(request))(request)


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
