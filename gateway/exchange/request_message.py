"""The one message of a request that streams nothing: of its body, if it has one, and its URL."""

from gateway.http.messages import Request
from gateway.status import invalid_argument
from gateway.transcoding.binding import Binding
from gateway.transcoding.routing.router import Match
from gateway.transcoding.transcoder import Transcoder


async def read_message(transcoder: Transcoder, request: Request, match: Match[Binding]) -> bytes:
    """The one message of a request, read and decoded.

    Raises:
        StatusError: it is not what it should be.
    """
    if match.target.body is None or request.body is None:
        return decode_message(transcoder, request, match)
    body = await request.body.read()
    request.body_bytes = len(body)
    return transcoder.decode(match, request.query, request.fields.content_type, body)


def decode_message(transcoder: Transcoder, request: Request, match: Match[Binding]) -> bytes:
    """The one message of a request whose body is there, or that brings or may bring none.

    Raises:
        StatusError: it is not what it should be.
    """
    refuse_needless_body(request, match)
    body = b"" if request.body is None else request.body.take()
    request.body_bytes = len(body)
    return transcoder.decode(match, request.query, request.fields.content_type, body)


def refuse_needless_body(request: Request, match: Match[Binding]) -> None:
    """Refuses a body that the rule has no use for.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    if request.body is not None and match.target.body is None:
        method = match.target.method.name
        raise invalid_argument("", f"{request.method} for {method} takes no body")
