"""Explains one request: the binding it matches, its fields, and its message."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest

from gateway.cli.checks import read_schema
from gateway.cli.going_to import upstreams_of
from gateway.cli.nearest import distance
from gateway.transcoding.binding import KNOWN_METHODS, Binding
from gateway.transcoding.transcoder import (
    Config,
    StartUpError,
    StatusError,
    Transcoder,
    build_transcoder,
)

_ORIGIN = re.compile(r"https?://[^/?#]+(?=/)", re.IGNORECASE)
_NOT_IN_TARGETS = re.compile(r"[^!-~]|#")
"""The characters that clients escape: all but visible ASCII, and the start of a fragment."""

_NEAREST = 5
"""The number of shown bindings that do not match the request."""


@dataclass
class Explanation:
    """The result of transcoding a request, up to its first error."""

    nearest: list[tuple[Binding, str]]
    """The bindings most similar to it, and the reason why each does not match."""
    binding: Binding | None = None
    parts: list[tuple[str, str, str]] = field(default_factory=list)
    message: str = ""
    upstreams: Sequence[str] = ()
    """The upstreams that its call would go to, the first that fits."""
    error: StatusError | None = None

    def lines(self) -> Iterator[str]:
        """The explanation as text: the match, then the similar bindings."""
        if self.binding is not None:
            yield f"{self.binding.http_method} {self.binding.template}"
            yield f"  calls    {self.binding.method.path}  ({self.binding.rule.source})"
            for origin, text, path in self.parts:
                yield f"  {origin}: {text!r} -> {path}"
            yield from (f"  {line}" for line in self.message.splitlines())
            for number, upstream in enumerate(self.upstreams):
                yield f"  {'else' if number else 'goes to'}  {upstream}"
        if self.error is not None:
            yield f"{self.error.http_status} {self.error.code.name}: {self.error.message}"
        if self.nearest:
            yield "nearest routes:" if self.binding is None else "not chosen:"
        for binding, why in self.nearest:
            yield f"  {binding.http_method} {binding.template}: {why}"


def explain(config: Config, request: str, data: str) -> Explanation:
    """Explains the request `METHOD /path?query` with this body.

    Raises:
        StartUpError: the configuration cannot be served.
    """
    explanation = explain_request(build_transcoder(config, read_schema(config)), request, data)
    if explanation.binding is not None:
        method = explanation.binding.method
        explanation.upstreams = list(upstreams_of(config, method.service, method.full_name))
    return explanation


def explain_request(transcoder: Transcoder, request: str, body: str) -> Explanation:
    """Explains a request such as `GET /v1/shelves?page_size=2` with this JSON body.

    Raises:
        StartUpError: the request is not of this form.
    """
    http_method, path, query = _request_line(request)
    explanation = Explanation([])
    try:
        match = transcoder.match(http_method, path)
        explanation.binding = match.target
        explanation.parts = transcoder.explain_request(match, query)
        if body and match.target.body is not None:
            field = match.target.body
            name = field if isinstance(field, str) else field.name
            explanation.parts.append(("body", body, name))
        message = transcoder.decode(match, query, None, body.encode())
        explanation.message = transcoder.request_json(match, message).decode()
    except StatusError as error:
        explanation.error = error
    explanation.nearest = _nearest(transcoder, http_method, path, explanation.binding)
    return explanation


def _request_line(request: str) -> tuple[str, str, str]:
    """Returns the HTTP method, path and query of a request; a scheme and a host are left out."""
    http_method, _, target = request.strip().partition(" ")
    http_method, target = http_method.upper(), _ORIGIN.sub("", target.strip())
    if not target.startswith("/") or _NOT_IN_TARGETS.search(target) is not None:
        raise StartUpError(
            f"not a request: {request!r}; expected METHOD '/path?query', such as "
            "GET '/v1/shelves?page_size=2', and %20 for a blank, %23 for #, %C3%A9 for é"
        )
    if http_method not in KNOWN_METHODS:
        known = ", ".join(sorted(KNOWN_METHODS - {"*"}))
        raise StartUpError(f"{http_method} is no HTTP method that is served; known here: {known}")
    path, _, query = target.partition("?")
    return http_method, path, query


def _nearest(
    transcoder: Transcoder, http_method: str, path: str, chosen: Binding | None
) -> list[tuple[Binding, str]]:
    reasons = [(b, why) for b, why in transcoder.explain_match(http_method, path) if b != chosen]
    return nsmallest(_NEAREST, reasons, key=lambda one: distance(one[0], http_method, path))
