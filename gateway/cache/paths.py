"""Paths of URLs, by which a successful change drops the replies that it changed.

Source: RFC 9111 section 4.4 (invalidation), and the parent collection of a resource (AIP-122).
"""

from collections.abc import Collection, Iterable
from urllib.parse import unquote, urlsplit


def normal_path(raw: str) -> str:
    """Spells a path in one way: without percent-encoding and without a slash at its end.

    Two paths that capture the same values become equal; a slash within a value stays encoded.
    """
    if "%" in raw:
        raw = "/".join([unquote(one).replace("/", "%2F") for one in raw.split("/")])
    return raw.rstrip("/")


def changed_paths(
    raw: str,
    metadata: Iterable[tuple[str, str | bytes]],
    host: str,
    *,
    with_parent: bool = True,
) -> Collection[str]:
    """Returns the paths whose replies a successful change of `raw` may have changed.

    These are the resource, with and without the verb of a custom method (AIP-136); its parent, if
    `with_parent`; and what `location` and `content-location` of the reply name on this `host`.
    """
    plain = raw.rstrip("/")
    start, _, last = plain.rpartition("/")
    paths = {normal_path(plain)}
    if with_parent:
        paths.add(normal_path(start))
    if ":" in last:
        paths.add(normal_path(f"{start}/{last.rpartition(':')[0]}"))
    for name, value in metadata:
        if name in ("location", "content-location") and isinstance(value, str):
            named = _own_path(value, host)
            if named:
                paths.add(normal_path(named))
    return paths - {""}


def _own_path(url: str, host: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    is_own = not parts.netloc or parts.netloc.lower() == host.lower()
    return parts.path if is_own and parts.path.startswith("/") else ""


class KeyIndex:
    """The keys of calls by names that they have: their paths, or their tags."""

    def __init__(self) -> None:
        self._keys: dict[str, set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, name: str, key: bytes) -> None:
        """Adds a key to a name."""
        self._keys.setdefault(name, set()).add(key)

    def discard(self, names: Collection[str], key: bytes) -> None:
        """Removes a key from its names."""
        for name in names:
            keys = self._keys.get(name)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._keys[name]

    def keys(self, names: Collection[str]) -> Collection[bytes]:
        """Returns the keys of any of these names, in a new set."""
        none: set[bytes] = set()
        return none.union(*[self._keys.get(name, none) for name in names])
