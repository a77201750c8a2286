"""What one request would become, for people: the binding, the fields, the message."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nsmallest

from gateway.cli.nearest import distance
from gateway.status import StatusError
from gateway.transcoding.binding import Binding
from gateway.transcoding.transcoder import Transcoder

_NEAREST = 5
"""How many of the bindings that do not serve a request are shown."""


@dataclass
class Explanation:
    """How far a request got, and what it became."""

    nearest: list[tuple[Binding, str]]
    """The bindings that come nearest to serving it, and why each does not."""
    binding: Binding | None = None
    parts: list[tuple[str, str, str]] = field(default_factory=list)
    message: str = ""
    error: StatusError | None = None

    def lines(self) -> Iterator[str]:
        """The explanation as text: the match, then the bindings that came near."""
        if self.binding is not None:
            yield f"{self.binding.http_method} {self.binding.template}"
            yield f"  calls    {self.binding.method.path}  ({self.binding.rule.source})"
            for origin, text, path in self.parts:
                yield f"  {origin}: {text!r} -> {path}"
            yield from (f"  {line}" for line in self.message.splitlines())
        if self.error is not None:
            yield f"{self.error.http_status} {self.error.code.name}: {self.error.message}"
        if self.nearest:
            yield "nearest routes:" if self.binding is None else "not chosen:"
        for binding, why in self.nearest:
            yield f"  {binding.http_method} {binding.template}: {why}"


def explain_request(transcoder: Transcoder, request: str, body: str) -> Explanation:
    """What `request`, such as `GET /v1/shelves?page_size=2`, with this JSON body would become."""
    http_method, _, target = request.strip().partition(" ")
    http_method = http_method.upper()
    path, _, query = target.strip().partition("?")
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


def _nearest(
    transcoder: Transcoder, http_method: str, path: str, chosen: Binding | None
) -> list[tuple[Binding, str]]:
    reasons = [(b, why) for b, why in transcoder.explain_match(http_method, path) if b != chosen]
    return nsmallest(_NEAREST, reasons, key=lambda one: distance(one[0], http_method, path))
