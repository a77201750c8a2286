"""Finds keys that an object has twice.

Of an object that is read piece by piece, only the first keys are kept; of the others, a hash is,
from which it follows in the end whether two may be alike. Then the object is read once more, and
the keys of those hashes are compared.
"""

from typing import Final

from gateway.transcoding.json.hashes import Hashes, short_hash

_EXACT: Final = 1024
"""The number of keys from which on only hashes are kept."""


class Keys:
    """The keys of one object."""

    def __init__(self, *, bounded: bool = False, suspects: set[int] | None = None) -> None:
        """Keeps only hashes of many keys if `bounded`; or else the keys of these `suspects`."""
        self._seen: set[object] = set()
        self._bounded = bounded
        self._suspects = suspects
        self._hashes: Hashes | None = None

    def is_twice(self, key: object) -> bool:
        """Adds a key; true if it is there already, as far as that is known."""
        seen = self._seen
        if key in seen:
            return True
        if not self._bounded or len(seen) < _EXACT:
            seen.add(key)
        elif self._suspects is None:
            if self._hashes is None:
                self._hashes = Hashes()
            self._hashes.add(key)
        elif short_hash(key) in self._suspects:
            seen.add(key)
        return False

    def suspects(self) -> set[int]:
        """Returns the hashes that came more than once."""
        return set() if self._hashes is None else self._hashes.repeated()
