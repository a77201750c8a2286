"""The trie that a router searches: a node for each segment, and the routes that end there."""

from typing import Generic, TypeVar

from gateway.transcoding.routing.captures import Captures, only_span, plain_captures
from gateway.transcoding.routing.template import DeepWildcard, Literal, Template

T = TypeVar("T")


class Entry(Generic[T]):
    """A route: its target, and the readers of its variables."""

    __slots__ = (
        *("captures", "end", "http_method", "order", "plain", "start", "target", "template"),
        "tier",
    )

    def __init__(
        self, template: Template, target: T, http_method: str, captures: Captures, tier: int
    ) -> None:
        self.template = template
        self.target = target
        self.http_method = http_method
        self.tier = tier
        self.order = (_literal_places(template), tier)
        """Sorts before the order of the search: a smaller value comes first."""
        self.captures = captures
        self.start, self.end = only_span(template)
        """The segments that, joined, are all that is read; (0, 0) if there is not one variable.

        Most templates have one, which is read without a call then.
        """
        self.plain = plain_captures(template) or self.captures
        """The same as `captures`, for paths without escapes that were found without a `**`, if
        there is not one variable."""


Methods = dict[str, Entry[T]]
"""The routes of one path, by HTTP method."""
Leaf = tuple[Methods[T], list[str]]
"""The routes that a path reaches, and the raw segments from which their variables are read."""


class Node(Generic[T]):
    """A node of the trie: its children by segment, and the routes that end here."""

    __slots__ = ("deep", "leaves", "literals", "tails", "wildcard")

    def __init__(self) -> None:
        self.literals: dict[str, Node[T]] = {}
        self.wildcard: Node[T] | None = None
        self.deep: Node[T] | None = None
        self.tails: tuple[int, ...] = ()
        """On the node after a `**`: the possible numbers of segments after it, fewest first."""
        self.leaves: dict[str, Methods[T]] = {}
        """By verb; "" means no verb."""


def grow_leaf(root: Node[T], template: Template) -> Methods[T]:
    """Returns the leaf of `template` in the trie under `root`; creates it if necessary."""
    node = root
    for position, segment in enumerate(template.segments):
        if isinstance(segment, Literal):
            child = node.literals.get(segment.text)
            if child is None:
                child = node.literals[segment.text] = Node()
            node = child
        elif isinstance(segment, DeepWildcard):
            node.deep = node.deep or Node()
            node = node.deep
            node.tails = tuple(sorted({*node.tails, len(template.segments) - position - 1}))
        else:
            node.wildcard = node.wildcard or Node()
            node = node.wildcard
    return node.leaves.setdefault(template.verb, {})


def _literal_places(template: Template) -> str:
    """A sort key for the places of literals before any `**`: further left is smaller."""
    places = ["0" if isinstance(s, Literal) else "1" for s in template.segments[: template.deep_at]]
    return "".join(places).rstrip("1") + "2"
