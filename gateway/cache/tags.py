"""Reads the tags of stored replies from metadata, and which of them an operator drops.

Sources: draft-ietf-httpbis-cache-groups (Cache-Groups, Cache-Group-Invalidation), RFC 9651 section
3.1 (lists of strings). `surrogate-key`, a list separated by spaces, is what CDNs read.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

GROUPS: Final = "cache-groups"
KEYS: Final = "surrogate-key"
DROPPED_GROUPS: Final = "cache-group-invalidation"
TARGET: Final = "gateway-cache-control"
"""Cache-Control for this gateway alone (RFC 9213)."""
CONSUMED: Final = frozenset({GROUPS, KEYS, DROPPED_GROUPS, TARGET})
"""Metadata which is meant for caches and not for clients."""

_MOST_TAGS: Final = 64
_LONGEST: Final = 128
_LONGEST_FIELD: Final = 16 * 1024
# RFC 9651: a string, and parameters, which have no meaning here.
_CHARACTERS: Final = r'"((?:[ !#-\[\]-~]|\\["\\])*+)"'
_PARAMETER: Final = r"; *+[a-z*][a-z0-9_\-.*]*+(?:=[^\",; ]++)?"
_MEMBER: Final = re.compile(rf"{_CHARACTERS}(?>(?:{_PARAMETER})*)[ \t]*+(?:,[ \t]*+(?=\")|\Z)")

_Metadata = Iterable[tuple[str, str | bytes]]


class PurgeBy(StrEnum):
    """The property that the stored replies to drop have in common."""

    METHOD = "method"
    PATH = "path"
    TAG = "tag"
    PRINCIPAL = "principal"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Purge:
    """The stored replies that an operator drops."""

    by: PurgeBy
    value: str = ""
    """The method's full name, the path, the tag or the principal's name; empty for all."""
    soft: bool = False
    """True to make them stale instead: they may still be sent as the policy says for stale ones."""


def tags_of_reply(metadata: _Metadata) -> frozenset[str]:
    """Returns the tags that a back end gives a reply."""
    found = list(_groups(metadata, GROUPS))
    for name, value in metadata:
        if name == KEYS and isinstance(value, str):
            found += value.split()
    return frozenset(found)


def dropped_tags(metadata: _Metadata) -> frozenset[str]:
    """Returns the tags that a back end declares outdated with the reply to a change."""
    return frozenset(_groups(metadata, DROPPED_GROUPS))


def are_few_and_short(tags: frozenset[str]) -> bool:
    """True if a reply with these tags may be stored: they are in memory with it."""
    return len(tags) <= _MOST_TAGS and all(len(tag.encode()) <= _LONGEST for tag in tags)


def _groups(metadata: _Metadata, wanted: str) -> list[str]:
    """Parses a list of strings; a malformed one counts as absent (RFC 9651 section 4.2)."""
    texts = [value for name, value in metadata if name == wanted and isinstance(value, str)]
    text = ", ".join(texts).strip(" \t")
    found: list[str] = []
    at = 0
    while at < len(text):
        member = _MEMBER.match(text, at)
        if member is None or len(text) > _LONGEST_FIELD:
            return []
        found.append(re.sub(r"\\(.)", r"\1", member[1]))
        at = member.end()
    return found
