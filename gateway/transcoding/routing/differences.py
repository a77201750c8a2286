"""Messages for requests that no route serves, and for routes that do not serve a request."""

from collections.abc import Sequence
from typing import Final

from gateway.status import Code, StatusError
from gateway.transcoding.routing.percent import decode
from gateway.transcoding.routing.template import Literal, Template

SHOWN_LENGTH: Final = 200
"""The length of a method or path up to which a message shows all of it."""


def no_match(
    http_method: str, path: str, allowed: Sequence[str] = (), wrong_method_status: int = 405
) -> StatusError:
    """The 404 of a request; or another status, usually 405, if its path allows other methods."""
    text = no_route(_shown(http_method), _shown(path))
    if not allowed or wrong_method_status == 404:
        return StatusError(Code.NOT_FOUND, text)
    listed = ", ".join(allowed)
    return StatusError(
        Code.UNIMPLEMENTED,
        f"{text}; the path allows {listed}",
        http_status=wrong_method_status,
        headers=[("Allow", listed)],
    )


def no_route(http_method: str, path: str) -> str:
    """The message for a request that no route serves, in which both are shown as they are."""
    return f"no route for {http_method} {path}"


def _shown(text: str) -> str:
    """Makes `text` safe for a message: shortened, and without control characters."""
    cut = text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}..."
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def path_difference(template: Template, path: str) -> str:
    """Describes the first difference between `path`, which can be decoded, and `template`."""
    if template.verb:
        path, _, verb = path.rpartition(":")
        if "/" in verb or decode(verb, "path") != template.verb:
            return f"the path does not end in :{template.verb}"
    if not path.startswith("/"):
        return "the path does not start with /"
    texts = [decode(raw, "path") for raw in path[1:].split("/")]
    deep = template.deep_at
    before = template.segments[:deep]
    after = () if deep is None else template.segments[deep + 1 :]
    first_after = len(texts) - len(after)
    for segment, number in [
        *zip(before, range(len(texts)), strict=False),
        *zip(after, range(max(len(before), first_after), len(texts)), strict=False),
    ]:
        if isinstance(segment, Literal) and segment.text != texts[number]:
            return f"segment {number + 1} is {texts[number]!r} and not {segment.text!r}"
    if "" in texts:
        return f"segment {texts.index('') + 1} is empty"
    wanted = f"{len(before) + len(after)}{'' if deep is None else ' or more'}"
    return f"the path has {len(texts)} segment{'s'[: len(texts) - 1]} and not {wanted}"
