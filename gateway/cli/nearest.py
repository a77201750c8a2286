"""Measures the similarity of a request and a route, to find the routes nearest to a typo."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from urllib.parse import unquote

from gateway.transcoding.binding import Binding
from gateway.transcoding.routing.router import ANY_METHOD
from gateway.transcoding.routing.template import DeepWildcard, Literal, Segment

_SEGMENTS = 64
"""The number of path segments that are compared; more make no route more similar."""
_CHARACTERS = 100
"""The number of characters of a segment that are compared."""
_WILDCARD = 0.1
"""The cost of a wildcard: of two matching routes the more specific one ranks first."""
_OTHER_METHOD = 0.5
_ALIKE = 0.6
"""The similarity from which two texts count as spellings of one word."""
_MISSING = 1.0
"""The cost of a missing or additional segment, or of one with a different text."""


def distance(binding: Binding, http_method: str, path: str) -> float:
    """The changes a request needs for `binding` to match it, as a cost; 0 for none."""
    cost = 0.0 if binding.http_method in (http_method, ANY_METHOD) else _OTHER_METHOD
    verb = binding.template.verb
    if verb:
        path, _, stated = path.rpartition(":") if ":" in path else (path, "", "")
        cost += _difference(verb, stated)
    texts = [unquote(text)[:_CHARACTERS] for text in path.strip("/").split("/")[:_SEGMENTS]]
    return cost + _segments(binding.template.segments, [] if texts == [""] else texts)


def _segments(segments: Sequence[Segment], texts: Sequence[str]) -> float:
    """The cost of changing `texts` so that they match `segments`: their edit distance."""
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
    """The cost of one text for another: 0 if equal, `_MISSING` if too different."""
    if wanted == text:
        return 0.0
    alike = SequenceMatcher(None, wanted, text, autojunk=False).ratio()
    return _MISSING if alike < _ALIKE else _MISSING * (1 - alike)
