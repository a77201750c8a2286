"""What one request would become, for people: the binding, the fields, the message."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.status import StatusError
from gateway.transcoding.binding import Binding
from gateway.transcoding.transcoder import Transcoder


@dataclass
class Explanation:
    """How far a request got, and what it became."""

    reasons: list[tuple[Binding, str]]
    binding: Binding | None = None
    parts: list[tuple[str, str, str]] = field(default_factory=list)
    message: str = ""
    error: StatusError | None = None

    def lines(self) -> Iterator[str]:
        """The explanation as text: the match, then the rest of the bindings that came near."""
        if self.binding is not None:
            yield f"{self.binding.http_method} {self.binding.template}"
            yield f"  calls    {self.binding.method.path}  ({self.binding.rule.source})"
            for origin, text, path in self.parts:
                yield f"  {origin}: {text!r} -> {path}"
            yield from (f"  {line}" for line in self.message.splitlines())
        if self.error is not None:
            yield f"{self.error.http_status} {self.error.code.name}: {self.error.message}"
        others = [(binding, why) for binding, why in self.reasons if binding is not self.binding]
        if others:
            yield "not chosen:"
        for binding, why in others:
            yield f"  {binding.http_method} {binding.template}: {why}"


def explain_request(transcoder: Transcoder, request: str, body: str) -> Explanation:
    """What `request`, such as `GET /v1/shelves?page_size=2`, with this JSON body would become."""
    http_method, _, target = request.strip().partition(" ")
    path, _, query = target.strip().partition("?")
    explanation = Explanation(transcoder.explain_match(http_method.upper(), path))
    try:
        match = transcoder.match(http_method.upper(), path)
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
    return explanation
