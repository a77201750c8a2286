"""Settings of policies: the conditions under which the methods may be called.

`PolicyRule` is also the form in which the options of the protos are read (`gateway.policy`), so
both are validated by the same rules, in the same words.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from gateway.config.cache import CacheRule
from gateway.config.grammar import SCOPE, is_token
from gateway.config.idempotency import IdempotencyRule
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
    """The number of calls, of cost 1, in one window."""
    window_s: Seconds = 1.0
    """The length of the window."""
    by: CountBy = CountBy.PRINCIPAL
    """Calls are counted by principal, credential, address, header, or method."""
    header: Annotated[str, AfterValidator(str.lower), Field(validate_default=True)] = ""
    """The header to count by, for `by: header`."""
    algorithm: LimitAlgorithm = LimitAlgorithm.TOKEN_BUCKET
    """token_bucket: `limit` calls at once, then evenly; sliding_window: `limit` in any window."""
    name: str = ""
    """Limits with the same name share their counters; if unset, each method has its own."""

    @field_validator("header")
    @classmethod
    def _header_to_count_by(cls, header: str, info: ValidationInfo) -> str:
        by = info.data.get("by")  # None if `by` itself was rejected
        if by is CountBy.HEADER and not is_token(header):
            raise ValueError("expected the name of the header to count by, such as X-Tenant")
        if by is not None and by is not CountBy.HEADER and header:
            raise ValueError("applies only if by is HEADER (in settings: by: header)")
        return header


class PolicyRule(Section):
    """The policy of some methods; a key that it omits is set by the rules before it."""

    selector: Selector
    """Its methods: a full name, `package.*`, `package.Service.*`, or `*`; the last rule wins."""
    anonymous: bool | None = None
    """True if callers need no credential."""
    scopes: ScopesRule | None = None
    """The scopes that a caller must have been granted."""
    rate_limits: tuple[RateLimit, ...] | None = None
    """All of these apply at once; an empty list for none."""
    cost: Annotated[int, Field(gt=0)] | None = None
    """The amount that one call takes from each limit."""
    max_concurrent: Annotated[int, Field(gt=0)] | None = None
    """The maximum number of concurrent calls of a method in one worker."""
    timeout_s: Seconds | None = None
    """The time limit of a call: the default, and the maximum that a caller can set."""
    redact: tuple[str, ...] | None = None
    """Path variables that no log shows, by field path; `*` for all."""

    cache: CacheRule | None = None
    """The storage of replies in the gateway; unset, nothing is stored."""
    invalidates: tuple[str, ...] | None = None
    """The tags whose stored replies a successful call drops, with fields of the request:
    `book:{book.name}`; for methods with side effects."""
    etag: bool | None = None
    """Give responses to GETs an entity tag, and answer `If-None-Match` with 304 and `If-Match` with
    412. If unset, for methods with `cache`."""
    idempotency: IdempotencyRule | None = None
    """The `Idempotency-Key` of POST and PATCH requests; unset, it is ignored."""

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
