"""The endpoints of the OpenAPI document, as JSON and as YAML."""

import gc
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from io import BytesIO
from threading import Lock
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from gateway.endpoints.docs.content import Content
from gateway.http.messages import Endpoint, Endpoints, Request, Response
from gateway.openapi.text import compact_json, yaml_pieces
from gateway.transcoding.media import JSON, StatusError, invalid_argument

YAML = "application/yaml"
"""RFC 9512."""


_ONE_AT_A_TIME: Final = Lock()
_MOST_DOCUMENTS: Final = 16
"""The limit of documents that are kept for callers with different rights, in each form, and again
of those about a part of the API."""


Rights = frozenset[str] | None
"""The scopes of a caller that some method asks for; None for a caller without a principal."""


class Selection(NamedTuple):
    """The part of the API that a request asks for, and the version of OpenAPI; empty for all."""

    version: str = ""
    service: str = ""
    package: str = ""

    @property
    def is_part(self) -> bool:
        """True if it is not the whole API."""
        return bool(self.service or self.package)


Build = Callable[[Rights, Selection], dict[str, object] | None]
"""Makes the document of what callers with these rights may call; None for a part without any."""


class Known(NamedTuple):
    """The values that a selection may have."""

    version: Collection[str]
    service: Collection[str]
    package: Collection[str]


def _selection(query: str, known: Known) -> Selection:
    """Reads the query of a request; other names than those of a selection say nothing.

    Raises:
        StatusError: a name is there twice, or a value is not known.
    """
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in Selection._fields:
            continue
        if name in found:
            raise invalid_argument(name, "expected it once")
        if value not in getattr(known, name):
            raise _unknown(name)
        found[name] = value
    return Selection(**found)


def _unknown(name: str) -> StatusError:
    return invalid_argument(name, _EXPECTED[name])


_EXPECTED: Final = {
    "version": 'expected a version of OpenAPI: "3.1" or "3.2"',
    "service": "expected the full name of a service in the document, such as library.v1.Library",
    "package": "expected the name of a package in the document, such as library.v1",
}


class Readers(NamedTuple):
    """The callers that read the document, if each sees only what they may call."""

    rights_of: Callable[[Request], Awaitable[Rights]]
    """Finds the rights of the caller of a request; raises a StatusError for bad credentials."""
    headers: Sequence[str]
    """The header fields that credentials come in."""


def document_endpoints(
    path: str, build: Build, level: int, known: Known, readers: Readers | None = None
) -> Endpoints:
    """The endpoints `path`.json and `path`.yaml with the document that `build` makes.

    `build` runs in a thread, once for each form, selection and set of rights on its first request;
    without `readers`, everyone has no rights. `level` is that of the compression, 0 for none.
    """

    def built(rights: Rights, selection: Selection) -> dict[str, object]:
        document = build(rights, selection)
        if document is None:  # as if there were no such part, which others may call
            raise _unknown("service" if selection.service else "package")
        return document

    def as_json(rights: Rights, selection: Selection) -> bytes:
        with _without_collections():
            return _joined(compact_json(built(rights, selection)))

    def as_yaml(rights: Rights, selection: Selection) -> bytes:
        with _without_collections():
            return _joined(yaml_pieces(built(rights, selection)))

    headers = [("Vary", ", ".join(readers.headers))] if readers and readers.headers else []

    def endpoint(form: Callable[[Rights, Selection], bytes], media_type: str) -> Endpoint:
        def content(rights: Rights, selection: Selection) -> Content:
            return Content(
                partial(form, rights, selection),
                media_type,
                level=level,
                headers=headers,
                is_private=readers is not None,
            )

        return SelectedContent(readers, known, content)

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


class SelectedContent:
    """An endpoint with content for each set of rights and selection; the last ones are kept."""

    def __init__(
        self,
        readers: Readers | None,
        known: Known,
        make: Callable[[Rights, Selection], Content],
    ) -> None:
        self._readers = readers
        self._known = known
        # A large document takes tens of megabytes, and scopes can be granted in any combination.
        self._whole = lru_cache(maxsize=_MOST_DOCUMENTS)(make)
        # Apart: to ask for many parts must not make the gateway forget the whole, and make it anew.
        self._parts = lru_cache(maxsize=_MOST_DOCUMENTS)(make)

    async def __call__(self, request: Request) -> Response:
        """Answers with the content that the query asks for, for the caller.

        Raises:
            StatusError: UNAUTHENTICATED for an invalid credential, INVALID_ARGUMENT for a query
                that selects nothing.
        """
        rights = None if self._readers is None else await self._readers.rights_of(request)
        selection = _selection(request.query, self._known)
        content = (self._parts if selection.is_part else self._whole)(rights, selection)
        return await content(request)


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
