"""Finds the binding of an HTTP method and a raw path, in an immutable trie made by a builder.

Precedence does not depend on load order. First, a path that ends in a verb of some template is read
with the verb, then with the colon as data. Then, segment by segment from the left, a literal wins
over `*` and `*` over `**`; after `**`, more segments win over fewer. If settings put routes into
tiers, an earlier tier wins among templates that have literals in the same places before any `**`,
because such templates differ only in wildcards. Last, on one path an exact HTTP method wins over
the custom kind `*`, and HEAD without its own binding is served as GET. The search continues until a
binding fits completely, including the HTTP method, so a more specific path never hides a less
specific one that can serve the request.

No wildcard matches an empty segment, not even `**`: `/v1/` is not found, unless the options say
that slashes at the end have no meaning; `/` has no segments.

A node is visited at most once for each length that a `**` can leave to the segments after it, so
the number of nodes limits the cost of a search, for any path.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from mypy_extensions import mypyc_attr

from gateway.status import StatusError
from gateway.transcoding.routing.captures import Decode, compile_captures
from gateway.transcoding.routing.differences import no_match, path_difference
from gateway.transcoding.routing.path_options import PathOptions
from gateway.transcoding.routing.percent import (
    decode,
    decode_keeping_slashes,
    decode_segments,
    with_slashes,
)
from gateway.transcoding.routing.template import Segment, Template
from gateway.transcoding.routing.trie import (
    Entry,
    Leaf,
    Methods,
    Node,
    grow_leaf,
)

T = TypeVar("T")
ANY_METHOD: Final = "*"


@mypyc_attr(free_list_len=1)  # mypyc takes no generic class as acyclic
class Match(Generic[T]):
    """The target that serves a request, and the decoded values of its template's variables."""

    __slots__ = ("captures", "target")

    def __init__(self, target: T, captures: tuple[str, ...]) -> None:
        self.target = target
        self.captures = captures

    def __repr__(self) -> str:
        return f"Match({self.target!r}, {self.captures!r})"


class Conflict(NamedTuple, Generic[T]):
    """Two targets on one route: `first` serves it, `second` does not."""

    http_method: str
    template: Template
    first: T
    second: T
    is_preferred: bool
    """True if `first` serves the route because its tier is earlier."""


class RouterBuilder(Generic[T]):
    """Collects routes; `build` makes the router.

    If several targets have one route, the one of the earliest tier serves it; within a tier the
    first, or with `last_wins` the last. `decode_many` decodes variables of several segments.
    """

    def __init__(
        self, *, last_wins: bool = False, decode_many: Decode = decode_keeping_slashes
    ) -> None:
        self._last_wins = last_wins
        self._decode_many = decode_many
        # The key has no variables: their names do not make two routes different.
        self._claims: dict[tuple[str, tuple[Segment, ...], str], list[Entry[T]]] = {}

    def add(
        self,
        http_method: str,
        template: Template,
        target: T,
        *,
        fully_decode: bool = False,
        tier: int = 0,
    ) -> None:
        """Adds a target on a route; several targets on the same route are conflicts."""
        captures = compile_captures(template, self._decode_many, fully_decode=fully_decode)
        entry = Entry(template, target, http_method, captures, tier)
        self._claims.setdefault((http_method, template.segments, template.verb), []).append(entry)

    @property
    def conflicts(self) -> list[Conflict[T]]:
        """The targets that do not serve their route, each with the one that does."""
        found: list[Conflict[T]] = []
        for claims in self._claims.values():
            winner = self._winner(claims)
            found += [
                Conflict(
                    entry.http_method,
                    entry.template,
                    winner.target,
                    entry.target,
                    is_preferred=winner.tier < entry.tier,
                )
                for entry in claims
                if entry is not winner
            ]
        return found

    def _winner(self, claims: Sequence[Entry[T]]) -> Entry[T]:
        tier = min([entry.tier for entry in claims])
        best = [entry for entry in claims if entry.tier == tier]
        return best[-1] if self._last_wins else best[0]

    def build(self, options: PathOptions | None = None) -> "Router[T]":
        """Builds the router of all routes added so far; later ones do not change it."""
        entries = [self._winner(claims) for claims in self._claims.values()]
        root: Node[T] = Node()
        leaves = [grow_leaf(root, entry.template) for entry in entries]
        for methods, entry in zip(leaves, entries, strict=True):
            methods[entry.http_method] = entry
        for methods in leaves:
            if "GET" in methods:
                # RFC 9110 section 9.3.2: HEAD is GET without the content.
                methods.setdefault("HEAD", methods["GET"])
        return Router(root, entries, options or PathOptions())


