"""What schemathesis cannot know of this API: lines of JSON, and paths that match one another."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

import schemathesis  # type: ignore[import-not-found]

_PARAMETER = re.compile(r"\{[^{}]*\}")
_METHODS = {"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"}
_ALWAYS = {"HEAD", "OPTIONS"}
"""The HTTP methods that a server answers by itself."""


@schemathesis.serializer("application/x-ndjson")  # type: ignore[untyped-decorator]
def lines(_context: Any, value: Any) -> bytes:
    """The body of a stream: one value a line."""
    values = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(one).encode() + b"\n" for one in values)


@schemathesis.check  # type: ignore[untyped-decorator]
def allow_of_all_paths(_context: Any, response: Any, case: Any) -> None:
    """Compares `Allow` with the HTTP methods of all paths that match the URL."""
    stated = ", ".join(response.headers.get("allow") or ())
    if response.request.method != "OPTIONS" or not stated:
        return
    path = urlsplit(response.request.url).path
    declared = {
        method.upper()
        for template, item in case.operation.schema.raw_schema["paths"].items()
        if re.fullmatch(_PARAMETER.sub("[^/]+", template), path)
        for method in item
        if method.upper() in _METHODS
    }
    listed = {method.strip() for method in stated.split(",")}
    assert listed - _ALWAYS == declared - _ALWAYS, f"{path}: {listed}, expected {declared}"
