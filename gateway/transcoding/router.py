"""Finds the binding for an HTTP method and a raw path: an immutable trie made by a builder.

Precedence does not depend on load order. From the left, segment by segment, a literal beats `*` and
`*` beats `**`; a declared verb beats reading its colon as data; on one path an exact HTTP method
beats the custom kind `*`. The search goes on until a binding fits in everything, the HTTP method
included, so a more specific path never hides a less specific one that would serve.

A node is visited at most once for each length a `**` can leave to the segments behind it, so the
cost of a search is bounded by the number of nodes, whatever the path.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gateway.status import Code, StatusError
from gateway.transcoding.percent import check_path, decode, decode_keeping_slashes
from gateway.transcoding.template import DeepWildcard, Literal, Template, Variable

T = TypeVar("T")
ANY_METHOD = "*"
_SHOWN_PATH = 200


class Match(Generic[T]):
    """The target that serves a request, and what its template's variables captured, decoded."""

    __slots__ = ("captures", "target")

    def __init__(self, target: T, captures: tuple[str, ...]) -> None:
        self.target = target
        self.captures = captures

    def __repr__(self) -> str:
        return f"Match({self.target!r}, {self.captures!r})"


@dataclass(frozen=True, slots=True)
class Conflict(Generic[T]):
    """Two targets on one route; the first serves it."""

    http_method: str
    template: Template
    first: T
    second: T


Captures = Callable[[list[str]], tuple[str, ...]]
"""Reads a template's variables from the raw segments, of which the first is the empty one."""


@dataclass(slots=True)
class _Entry(Generic[T]):
    template: Template
    target: T
    http_method: str
    captures: Captures


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: dict[str, "_Node[T]"] = field(default_factory=dict)
    wildcard: "_Node[T] | None" = None
    deep: "_Node[T] | None" = None
    tails: list[int] = field(default_factory=list)
    """On the node behind a `**`: how many segments may follow it, most first."""
    leaves: dict[str, dict[str, _Entry[T]]] = field(default_factory=dict)
    """By verb, then HTTP method."""