class Router(Generic[T]):
    """Finds the target that serves an HTTP method on a raw path (without query)."""

    def __init__(self, root: Node[T], entries: Sequence[Entry[T]], options: PathOptions) -> None:
        self._entries = entries
        self.targets: Sequence[T] = [entry.target for entry in entries]
        """The targets that serve a route, in the order in which they were added."""
        self._verbs = frozenset(e.template.verb for e in entries if e.template.verb)
        self._options = options
        # Add a node for the empty first segment of a path, to avoid slicing it off.
        self._start: Node[T] = Node()
        self._start.literals[""] = root
        self._has_tiers = len({entry.tier for entry in entries}) > 1
        # With tiers, the first match of the fast search below may not be the right one; nor may it
        # if an unknown verb is no data.
        self._is_fast = not (self._has_tiers or options.every_verb)

    def match(self, http_method: str, path: str) -> Match[T]:
        """Finds the most specific target for `http_method` on `path`.

        Raises:
            StatusError: NOT_FOUND; or UNIMPLEMENTED with HTTP status 405 and an `Allow` header
                if only the HTTP method is wrong, unless the options give another status; or
                INVALID_ARGUMENT for a path that cannot be decoded.
        """
        match = self.find(http_method, path)
        if match is None:
            raise no_match(http_method, path)
        return match

    def find(self, http_method: str, path: str) -> Match[T] | None:
        """Does the work of `match`; returns None for most paths that no template fits.

        A refusal costs half as much if it is raised only where it is handled.

        Raises:
            StatusError: as `match`.
        """
        # Serve the usual path, plain and with one way through the trie, without checks and search.
        if _is_plain(path):
            segments = path.split("/")
            verb = ""
            # True while it is certain that a search would find nothing either. It reads a last
            # segment in several ways, and refuses paths that do not begin with a slash.
            is_all = not segments[0] and bool(segments[-1])
            if ":" in segments[-1]:
                is_all = False
                last, _, verb = segments[-1].rpartition(":")
                verb = verb if verb in self._verbs else ""
                segments[-1] = last if verb else segments[-1]
            node = self._start
            for segment in segments:
                child = node.literals.get(segment) if node.literals else None
                if node.deep is not None or (child is not None and node.wildcard is not None):
                    is_all = False  # there is another way
                if child is None and segment:  # no wildcard matches an empty one
                    child = node.wildcard
                if child is None:
                    break
                node = child
            else:
                methods = node.leaves.get(verb)
                if methods is not None and segments[-1] and self._is_fast:
                    entry = methods.get(http_method) or methods.get(ANY_METHOD)
                    if entry is not None:
                        if entry.end:  # one variable, as most have
                            text = "/".join(segments[entry.start : entry.end])
                            return Match(entry.target, (text,))
                        return Match(entry.target, entry.plain(segments))
                is_all = is_all and node.deep is None and not node.leaves
            if is_all:
                return None
        return self._search(http_method, path)

    def allowed_methods(self, path: str) -> tuple[str, ...]:
        """Returns the HTTP methods that are served on `path`, sorted; empty if there are none.

        GET adds HEAD, and any method adds OPTIONS. `*` is the custom kind that serves all methods.

        Raises:
            StatusError: INVALID_ARGUMENT for a path that cannot be decoded.
        """
        return _allowed([methods for methods, _ in self._leaves(path)])

    def preferred(self, path: str, is_wanted: Callable[[T], bool]) -> Match[T] | None:
        """Returns the first target on `path` that is wanted, of GET first, then of any method.

        If none is wanted, it is the first of all; None if no HTTP method is served there.

        Raises:
            StatusError: INVALID_ARGUMENT for a path that cannot be decoded.
        """
        found = self._leaves(path)
        served: set[str] = set()
        for methods, _ in found:
            served.update(methods)
        first: tuple[Entry[T], list[str]] | None = None
        for http_method in ["GET", *sorted(served - {"GET", "HEAD", "OPTIONS"})]:
            for methods, segments in found:
                entry = methods.get(http_method) or methods.get(ANY_METHOD)
                if entry is not None:
                    if is_wanted(entry.target):
                        return _matched(entry, segments)
                    first = first or (entry, segments)
                    break
        return None if first is None else _matched(*first)

    def explain(self, http_method: str, path: str) -> list[tuple[T, str]]:
        """Returns for each target `matches`, or the reason why it does not serve this request."""
        if self._options.splits_escaped:
            path = with_slashes(path)
        try:
            found = [methods for methods, _ in self._leaves(path)]
        except StatusError as error:
            return [(entry.target, error.message) for entry in self._entries]
        serving = [methods.get(http_method) or methods.get(ANY_METHOD) for methods in found]
        winner = next(filter(None, serving), None)
        fitting = {entry for methods in found for entry in methods.values()}
        verb = self._verb_of(path.rpartition("/")[2]) if self._options.keeps_verbs else ""

        def reason(entry: Entry[T]) -> str:
            if entry is winner:
                return "matches"
            if verb and not entry.template.verb:
                return f"the path ends in :{verb}, which is no data by routing.verbs"
            if entry not in fitting:
                return path_difference(entry.template, self._trimmed(path))
            if entry.http_method in (http_method, ANY_METHOD):
                return "a more specific binding matches"
            return f"the path fits, but it serves {entry.http_method}"

        return [(entry.target, reason(entry)) for entry in self._entries]

    def _search(self, http_method: str, path: str) -> Match[T]:
        missed: list[Methods[T]] = []
        found: tuple[Entry[T], list[str]] | None = None
        for methods, segments in self._leaves(path):
            entry = methods.get(http_method) or methods.get(ANY_METHOD)
            if entry is None:
                missed.append(methods)
            elif not self._has_tiers:
                return _matched(entry, segments)
            elif found is None or _comes_before(entry, found[0]):
                found = (entry, segments)
        if found is None:
            raise no_match(http_method, path, _allowed(missed), self._options.wrong_method_status)
        return _matched(*found)

    def _leaves(self, path: str) -> "list[Leaf[T]]":
        """Returns each leaf that `path` reaches, the most specific first, with the raw segments.

        Leaves reached with a verb come before the others.
        """
        whole = with_slashes(path) if self._options.splits_escaped else path
        trimmed = self._trimmed(whole) if whole.endswith("/") else whole
        raw = trimmed.split("/")
        is_plain = path.startswith("/") and _is_plain(whole)
        texts = raw if is_plain else decode_segments(raw, allow_nul=self._options.allow_nul)
        if not path.startswith("/"):
            return []
        # A path that ends in a slash ends in no verb.
        verb = self._verb_of(raw[-1]) if len(trimmed) == len(whole) else ""
        if not verb:
            return self._walk(raw, texts, "")
        last = raw[-1].rpartition(":")[0]
        text = last if is_plain else decode_segments([last], allow_nul=self._options.allow_nul)[0]
        with_verb = self._walk([*raw[:-1], last], [*texts[:-1], text], verb)
        if self._options.keeps_verbs:
            return with_verb
        return with_verb + self._walk(raw, texts, "")

    def _verb_of(self, raw: str) -> str:
        """The verb at the end of a raw last segment, or nothing.

        The colon is searched in the raw path: `%3A` is data (http.proto, path template syntax).
        """
        _, colon, suffix = raw.rpartition(":")
        verb = suffix if colon else ""
        if "%" in verb:
            verb = decode(verb, "path")
        return verb if verb in self._verbs or self._options.every_verb else ""

    def _trimmed(self, path: str) -> str:
        return path.rstrip("/") or "/" if self._options.trims_slashes else path

    def _walk(self, raw: list[str], texts: list[str], verb: str) -> "list[Leaf[T]]":
        """Returns each leaf that `texts`, decoded from `raw`, lead to; the most specific first."""
        found: list[Leaf[T]] = []
        if texts == ["", ""]:  # the path `/` has no segments
            raw = texts = [""]
        if "" in texts[1:]:  # no wildcard matches an empty segment
            return found
        stack = [(self._start, 0)]
        while stack:
            node, at = stack.pop()
            if at == len(texts) and verb in node.leaves:
                found.append((node.leaves[verb], raw))
            # Push the most specific child last: it is searched first.
            if node.deep is not None:
                ends = [len(texts) - tail for tail in node.deep.tails]
                stack += [(node.deep, end) for end in ends if end >= at]
            if at < len(texts):
                if node.wildcard is not None:
                    stack.append((node.wildcard, at + 1))
                child = node.literals.get(texts[at])
                if child is not None:
                    stack.append((child, at + 1))
        return found


def _is_plain(path: str) -> bool:
    """True if an absolute path certainly has no escapes, and no segment that is refused."""
    if "%" in path or "\0" in path or not path.isascii():
        return False
    return "." not in path or "/." not in path  # for one character, a search takes a third


def _matched(entry: Entry[T], segments: list[str]) -> Match[T]:
    """Makes the match of a route with the raw segments that have led to it."""
    if entry.end:  # one variable, as most have
        text = "/".join(segments[entry.start : entry.end])
        if "%" not in text:
            return Match(entry.target, (text,))
    return Match(entry.target, entry.captures(segments))


def _comes_before(entry: Entry[T], found: Entry[T]) -> bool:
    """True if `entry` has precedence over `found`, which the search reached earlier."""
    return entry.template.verb == found.template.verb and entry.order < found.order


def _allowed(leaves: Sequence[Methods[T]]) -> tuple[str, ...]:
    allowed = {http_method for methods in leaves for http_method in methods}
    return tuple(sorted({*allowed, "OPTIONS"})) if allowed else ()
