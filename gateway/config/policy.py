"""Settings of policies: what methods ask of their callers, beside what their protos say."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.config.sections import Seconds, Section, Selector, Words

Scope = Annotated[
    str,
    Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$"),
    Words("a scope: printable ASCII without blanks, quotes and backslashes", "books.read"),
]
"""RFC 6749 section 3.3."""


class ScopesRule(Section):
    """What a caller must have been granted."""

    any: tuple[Scope, ...] = ()
    """One of these is enough."""
    all: tuple[Scope, ...] = ()
    """Every one of these is needed."""


class RateLimitRule(Section):
    """How often callers may call."""

    limit: Annotated[int, Field(gt=0)]
    """How many calls, of cost 1, in a window."""
    window_s: Seconds = 1.0
    """The window."""
    by: Literal["principal", "credential", "address", "header", "method"] = "principal"
    """Whose calls are counted together: principal, credential, address, header, or method."""
    header: str = ""
    """The header to count by, for `by: header`."""
    algorithm: Literal["token_bucket", "sliding_window"] = "token_bucket"
    """token_bucket: `limit` at once, then evenly; sliding_window: `limit` in any window."""
    name: str = ""
    """Limits with one name share their counters; unset, each method has counters of its own."""

    @model_validator(mode="after")
    def _a_header_to_count_by(self) -> Self:
        if (self.by == "header") is not bool(self.header):
            raise ValueError("header and by: header come together: give both or neither")
        return self


class PolicyRule(Section):
    """What some methods ask of their callers; what it leaves out, others before it say."""

    selector: Selector
    """Its methods: a full name, `package.*`, `package.Service.*`, or `*`; the last rule counts."""
    anonymous: bool | None = None
    """Whether anyone may call, without showing who they are."""
    scopes: ScopesRule | None = None
    """What a caller must have been granted."""
    rate_limits: tuple[RateLimitRule, ...] | None = None
    """All of these hold at once; an empty list for none."""
    cost: Annotated[int, Field(gt=0)] | None = None
    """How much of its limits one call takes."""
    max_concurrent: Annotated[int, Field(gt=0)] | None = None
    """How many calls of a method one worker has under way at once."""
    timeout_s: Seconds | None = None
    """How long a call may take when the caller does not say, and at the most."""
    redact: tuple[str, ...] | None = None
    """Variables of the path that no log shows, by field path; `*` for all."""

    @model_validator(mode="after")
    def _nobody_has_scopes(self) -> Self:
        if self.anonymous and self.scopes is not None and (self.scopes.any or self.scopes.all):
            raise ValueError("anonymous and scopes exclude each other: who is nobody has none")
        return self