class RouterBuilder(Generic[T]):
    """Collects routes; `build` makes the router."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._entries: list[_Entry[T]] = []
        self.conflicts: list[Conflict[T]] = []

    def add(
        self, http_method: str, template: Template, target: T, *, fully_decode: bool = False
    ) -> None:
        """Adds a route; one that is taken stays with its first target and counts as a conflict."""
        methods = self._node(template).leaves.setdefault(template.verb, {})
        taken = methods.get(http_method)
        if taken is not None:
            self.conflicts.append(Conflict(http_method, template, taken.target, target))
            return
        captures = _compile_captures(template, fully_decode=fully_decode)
        entry = _Entry(template, target, http_method, captures)
        methods[http_method] = entry
        self._entries.append(entry)

    def build(self, *, allow_nul: bool = False) -> "Router[T]":
        """The router over all routes added so far."""
        return Router(self._root, self._entries, allow_nul=allow_nul)

    def _node(self, template: Template) -> _Node[T]:
        node = self._root
        for position, segment in enumerate(template.segments):
            if isinstance(segment, Literal):
                node = node.literals.setdefault(segment.text, _Node())
            elif isinstance(segment, DeepWildcard):
                node.deep = node.deep or _Node()
                node = node.deep
                tail = len(template.segments) - position - 1
                node.tails = sorted({*node.tails, tail}, reverse=True)
            else:
                node.wildcard = node.wildcard or _Node()
                node = node.wildcard
        return node


class Router(Generic[T]):
    """Answers which target serves an HTTP method on a raw path (no query)."""

    def __init__(
        self, root: _Node[T], entries: Sequence[_Entry[T]], *, allow_nul: bool = False
    ) -> None:
        self._root = root
        self._entries = entries
        self._verbs = frozenset(e.template.verb for e in entries if e.template.verb)
        self._allow_nul = allow_nul
        # A path starts with an empty segment; giving it a node saves cutting it off.
        self._start: _Node[T] = _Node(literals={"": root})

    def match(self, http_method: str, path: str) -> Match[T]:
        """The most specific target for `http_method` on `path`.

        Raises:
            StatusError: NOT_FOUND; or UNIMPLEMENTED with HTTP status 405 and an `Allow` header
                if only the HTTP method is wrong; or INVALID_ARGUMENT for a path that cannot be
                decoded.
        """
        # Saves the checks and the search for a path as most are: plain, with one way down.
        if "%" not in path and "/." not in path and "//" not in path and path.isascii():
            segments = path.split("/")
            verb = ""
            if ":" in segments[-1]:
                last, _, verb = segments[-1].rpartition(":")
                verb = verb if verb in self._verbs else ""
                segments[-1] = last if verb else segments[-1]
            node: _Node[T] | None = self._start
            for segment in segments:
                node = node.literals.get(segment) or node.wildcard  # type: ignore[union-attr]
                if node is None:
                    break
            else:
                methods = node.leaves.get(verb) if node is not None else None
                if methods is not None and segments[-1]:
                    entry = methods.get(http_method) or methods.get(ANY_METHOD)
                    if entry is not None:
                        return Match(entry.target, entry.captures(segments))
        return self._search(http_method, path)

    def allowed_methods(self, path: str) -> tuple[str, ...]:
        """The HTTP methods some binding serves on `path`, sorted; empty if none does.

        HEAD comes with GET, and OPTIONS with any. `*` stands for the custom kind that takes all.
        """
        allowed = {m for methods, _ in self._leaves(path) for m in methods}
        if not allowed:
            return ()
        return tuple(sorted(allowed | {"OPTIONS"} | ({"HEAD"} if "GET" in allowed else set())))

    def explain(self, http_method: str, path: str) -> list[tuple[T, str]]:
        """For each target: `matches`, or why it does not serve this request."""
        try:
            winner = self.match(http_method, path).target
        except StatusError:
            winner = None
        return [
            (
                entry.target,
                "matches" if entry.target is winner else self._why(entry, http_method, path),
            )
            for entry in self._entries
        ]

    def _search(self, http_method: str, path: str) -> Match[T]:
        check_path(path, allow_nul=self._allow_nul)
        for methods, segments in self._leaves(path):
            entry = methods.get(http_method)
            if entry is None and http_method == "HEAD":
                entry = methods.get("GET")
            entry = entry or methods.get(ANY_METHOD)
            if entry is not None:
                return Match(entry.target, entry.captures(["", *segments]))
        raise self._no_match(http_method, path)

    def _no_match(self, http_method: str, path: str) -> StatusError:
        shown = path if len(path) <= _SHOWN_PATH else f"{path[:_SHOWN_PATH]}..."
        allowed = ", ".join(self.allowed_methods(path))
        if not allowed:
            return StatusError(Code.NOT_FOUND, f"no route for {http_method} {shown}")
        return StatusError(
            Code.UNIMPLEMENTED,
            f"{http_method} is not served on {shown}; it allows {allowed}",
            http_status=405,
            headers=[("Allow", allowed)],
        )

    def _leaves(self, path: str) -> Iterator[tuple[dict[str, _Entry[T]], list[str]]]:
        """Each leaf that `path` reaches, the most specific first, with the raw segments."""
        segments = [] if path == "/" else path.split("/")[1:]
        if not path.startswith("/") or "" in segments:
            return  # an empty segment is no segment: no wildcard takes it
        last, colon, verb = segments[-1].rpartition(":") if segments else ("", "", "")
        if colon and last and verb in self._verbs:
            yield from self._walk([*segments[:-1], last], verb)
        yield from self._walk(segments, "")

    def _walk(self, raw: list[str], verb: str) -> Iterator[tuple[dict[str, _Entry[T]], list[str]]]:
        texts = [decode(segment, "path") for segment in raw]
        for node in _descend(self._root, texts, 0):
            methods = node.leaves.get(verb)
            if methods is not None:
                yield methods, raw

    def _why(self, entry: _Entry[T], http_method: str, path: str) -> str:
        fits = any(entry in methods.values() for methods, _ in self._leaves(path))
        if fits and entry.http_method in (http_method, ANY_METHOD):
            return "a more specific binding matches"
        if fits:
            return f"the path fits, but it serves {entry.http_method}"
        return _path_difference(entry.template, path)


def _descend(node: _Node[T], texts: list[str], at: int) -> Iterator[_Node[T]]:
    """Every node that the segments from `at` on lead to, the most specific first."""
    if at == len(texts):
        yield node
    else:
        child = node.literals.get(texts[at])
        if child is not None:
            yield from _descend(child, texts, at + 1)
        if node.wildcard is not None:
            yield from _descend(node.wildcard, texts, at + 1)
    if node.deep is not None:
        for tail in node.deep.tails:
            if len(texts) - tail >= at:
                yield from _descend(node.deep, texts, len(texts) - tail)


def _compile_captures(template: Template, *, fully_decode: bool) -> Captures:
    readers = [
        _compile_variable(template, variable, fully_decode=fully_decode)
        for variable in template.variables
    ]
    if not readers:
        return lambda _segments: ()
    if len(readers) == 1:
        only = readers[0]
        return lambda segments: (only(segments),)
    return lambda segments: tuple([read(segments) for read in readers])


def _compile_variable(
    template: Template, variable: Variable, *, fully_decode: bool
) -> Callable[[list[str]], str]:
    name = variable.field_path
    start, end = variable.start + 1, variable.end + 1
    deep = template.deep_at
    after_deep = deep is not None and variable.start > deep
    over_deep = deep is not None and variable.start <= deep < variable.end
    size = len(template.segments) + 1

    def bounds(segments: list[str]) -> tuple[int, int]:
        grown = len(segments) - size
        return start + (grown if after_deep else 0), end + (grown if after_deep or over_deep else 0)

    def read_one(segments: list[str]) -> str:
        return decode(segments[bounds(segments)[0] if after_deep else start], name)

    def read_many(segments: list[str]) -> str:
        first, last = bounds(segments) if deep is not None else (start, end)
        return decode_keeping_slashes("/".join(segments[first:last]), name)

    def read_fully(segments: list[str]) -> str:
        # http.proto, Http.fully_decode_reserved_expansion: `%2F` stays only where `*` matched it.
        first, last = bounds(segments)
        inside = range(deep + 1, deep + 2 + len(segments) - size) if deep is not None else range(0)
        return "/".join(
            (decode if i in inside else decode_keeping_slashes)(segments[i], name)
            for i in range(first, last)
        )

    if not variable.many_segments:
        return read_one
    return read_fully if fully_decode else read_many


def _path_difference(template: Template, path: str) -> str:
    """The first thing in which `path` is not as `template` wants it."""
    segments = path.split("/")[1:]
    if template.verb:
        last, _, verb = segments[-1].rpartition(":")
        if verb != template.verb or not last:
            return f"the path does not end in :{template.verb}"
        segments = [*segments[:-1], last]
    for number, (segment, text) in enumerate(zip(template.segments, segments, strict=False), 1):
        if isinstance(segment, DeepWildcard):
            return "the segments behind ** differ"
        if isinstance(segment, Literal) and segment.text != text:
            return f"segment {number} is {text!r} and not {segment.text!r}"
    wanted = len(template.segments)
    return f"the path has {len(segments)} segments and not {wanted}"
