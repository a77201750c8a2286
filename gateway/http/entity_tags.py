"""Entity tags: gives each representation a different tag, although a back end sends only one.

A back end sends one `ETag` for a message. The client receives JSON, protobuf, a stream in one of
several formats, or any of these in gzip, and strong tags of different representations must differ
(RFC 9110 section 8.8.3.3). So every representation except plain JSON and raw bytes gets a suffix,
for example `"abc;gzip"`. Conditions with such a tag reach the back end without the suffix.
"""

import re
from collections.abc import Sequence
from typing import Final

from multidict import istr

from gateway.http.compression import accepts_gzip
from gateway.http.messages import HeaderFields, Response
from gateway.transcoding.media import JSON, media_type
from gateway.transcoding.streams.framing import FRAMINGS

_IF_NONE_MATCH: Final = istr("If-None-Match")
_ACCEPT_ENCODING: Final = istr("Accept-Encoding")
_GZIP: Final = ";gzip"
_SUFFIX_OF: Final = {kind: f";{kind.partition('/')[2]}" for kind in FRAMINGS if kind != JSON}
_SUFFIXES: Final = (*_SUFFIX_OF.values(), _GZIP)
# RFC 9110 section 8.8.3.
_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*+"')
_NEXT_TAG: Final = re.compile(r'[ \t,]*+((?:W/)?"[\x21\x23-\x7e\x80-\xff]*+")[ \t]*+(?=,|\Z)')
_NOT_MODIFIED: Final = 304


def conditions_for_back_end(
    fields: HeaderFields, selected: str, *, reads: bool
) -> Sequence[tuple[bytes, bytes]]:
    """Returns the header fields with the tags that the back end sent, without suffixes.

    `reads` is true for GET and HEAD. Then tags in If-None-Match of a representation other than
    the `selected` media type are removed: the client does not have the representation it requests.
    For other methods a tag identifies a state of the resource, in any representation.
    """
    gzip = accepts_gzip(fields.by_name.get(_ACCEPT_ENCODING, ""))
    wanted = _SUFFIX_OF.get(selected, "")
    found: list[tuple[bytes, bytes]] = []
    for name, value in fields.raw:
        lower = name.lower()
        if lower not in (b"if-match", b"if-none-match"):
            found.append((name, value))
            continue
        tags = _tags(value.decode("latin-1"))
        if tags is None:  # `*`, or not a list of tags: the back end decides
            found.append((name, value))
            continue
        pairs = [_split(tag) for tag in tags]
        if reads and lower == b"if-none-match":
            pairs = [
                (tag, suffix)
                for tag, suffix in pairs
                if suffix == wanted or (gzip and not wanted and suffix == _GZIP)
            ]
        if pairs:
            known = dict.fromkeys([tag for tag, _ in pairs])
            found.append((name, ", ".join(known).encode("latin-1")))
    return found


def tag_representation(response: Response, fields: HeaderFields, *, is_raw: bool) -> None:
    """Adds the suffix of its representation to the entity tag of a response, if it has one.

    `is_raw` states that the bytes and their media type are unchanged from the back end.
    """
    headers = response.headers
    for at, (name, tag) in enumerate(headers):
        if len(name) == 4 and name.lower() == "etag" and _TAG.fullmatch(tag):
            suffix = "" if is_raw else _SUFFIX_OF.get(media_type(response.content_type), "")
            is_compressed = any(one.lower() == "content-encoding" for one, _ in headers)
            if not tag.startswith("W/") and (
                is_compressed or _confirms_compressed(response, fields, tag)
            ):
                suffix += _GZIP
            headers[at] = (name, _with(tag, suffix))


def is_of_same_message(condition: str, tag: str) -> bool:
    """Evaluates If-Match against the tag of a message, which has no suffix (RFC 9110 13.1.1).

    The comparison is strong, and true for each representation of that message. A malformed list
    matches nothing, which is the safe side.
    """
    if condition.strip() == "*":
        return True
    is_strong = bool(_TAG.fullmatch(tag)) and not tag.startswith("W/")
    return is_strong and tag in [_split(one)[0] for one in _tags(condition) or ()]


def is_tag(text: str) -> bool:
    """True if a text is an entity tag as headers have it, with its quotes."""
    return _TAG.fullmatch(text) is not None


def message_tags(condition: str) -> list[str]:
    """Returns the different tags in If-Match, without suffixes; none if it is malformed."""
    return list(dict.fromkeys([_split(tag)[0] for tag in _tags(condition) or ()]))


def selects(
    condition: str, tag: str, content_type: str, fields: HeaderFields, *, is_raw: bool
) -> bool:
    """Evaluates If-None-Match against the representation that a request selects.

    `tag` has no suffix, and is compared weakly (RFC 9110 section 13.1.2). A malformed list is
    ignored.
    """
    if condition.strip() == "*":
        return True
    if not _TAG.fullmatch(tag):
        return False
    suffix = "" if is_raw else _SUFFIX_OF.get(media_type(content_type), "")
    current = {_with(_opaque(tag), suffix)}
    if not suffix and accepts_gzip(fields.by_name.get(_ACCEPT_ENCODING, "")):
        current.add(_with(_opaque(tag), _GZIP))
    return not current.isdisjoint(map(_opaque, _tags(condition) or ()))


def _opaque(tag: str) -> str:
    """Returns a tag without the mark of weak ones."""
    return tag.removeprefix("W/")


def _confirms_compressed(response: Response, fields: HeaderFields, tag: str) -> bool:
    """True if the response is a 304 for a gzip representation that the client has."""
    get = fields.by_name.get
    return (
        response.status == _NOT_MODIFIED
        and accepts_gzip(get(_ACCEPT_ENCODING, ""))
        and _with(tag, _GZIP) in map(_opaque, _tags(get(_IF_NONE_MATCH, "")) or ())
    )


def _with(tag: str, suffix: str) -> str:
    return f'{tag[:-1]}{suffix}"'


def _split(tag: str) -> tuple[str, str]:
    """Splits a tag into the tag without its suffix, and the suffix."""
    text = tag[:-1]
    for suffix in _SUFFIXES:
        if text.endswith(suffix):
            return f'{text.removesuffix(suffix)}"', suffix
    return tag, ""


def _tags(text: str) -> list[str] | None:
    """Parses a list of tags; returns None if it is malformed or empty."""
    tags: list[str] = []
    at, end = 0, len(text.rstrip(" \t,"))
    while at < end:
        found = _NEXT_TAG.match(text, at)
        if found is None:
            return None
        tags.append(found[1])
        at = found.end()
    return tags or None
