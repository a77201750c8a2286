"""Settings of idempotency keys: requests that clients may repeat without doing them twice."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.config.auth import StoreUrl
from gateway.config.rate_limits import OnStoreFailure
from gateway.config.sections import Bytes, LayeredRule, Seconds, Section


class KeyNeed(StrEnum):
    """The need of a request for a key."""

    OPTIONAL = "optional"
    REQUIRED = "required"


class OnUnknown(StrEnum):
    """The answer to a repeated request if the outcome of the first is not known."""

    REFUSE = "refuse"
    RETRY = "retry"


class IdempotencyRule(LayeredRule):
    """The `Idempotency-Key` of POST and PATCH requests; a key that it omits is set by earlier
    rules."""

    key: KeyNeed = KeyNeed.OPTIONAL
    """optional: requests without a key pass as if there were no rule; required: they get 400."""
    ttl_s: Seconds = 86400.0
    """The time for which a key is remembered, from its first request on."""
    lease_s: Seconds = 30.0
    """The time after which a key no longer counts as in progress if its worker has died. Workers
    that live renew it."""
    wait_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    """The longest wait of a repeated request for the end of the first; then it gets 409."""
    on_unknown: OnUnknown = OnUnknown.REFUSE
    """If nobody knows the outcome of the first request, because its connection, deadline or worker
    was lost: refuse answers repeated ones with 409, retry sends them to the back end. Methods with
    `idempotency_level = IDEMPOTENT` always retry."""
    backend_handles: bool = False
    """True if the back end itself does a request once for each `idempotency-key` in its metadata.
    Then the gateway repeats calls with a key as it does calls of methods that may be repeated
    (`upstreams.<name>.retries`), and also if their outcome is not known."""
    allow_anonymous: bool = False
    """Take keys from callers without a credential, who then share their keys."""
    docs_url: str = ""
    """A page about keys for developers of clients; refusals for a missing key link to it."""
    disabled: bool = False
    """True to ignore keys, although an earlier rule says otherwise."""

    @property
    def needs_key(self) -> bool:
        """True if a request without a key is refused."""
        return self.key is KeyNeed.REQUIRED

    @model_validator(mode="after")
    def _a_lease_fits(self) -> Self:
        if self.lease_s > self.ttl_s:
            raise ValueError("lease_s: expected at most ttl_s")
        if any(c in self.docs_url for c in ' <>"\\\r\n') or not self.docs_url.isascii():
            raise ValueError("docs_url: expected a URL such as https://example.com/keys")
        return self


class IdempotencyOptions(Section):
    """The memory of idempotency keys. The rules themselves are part of policies."""

    store: Annotated[StoreUrl | None, Field(repr=False)] = None
    """memory: or a redis URL as in `auth.store`; if unset, that store if it is a Redis, else
    memory:. Several workers need a Redis."""
    timeout_s: Seconds = 1.0
    """The time that a call waits for the store; after it the store has failed."""
    on_store_failure: OnStoreFailure = OnStoreFailure.CLOSED
    """While the store fails: closed answers calls that have a key with 503, open lets them through
    without any protection."""
    max_reply_bytes: Bytes = 1024 * 1024
    """The size limit of a kept reply. A repeated request whose reply was larger gets 409."""

    def store_url(self, shared: str | None) -> str:
        """Returns the URL of the store that keeps keys; `shared` is that of credentials.

        Claims need a store that knows them: SQLite and PostgreSQL do not.
        """
        is_able = shared is not None and shared.startswith(("redis", "unix:"))
        return self.store or (shared if shared and is_able else "memory:")

    @property
    def passes_on_failure(self) -> bool:
        """True if calls go on without protection while the store fails."""
        return self.on_store_failure is OnStoreFailure.OPEN
