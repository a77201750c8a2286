"""The rules by which changes of an API are judged, and what they find.

The rules have the sense, and where possible the ids, of oasdiff's checks of OpenAPI documents.
AIP-180 ("Backwards compatibility") decides where tools differ: a new value of an enum in replies
is a warning, because clients must expect values that they do not know.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Level(StrEnum):
    """The severity of a change for clients that were written for the old API."""

    BREAKING = "breaking"
    WARNING = "warning"
    COMPATIBLE = "compatible"


class Finding(NamedTuple):
    """One change."""

    level: Level
    rule: str
    """The id of the rule, a key of `RULES`."""
    element: str
    """The full name in the protos of what has changed, to find its place; empty if unknown."""
    text: str
    """The change, in one line."""
    why: str
    """The reason for the level, in one line."""


_SENT = "clients still send it, and it is refused or has no effect"
_MISSED = "clients that read it no longer find it"
_REFUSED = "requests that were accepted are refused"
_UNEXPECTED = "clients receive values that they were not written for"
_NOT_FOUND = "requests to it are answered with 404 or 405"
_LARGER = "every request of before is still accepted"
_SMALLER = "every reply is one that clients can read"
_UNUSED = "clients that do not know it are not affected"

_BREAKING: Final = {
    "path-removed": _NOT_FOUND,
    "method-removed": _NOT_FOUND,
    "alternative-removed": _NOT_FOUND,
    "path-parameter-narrowed": "values with `/` no longer match",
    "request-parameter-removed": _SENT,
    "request-parameter-required-added": "requests without it are refused",
    "request-parameter-became-required": "requests without it are refused",
    "request-body-added-required": "requests without a body are refused",
    "request-body-became-required": "requests without a body are refused",
    "request-body-removed": _SENT,
    "request-stream-changed": "one message and a stream of messages are different bodies",
    "request-media-type-removed": "requests of this media type get 415",
    "request-type-changed": "values of the old type are refused or understood otherwise",
    "request-property-removed": _SENT,
    "request-property-renamed": _SENT,
    "request-property-required-added": "requests without it are refused",
    "request-property-became-required": "requests without it are refused",
    "request-enum-value-removed": _REFUSED,
    "request-constraint-tightened": _REFUSED,
    "request-property-became-read-only": _SENT,
    "request-properties-became-exclusive": "requests with more than one of them are refused",
    "request-choice-became-required": "requests with none of them are refused",
    "request-unknown-fields-refused": "requests with other fields are refused",
    "response-stream-changed": "one message and a stream of messages are different bodies",
    "response-media-type-removed": "clients that ask for it, or read it, no longer get it",
    "response-type-changed": "clients cannot read the new values",
    "response-property-removed": _MISSED,
    "response-property-renamed": _MISSED,
    "response-property-became-optional": "it can be missing where it was always there",
    "response-property-became-write-only": _MISSED,
    "response-status-removed": "clients that wait for this status no longer get it",
    "response-constraint-loosened": _UNEXPECTED,
    "property-number-changed": "clients that use Protobuf read and write another field",
    "property-encoding-changed": "clients that use Protobuf cannot read it, nor send it",
    "enum-number-changed": "clients that use Protobuf, or numbers, read and send another value",
    "error-shape-changed": "clients cannot read errors",
    "credential-required": "callers without a credential get 401",
    "credential-form-changed": "clients send it in another way, and get 401",
    "credential-kind-removed": "callers with this kind of credential get 401",
    "credential-issuer-changed": "callers with tokens of the old issuer get 401",
    "scope-added": "callers without the scope get 403",
    "websocket-removed": "clients can no longer connect with a WebSocket",
}
_WARNING: Final = {
    "response-enum-value-added": "clients must expect values that they do not know (AIP-180)",
    "default-changed": "requests without the field have another effect",
    "response-header-removed": "clients that use it no longer get it",
    "credential-address-changed": "clients ask for tokens at the old address",
    "path-hidden": "requests with this value reach another route than before",
    "operation-replaced": "the route calls another method, and generated clients rename theirs",
    "rate-limit-lowered": "callers can get 429 where they did not",
    "timeout-lowered": "slow calls can get 504 where they did not",
}
_COMPATIBLE: Final = {
    "path-added": _UNUSED,
    "method-added": _UNUSED,
    "alternative-added": _UNUSED,
    "path-parameter-widened": _LARGER,
    "path-parameter-renamed": "paths are the same; generated clients may name it otherwise",
    "request-parameter-added": _UNUSED,
    "request-parameter-became-optional": _LARGER,
    "request-body-added": _UNUSED,
    "request-body-became-optional": _LARGER,
    "request-media-type-added": _UNUSED,
    "request-type-widened": _LARGER,
    "request-property-added": _UNUSED,
    "request-property-became-optional": _LARGER,
    "request-enum-value-added": _LARGER,
    "request-constraint-loosened": _LARGER,
    "request-unknown-fields-allowed": _LARGER,
    "request-property-became-writable": _LARGER,
    "response-property-became-readable": _UNUSED,
    "response-media-type-added": _UNUSED,
    "response-type-narrowed": _SMALLER,
    "response-property-added": _UNUSED,
    "response-property-became-required": _SMALLER,
    "response-enum-value-removed": _SMALLER,
    "response-constraint-tightened": _SMALLER,
    "security-loosened": "callers of before are still admitted",
    "deprecated": "it still works",
    "websocket-added": _UNUSED,
    "rate-limit-raised": "callers may call more often",
    "timeout-raised": "calls may take longer",
}
RULES: Final[Mapping[str, tuple[Level, str]]] = {
    rule: (level, why)
    for level, rules in (
        (Level.BREAKING, _BREAKING),
        (Level.WARNING, _WARNING),
        (Level.COMPATIBLE, _COMPATIBLE),
    )
    for rule, why in rules.items()
}
"""The level of each rule, and the reason for it."""


class Spot(NamedTuple):
    """The part of an API that is compared."""

    element: str
    """Its full name in the protos, or that of what is nearest to it; empty if unknown."""
    subject: str
    """The part, in words."""
    context: str
    """The operation it belongs to, in words."""

    def __str__(self) -> str:
        return f"{self.subject} in {self.context}" if self.subject else self.context

    def within(self, subject: str) -> "Spot":
        """A part of this one that has no name of its own in the protos."""
        return self._replace(subject=f"{subject} of {self.subject}" if self.subject else subject)


class Findings:
    """Collects findings, each once, in the order in which they are found."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}

    def add(self, rule: str, spot: Spot, change: str) -> None:
        """Adds the change that `rule` has found at a spot."""
        level, why = RULES[rule]
        self._found[Finding(level, rule, spot.element, f"{spot}: {change}", why)] = None

    def has(self, rule: str, spot: Spot) -> bool:
        """True if `rule` has found a change at this spot."""
        return any(one.rule == rule and one.text.startswith(f"{spot}: ") for one in self._found)

    def sorted(self) -> list[Finding]:
        """All findings, the worst first."""
        order = list(Level)
        return sorted(self._found, key=lambda one: order.index(one.level))
