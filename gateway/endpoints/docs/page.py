"""The endpoints of the page on which users read about the API and try it: Swagger UI.

All that the page loads comes from this gateway. Its policy (Content Security Policy Level 3) allows
no script in the page itself, and requests only to the servers of the API.
"""

import posixpath
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.config.openapi import DocsOptions, OpenApiOptions
from gateway.endpoints.docs.content import Content
from gateway.http.messages import Endpoint, Endpoints
from gateway.openapi.listing import ListedOperation
from gateway.status import StartUpError

_SCRIPT: Final = "text/javascript; charset=utf-8"
_ASSETS: Final[Mapping[str, str]] = {
    "swagger-ui-bundle.js": _SCRIPT,
    "swagger-ui.css": "text/css; charset=utf-8",
}
_PACKAGE: Final = "swagger_ui"
"""The package of the extra `docs`; it is never imported, only its files are read."""


_MOST_LISTED: Final = 1000
"""The limit of operations in the list for readers without JavaScript."""


class About(NamedTuple):
    """The API that the page is about."""

    title: str
    operations: Callable[[], Sequence[ListedOperation]]
    """Lists the operations that everyone may see; called once, in a thread."""
    issuers: Sequence[str] = ()
    """The URLs of token issuers, which the page asks where tokens are issued."""


class DocsError(StartUpError):
    """The page cannot be served; the message says why."""


def page_endpoints(
    docs: DocsOptions, openapi: OpenApiOptions, about: About, level: int
) -> Endpoints:
    """The endpoints of the page, and of the files that it loads, below its path.

    `level` is that of the compression, 0 for none.

    Raises:
        DocsError: Swagger UI is not installed, or `docs.assets` has not its files.
    """
    folder = assets_folder(docs)
    headers = [("Content-Security-Policy", _policy([*openapi.servers, *about.issuers]))]
    found: dict[str, Mapping[str, Endpoint]] = {}

    def add(path: str, make: Callable[[], bytes], media_type: str) -> None:
        found[path] = {"GET": Content(make, media_type, level=level, headers=headers)}

    add(docs.path, lambda: _html(docs, openapi, about).encode(), "text/html; charset=utf-8")
    add(f"{docs.path}/page.js", _own("page.js").encode, _SCRIPT)
    for name, media_type in _ASSETS.items():
        add(f"{docs.path}/{name}", (folder / name).read_bytes, media_type)
    return found


def assets_folder(docs: DocsOptions) -> Path:
    """The folder with the files of Swagger UI.

    Raises:
        DocsError: there is none, or a file is not in it.
    """
    folder = docs.assets or installed_assets()
    if folder is None:
        raise DocsError(
            "docs.enabled needs Swagger UI: pip install 'grpc-rest-gateway[docs]', "
            "or name a folder with its files in docs.assets"
        )
    for name in _ASSETS:
        if not (folder / name).is_file():
            raise DocsError(f"docs.assets: {folder} has no file {name}")
    return folder


def installed_assets() -> Path | None:
    """The folder with the files of the extra `docs`, or None if it is not installed."""
    spec = find_spec(_PACKAGE)
    places = None if spec is None else spec.submodule_search_locations
    return Path(next(iter(places)), "static") if places else None


def _html(docs: DocsOptions, openapi: OpenApiOptions, about: About) -> str:
    above = posixpath.dirname(docs.path)
    values = {
        "title": about.title,
        # Relative, so that a proxy may serve the gateway below another path.
        "folder": posixpath.basename(docs.path),
        "document": posixpath.relpath(f"{openapi.path}.json", above),
    }
    escaped = {name: escape(value) for name, value in values.items()}
    return Template(_own("page.html")).substitute(escaped, operations=_list(about.operations()))


def _list(operations: Sequence[ListedOperation]) -> str:
    lines = [
        f"<li><code>{escape(one.http_method)} {escape(one.path)}</code> {escape(one.summary)}</li>"
        for one in operations[:_MOST_LISTED]
    ]
    if len(operations) > _MOST_LISTED:
        lines.append(f"<li>and {len(operations) - _MOST_LISTED} more</li>")
    return "\n".join(lines)


def _own(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _policy(servers: Sequence[str]) -> str:
    parts = [urlsplit(url) for url in servers if "://" in url]
    origins = dict.fromkeys(f"{part.scheme}://{part.netloc}" for part in parts)
    allowed = ("'self'", *origins)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self' 'unsafe-inline'",  # Swagger UI sets styles of single elements
            "img-src 'self' data:",
            f"connect-src {' '.join(allowed)}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
