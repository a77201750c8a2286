"""How near a request comes to a route that it does not fit, for people who mistyped one."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from urllib.parse import unquote

from gateway.transcoding.binding import Binding
from gateway.transcoding.routing.router import ANY_METHOD
from gateway.transcoding.routing.template import DeepWildcard, Literal, Segment

_SEGMENTS = 64
"""How many segments of a path are looked at; more make no route nearer."""
_CHARACTERS = 100
"""How much of a segment is compared."""
_WILDCARD = 0.1
"""What a wildcard costs: of two routes that fit alike, the one that says more is nearer."""
_OTHER_METHOD = 0.5
_ALIKE = 0.6
"""From where on two texts are taken for one word spelled in two ways."""
_MISSING = 1.0
"""What a segment too many or too few costs, or one of another text altogether."""


def distance(binding: Binding, http_method: str, path: str) -> float:
    """How much of a request would have to change for `binding` to serve it; 0 for nothing."""
    cost = 0.0 if binding.http_method in (http_method, ANY_METHOD) else _OTHER_METHOD
    verb = binding.template.verb
    if verb:
        path, _, stated = path.rpartition(":") if ":" in path else (path, "", "")
        cost += _difference(verb, stated)
    texts = [unquote(text)[:_CHARACTERS] for text in path.strip("/").split("/")[:_SEGMENTS]]
    return cost + _segments(binding.template.segments, [] if texts == [""] else texts)


def _segments(segments: Sequence[Segment], texts: Sequence[str]) -> float:
    """What it costs to make `texts` fit `segments`: their edit distance."""
    before = [number * _MISSING for number in range(len(texts) + 1)]
    for segment in segments:
        deep = isinstance(segment, DeepWildcard)
        row = [before[0] + (0.0 if deep else _MISSING)]
        for at, text in enumerate(texts):
            row.append(
                min(
                    before[at] + _one(segment, text),
                    before[at + 1] + (0.0 if deep else _MISSING),
                    row[at] + (_WILDCARD if deep else _MISSING),
                )
            )
        before = row
    return before[-1]


def _one(segment: Segment, text: str) -> float:
    if isinstance(segment, Literal):
        return _difference(segment.text, text)
    return _WILDCARD if text else _MISSING


@lru_cache(maxsize=10_000)
def _difference(wanted: str, text: str) -> float:
    """From 0 for the same text to `_MISSING` for one with nothing in common."""
    if wanted == text:
        return 0.0
    alike = SequenceMatcher(None, wanted, text, autojunk=False).ratio()
    return _MISSING if alike < _ALIKE else _MISSING * (1 - alike)
