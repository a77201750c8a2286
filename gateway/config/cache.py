"""Settings of the cache of calls."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from gateway.config.auth import StoreUrl
from gateway.config.grammar import SCOPE, is_token
from gateway.config.sections import Bytes, LayeredRule, Seconds, Section

# The gateway chooses the representation itself; the reply of a back end depends on neither.
_NOT_TO_VARY_BY = ("accept", "accept-encoding")


class CacheScope(StrEnum):
    """The callers who get one stored reply."""

    PRINCIPAL = "principal"
    SHARED = "shared"
    ANONYMOUS = "anonymous"


class NegativeRule(Section):
    """The failures that are stored like replies, and for how long they are fresh."""

    not_found_s: Seconds | None = None
    """The time for NOT_FOUND (404)."""
    unimplemented_s: Seconds | None = None
    """The time for UNIMPLEMENTED (501)."""
    out_of_range_s: Seconds | None = None
    """The time for OUT_OF_RANGE (400)."""


class CacheRule(LayeredRule):
    """The storage of the replies of some methods; a key that it omits is set by earlier rules."""

    ttl_s: Seconds | None = None
    """The time for which a reply is fresh if its back end does not say it; if unset, such replies
    are not stored."""
    ttl_overrides: bool = False
    """True to let `ttl_s` count before `max-age`, `s-maxage` and `expires` of the back end; what it
    forbids to store or to send without confirmation stays forbidden."""
    downstream: bool = False
    """True to let clients keep a reply for `ttl_s`, too, if its back end says nothing about that:
    by `Cache-Control: private, max-age`, or without `private` if `scope` is shared."""
    scope: CacheScope = CacheScope.PRINCIPAL
    """principal: each caller has replies of their own; shared: all callers get the same, and back
    ends do not learn who calls; anonymous: only calls without a credential are stored."""
    vary: tuple[str, ...] = ()
    """The metadata of the request that a reply may depend on, by the name that back ends see. No
    other metadata of the client reaches a method whose replies are stored."""
    swr_s: Seconds | None = None
    """The time after `ttl_s` in which a reply is still sent while it is fetched anew
    (stale-while-revalidate)."""
    sie_s: Seconds | None = None
    """The time after `ttl_s` in which a reply is sent if the back end fails (stale-if-error)."""
    negative: NegativeRule | None = None
    """The failures of back ends that are stored; if unset, none. They say nothing about the caller,
    other than PERMISSION_DENIED and the like, which are never stored."""
    tags: tuple[str, ...] = ()
    """Names under which replies can be dropped, with fields of the request: `book:{name}`. Back
    ends add more in the metadata `cache-groups` and `surrogate-key`."""
    request_control: bool = False
    """Obey `no-cache`, `max-age`, `min-fresh` and `max-stale` of clients, and `Pragma: no-cache`
    without `Cache-Control`. They can then load back ends at will, unless `cache.admin_scope` says
    who may. `no-store` and `only-if-cached` are always obeyed."""
    disabled: bool = False
    """True to store nothing, although an earlier rule says so."""

    @field_validator("vary")
    @classmethod
    def _names_of_metadata(cls, vary: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(sorted({name.lower() for name in vary}))
        for name in names:
            if not is_token(name):
                raise ValueError(f"{name!r} is no name of metadata, such as accept-language")
            if name in _NOT_TO_VARY_BY:
                raise ValueError(f"{name} has no effect on what is stored: leave it out")
        return names


class CacheOptions(Section):
    """The storage of the replies of methods with `policies[].cache`."""

    store: Annotated[StoreUrl, Field(repr=False)] = "memory:"
    """The store that workers and nodes share: a `redis://` URL as for `auth.store`; `memory:` for
    none, so that each worker stores replies alone."""
    store_timeout_s: Seconds = 0.02
    """The time that a request waits for `store`; after that, the reply counts as not stored."""
    store_bytes: Bytes = 256 * 1024 * 1024
    """The size limit of the replies for all callers in `store`. Those of one principal take at
    most the part `principal_share` of it, besides."""
    memory_s: Annotated[Seconds, Field(le=60)] = 1.0
    """The longest time for which a worker sends a reply from its memory without asking `store`."""
    allow_sensitive: bool = False
    """True to also keep replies in `store` that have fields with the option `debug_redact`."""

    memory_bytes: Bytes = 64 * 1024 * 1024
    """The size limit of all stored replies in the memory of each worker."""
    max_entry_bytes: Bytes = 1024 * 1024
    """The size limit of a stored reply; a larger one is not stored."""
    principal_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """The largest part of `memory_bytes` that the replies of one principal take."""
    collapse_wait_s: Seconds = 5.0
    """The longest wait of a call for the reply to an equal call under way; then it goes alone."""
    targets: tuple[str, ...] = ("gateway-cache-control", "cdn-cache-control")
    """Metadata that back ends send for caches like this one (RFC 9213). The first that is there and
    well-formed stands for their `cache-control` and `expires`."""
    consume_tags: bool = True
    """Keep the metadata for this cache from clients: `cache-groups`, `cache-group-invalidation`,
    `surrogate-key` and `gateway-cache-control`. Turn it off if a cache in front reads them."""
    invalidate_parent: bool = True
    """A successful change also drops the replies under the parent of its path, for example the list
    that a resource is in."""
    admin_scope: Annotated[str, Field(pattern=rf"^{SCOPE}$")] | None = None
    """The scope that a caller needs for what `request_control` allows; if unset, all may."""
    status: bool = True
    """Send `Cache-Status` (RFC 9211), which says how the cache answered."""

    @field_validator("targets")
    @classmethod
    def _names_of_fields(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        for name in targets:
            if not is_token(name):
                raise ValueError(f"{name!r} is no name of metadata, such as cdn-cache-control")
        return tuple(name.lower() for name in targets)

    @model_validator(mode="after")
    def _an_entry_fits(self) -> Self:
        if self.max_entry_bytes > self.memory_bytes:
            raise ValueError("max_entry_bytes: expected at most memory_bytes")
        return self
