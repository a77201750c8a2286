"""Hashes of many keys in little memory, to find those that may be there twice.

A key in a set takes a hundred bytes; here it takes four. Keys with one hash are most likely alike:
of a million different ones, two share theirs in about one of ten cases.
"""

from array import array
from collections import Counter
from typing import Final

_PARTS_BITS: Final = 10
"""The bits of a hash that say in which part it is kept, so that each part is a small set later."""
_KEPT_BITS: Final = 32
_KEPT: Final = (1 << _KEPT_BITS) - 1
_ALL: Final = (1 << (_PARTS_BITS + _KEPT_BITS)) - 1


def short_hash(key: object) -> int:
    """Returns the hash of a key. It depends on a secret of the process: none can be chosen."""
    return hash(key) & _ALL


class Hashes:
    """The hashes of the keys of one object."""

    def __init__(self) -> None:
        self._parts = [array("I") for _ in range(1 << _PARTS_BITS)]

    def add(self, key: object) -> None:
        """Adds the hash of a key."""
        found = short_hash(key)
        self._parts[found >> _KEPT_BITS].append(found & _KEPT)

    def repeated(self) -> set[int]:
        """Returns the hashes that were added more than once."""
        repeated: set[int] = set()
        for number, part in enumerate(self._parts):
            if len(set(part)) != len(part):
                twice = [found for found, times in Counter(part).items() if times > 1]
                repeated.update([number << _KEPT_BITS | found for found in twice])
        return repeated
