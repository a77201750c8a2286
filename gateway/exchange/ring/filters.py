"""Filters: reject requests by the rules of `filters`, before any other work is done.

The response does not name the rule; the log and the audit trail do.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from posixpath import normpath
from urllib.parse import unquote

from gateway.audit import Audit, RecordThrottle
from gateway.config.client_networks import Networks
from gateway.config.filters import FilterRule, Network
from gateway.config.patterns import Matches, compile_pattern, compile_patterns
from gateway.exchange.ring.ring import Request, RequestCheck
from gateway.status import Code, StatusError

logger = logging.getLogger("gateway")

Condition = Callable[[Request], StatusError | None]
"""Returns the error that a request is rejected with, or None."""
_Texts = tuple[str, ...]

_DEFAULT_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_LOG_INTERVAL_S = 1.0
"""The least time between two records of one rule and one client."""


def filter_checks(
    rules: Sequence[FilterRule],
    audit: Audit,
    clock: Callable[[], float] = time.monotonic,
    *,
    count: Callable[[str], None] | None = None,
) -> Sequence[RequestCheck]:
    """Returns one check for each rule, in order; `count` takes the rule's name at each refusal."""
    throttle = RecordThrottle(clock)
    return [_rule_check(rule, audit, throttle, count) for rule in rules]


def _rule_check(
    rule: FilterRule,
    audit: Audit,
    throttle: RecordThrottle,
    count: Callable[[str], None] | None,
) -> RequestCheck:
    applies_to = _any_spelling(rule.paths) if rule.paths else None
    conditions = list(_conditions(rule))

    def check(request: Request) -> None:
        if applies_to is not None and not applies_to(request.path):
            return
        for condition in conditions:
            refusal = condition(request)
            if refusal is not None:
                if count is not None:
                    count(rule.name)
                if throttle.admits((rule.name, request.client), _LOG_INTERVAL_S):
                    _record(rule.name, request.client, audit)
                raise refusal

    return check


def _record(rule: str, client: str, audit: Audit) -> None:
    logger.info("filter %s rejected a request from %s", rule, client)
    audit.record("policy.refused", peer=client, rule=f"filter {rule}")


def _conditions(rule: FilterRule) -> Iterator[Condition]:
    lists: Sequence[tuple[Callable[[Sequence[str], Sequence[str]], Condition], _Texts, _Texts]] = (
        (_of_networks, rule.allow_networks, rule.deny_networks),
        (_of_methods, rule.allow_methods, rule.deny_methods),
        (_of_paths, rule.allow_paths, rule.deny_paths),
        (_of_content_types, rule.allow_content_types, rule.deny_content_types),
        (_of_user_agents, rule.allow_user_agents, rule.deny_user_agents),
    )
    for condition_of, allow, deny in lists:
        if allow or deny:
            yield condition_of(allow, deny)
    if rule.require_headers or rule.forbid_headers:
        yield _of_headers(rule.require_headers, rule.forbid_headers)


def _of_networks(allow: Sequence[Network], deny: Sequence[Network]) -> Condition:
    allowed, denied = Networks(allow), Networks(deny)

    # Cached, so that a client's address is not parsed for each of its requests.
    @lru_cache(maxsize=4096)
    def is_refused(client: str) -> bool:
        # A client without an address, such as one on a Unix socket, is in no network.
        return denied.have(client) or (bool(allowed) and not allowed.have(client))

    return lambda request: _forbidden() if is_refused(request.client) else None


def _of_methods(allow: Sequence[str], deny: Sequence[str]) -> Condition:
    allowed, denied = frozenset(allow), frozenset(deny)
    remaining = (allowed or _DEFAULT_METHODS) - denied
    # RFC 9110 section 15.5.6; GET is served to HEAD as well.
    allow_header = (
        "Allow",
        ", ".join(sorted(remaining | {"HEAD"} if "GET" in remaining else remaining - {"HEAD"})),
    )

    def check(request: Request) -> StatusError | None:
        method = "GET" if request.method == "HEAD" else request.method
        if method in denied or (allowed and method not in allowed):
            return StatusError(
                Code.UNIMPLEMENTED,
                f"{request.method} is not served here",
                http_status=405,
                headers=[allow_header],
            )
        return None

    return check


def _of_paths(allow: Sequence[str], deny: Sequence[str]) -> Condition:
    denies = _any_spelling(deny)
    allows = _every_spelling(allow) if allow else None

    def check(request: Request) -> StatusError | None:
        if denies(request.path) or (allows is not None and not allows(request.path)):
            return _forbidden()
        return None

    return check


def _of_headers(require: Mapping[str, str], forbid: Mapping[str, str]) -> Condition:
    required = [(name.lower(), compile_pattern(value)) for name, value in require.items()]
    forbidden = [(name.lower(), compile_pattern(value)) for name, value in forbid.items()]

    def check(request: Request) -> StatusError | None:
        for name, covers in required:
            values = _values(request, name)
            if not values or not all(covers(value) for value in values):
                return _forbidden()
        for name, covers in forbidden:
            if any(covers(value) for value in _values(request, name)):
                return _forbidden()
        return None

    return check


def _of_content_types(allow: Sequence[str], deny: Sequence[str]) -> Condition:
    allows = compile_patterns(tuple(allow)) if allow else None
    denies = compile_patterns(tuple(deny))

    def check(request: Request) -> StatusError | None:
        if request.body is None:
            return None
        for value in _values(request, "content-type") or [""]:
            media_type = value.partition(";")[0].strip().lower()
            if denies(media_type) or (allows is not None and not allows(media_type)):
                return StatusError(
                    Code.INVALID_ARGUMENT,
                    "request bodies of this Content-Type are not accepted here",
                    http_status=415,
                )
        return None

    return check


def _of_user_agents(allow: Sequence[str], deny: Sequence[str]) -> Condition:
    allows = compile_patterns(tuple(allow), ignore_case=True) if allow else None
    denies = compile_patterns(tuple(deny), ignore_case=True)

    def check(request: Request) -> StatusError | None:
        for value in _values(request, "user-agent") or [""]:
            if denies(value) or (allows is not None and not allows(value)):
                return _forbidden()
        return None

    return check


def _values(request: Request, name: str) -> list[str]:
    """Returns all fields of one name, so that a repeated field cannot hide from a rule."""
    wanted = name.encode()
    return [
        value.decode("latin-1")
        for field, value in request.fields.raw
        if len(field) == len(wanted) and field.lower() == wanted
    ]


def _spellings(path: str) -> tuple[str, ...]:
    """Returns the ways in which a server could read a raw path: as sent, decoded, normalized."""
    decoded = unquote(path, errors="replace")
    normalized = normpath(decoded).replace("//", "/")
    return (
        (path, decoded, normalized, f"{normalized}/")
        if decoded.endswith("/")
        else (path, decoded, normalized)
    )


def _any_spelling(patterns: Sequence[str]) -> Matches:
    covers = compile_patterns(tuple(patterns))
    return lambda path: any(covers(spelling) for spelling in _spellings(path))


def _every_spelling(patterns: Sequence[str]) -> Matches:
    covers = compile_patterns(tuple(patterns))
    return lambda path: all(covers(spelling) for spelling in _spellings(path)[:2])


def _forbidden() -> StatusError:
    return StatusError(Code.PERMISSION_DENIED, "this request is not allowed here")
