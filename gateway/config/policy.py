"""Settings of policies: the conditions under which the methods may be called.

`PolicyRule` is also the form in which the options of the protos are read (`gateway.policy`), so
both are validated by the same rules, in the same words.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from gateway.config.grammar import SCOPE, is_token
from gateway.config.sections import Seconds, Section, Selector, Words

Scope = Annotated[
    str,
    Field(pattern=rf"^{SCOPE}$"),
    Words("a scope: printable ASCII without blanks, quotes and backslashes", "books.read"),
]
"""RFC 6749 section 3.3."""


class CountBy(StrEnum):
    """The property by which calls are counted together."""

    PRINCIPAL = "principal"
    CREDENTIAL = "credential"
    ADDRESS = "address"
    HEADER = "header"
    METHOD = "method"


class LimitAlgorithm(StrEnum):
    """The way in which a limit fills again."""

    TOKEN_BUCKET = "token_bucket"  # noqa: S105 - an algorithm, no password
    SLIDING_WINDOW = "sliding_window"


class ScopesRule(Section):
    """The scopes that a caller must have been granted."""

    any: tuple[Scope, ...] = ()
    """One of these is enough."""
    all: tuple[Scope, ...] = ()
    """Every one of these is needed."""


class RateLimit(Section):
    """A limit of `limit` calls, of cost 1, in `window_s` seconds."""

    limit: Annotated[int, Field(gt=0)]
    """How many calls, of cost 1, in a window."""
    window_s: Seconds = 1.0
    """The window."""
    by: CountBy = CountBy.PRINCIPAL
    """Whose calls are counted together: principal, credential, address, header, or method."""
    header: Annotated[str, AfterValidator(str.lower), Field(validate_default=True)] = ""
    """The header to count by, for `by: header`."""
    algorithm: LimitAlgorithm = LimitAlgorithm.TOKEN_BUCKET
    """token_bucket: `limit` at once, then evenly; sliding_window: `limit` in any window."""
    name: str = ""
    """Limits with one name share their counters; unset, each method has counters of its own."""

    @field_validator("header")
    @classmethod
    def _header_to_count_by(cls, header: str, info: ValidationInfo) -> str:
        by = info.data.get("by")  # none if it was refused itself
        if by is CountBy.HEADER and not is_token(header):
            raise ValueError("expected the name of the header to count by, such as X-Tenant")
        if by is not None and by is not CountBy.HEADER and header:
            raise ValueError("is of no use unless by is HEADER (in settings: by: header)")
        return header


class PolicyRule(Section):
    """A policy of some methods; the rules before it decide where it leaves a key out."""

    selector: Selector
    """Its methods: a full name, `package.*`, `package.Service.*`, or `*`; the last rule counts."""
    anonymous: bool | None = None
    """Whether anyone may call, without showing who they are."""
    scopes: ScopesRule | None = None
    """What a caller must have been granted."""
    rate_limits: tuple[RateLimit, ...] | None = None
    """All of these hold at once; an empty list for none."""
    cost: Annotated[int, Field(gt=0)] | None = None
    """How much of its limits one call takes."""
    max_concurrent: Annotated[int, Field(gt=0)] | None = None
    """How many calls of a method one worker has under way at once."""
    timeout_s: Seconds | None = None
    """How long a call may take when the caller does not say, and at the most."""
    redact: tuple[str, ...] | None = None
    """Variables of the path that no log shows, by field path; `*` for all."""

    @property
    def asks_for_scopes(self) -> bool:
        """True if callers need at least one scope."""
        return self.scopes is not None and bool(self.scopes.any or self.scopes.all)

    @model_validator(mode="after")
    def _anonymous_or_scopes(self) -> Self:
        if self.anonymous and self.asks_for_scopes:
            raise ValueError(
                "anonymous and scopes exclude each other: an anonymous caller has no scopes"
            )
        return self
