"""What a method asks of its callers: who they are, what they were granted, how often they call.

Sources: gatewayapi/v1/policy.proto. A policy is put together of parts, later ones stronger: what a
service says of its methods, what a method says itself, and what the configuration says.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.descriptor_pb2 import MethodOptions, ServiceOptions
from google.protobuf.duration_pb2 import Duration

from gateway.schema.catalog import Method, Schema
from gateway.status import StartUpError
from gatewayapi.v1 import policy_pb2 as pb

# RFC 6749 section 3.3, and RFC 9110 section 5.6.2.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


T = TypeVar("T")


class PolicyError(StartUpError):
    """A policy that cannot be held; the text says whose, and which part of it."""


class CountBy(StrEnum):
    """Whose calls are counted together."""

    PRINCIPAL = "principal"
    CREDENTIAL = "credential"
    ADDRESS = "address"
    HEADER = "header"
    METHOD = "method"


class LimitAlgorithm(StrEnum):
    """How a limit fills again."""

    TOKEN_BUCKET = "token_bucket"  # noqa: S105 - an algorithm, no password
    SLIDING_WINDOW = "sliding_window"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `limit` calls, of cost 1, in `window_s` seconds."""

    limit: int
    window_s: float = 1.0
    by: CountBy = CountBy.PRINCIPAL
    header: str = ""
    """The header to count by, lower-case, for `CountBy.HEADER`."""
    algorithm: LimitAlgorithm = LimitAlgorithm.TOKEN_BUCKET
    name: str = ""
    """Limits with one name share their counters; without one, each method has its own."""


@dataclass(frozen=True, slots=True)
class MethodPolicy:
    """What the proto and the configuration together say of one method."""

    anonymous: bool | None = None
    """Whether callers may be nobody; None where nothing says so."""
    scopes_any: frozenset[str] = frozenset()
    """One of these is enough; empty asks for none."""
    scopes_all: frozenset[str] = frozenset()
    """Every one of these is needed."""
    rate_limits: tuple[RateLimit, ...] = ()
    """All of these hold at once."""
    cost: int = 1
    """How much of its limits one call takes."""
    max_concurrent: int | None = None
    """How many calls of it one process has under way at once; None for any number."""
    timeout_s: float | None = None
    """How long a call may take when the caller does not say, and at the most."""
    redact: frozenset[str] = frozenset()
    """Field paths of path variables that no log shows; `*` for all."""
    is_stated: bool = False
    """Whether the proto or the configuration says anything of this method."""


@dataclass(frozen=True, slots=True)
class PolicyPart:
    """What one place says of a method; None for what it leaves to others."""

    anonymous: bool | None = None
    scopes_any: frozenset[str] | None = None
    scopes_all: frozenset[str] | None = None
    rate_limits: tuple[RateLimit, ...] | None = None
    cost: int | None = None
    max_concurrent: int | None = None
    timeout_s: float | None = None
    redact: frozenset[str] | None = None


_NAMES = tuple(field.name for field in fields(PolicyPart))


def merged(parts: Iterable[PolicyPart]) -> MethodPolicy:
    """The policy that the parts make together, later ones stronger, field by field.

    Who lets everyone in asks for no scopes, and who asks for scopes lets not everyone in: of these
    the one that is said last takes back the other.
    """
    values: dict[str, Any] = {}
    for part in parts:
        if part.anonymous:
            values["scopes_any"] = values["scopes_all"] = frozenset()
        elif part.scopes_any or part.scopes_all:
            values.pop("anonymous", None)
        stated = ((name, getattr(part, name)) for name in _NAMES)
        values.update((name, value) for name, value in stated if value is not None)
    return MethodPolicy(**values, is_stated=bool(values))


def declared_parts(schema: Schema) -> Mapping[Method, tuple[PolicyPart, ...]]:
    """The parts that the options of each method's service, and its own, declare.

    None where no file of the schema declares these options: their numbers may be of another use.

    Raises:
        PolicyError: an option has a value that makes no sense.
    """
    try:
        schema.pool.FindExtensionByName("gatewayapi.v1.policy")
    except KeyError:
        return dict.fromkeys(schema.methods.values(), ())
    return {method: tuple(_read_parts(method)) for method in schema.methods.values()}


def _read_parts(method: Method) -> Iterator[PolicyPart]:
    of_service, of_method = method.options
    service_options = ServiceOptions.FromString(of_service)
    if service_options.HasExtension(_DEFAULT_POLICY):
        option = service_options.Extensions[_DEFAULT_POLICY]
        yield _read_part(option, f"{method.service}: (gatewayapi.v1.default_policy)")
    method_options = MethodOptions.FromString(of_method)
    if method_options.HasExtension(_POLICY):
        option = method_options.Extensions[_POLICY]
        yield _read_part(option, f"{method.full_name}: (gatewayapi.v1.policy)")


# The stubs of generated code do not say that these are extensions.
_POLICY: Any = pb.policy
_DEFAULT_POLICY: Any = pb.default_policy


def _read_part(policy: pb.Policy, where: str) -> PolicyPart:
    asks = policy.HasField("scopes")
    timeout_s = (
        _seconds(policy.timeout, f"{where}: timeout") if policy.HasField("timeout") else None
    )
    part = PolicyPart(
        anonymous=policy.anonymous if policy.HasField("anonymous") else None,
        scopes_any=frozenset(policy.scopes.any) if asks else None,
        scopes_all=frozenset(policy.scopes.all) if asks else None,
        rate_limits=tuple(
            _rate_limit(limit, f"{where}: rate_limits[{number}]")
            for number, limit in enumerate(policy.rate_limits)
        )
        or None,
        cost=policy.cost if policy.HasField("cost") else None,
        max_concurrent=policy.max_concurrent if policy.HasField("max_concurrent") else None,
        timeout_s=timeout_s,
        redact=frozenset(policy.redact) or None,
    )
    check_part(part, where)
    return part


def check_part(part: PolicyPart, where: str) -> None:
    """Refuses what a part cannot mean.

    Raises:
        PolicyError: naming `where` it stands, and the field.
    """
    if part.anonymous and (part.scopes_any or part.scopes_all):
        raise PolicyError(
            f"{where}: anonymous and scopes exclude each other: who is nobody has none"
        )
    for scope in (part.scopes_any or frozenset()) | (part.scopes_all or frozenset()):
        if not _SCOPE.fullmatch(scope):
            raise PolicyError(
                f"{where}: scopes: {scope!r} is no scope: one has no spaces or quotes"
            )
    for name in ("cost", "max_concurrent"):
        value = getattr(part, name)
        if value is not None and value < 1:
            raise PolicyError(f"{where}: {name}: expected 1 or more, got {value}")
    for number, limit in enumerate(part.rate_limits or ()):
        _check_limit(limit, f"{where}: rate_limits[{number}]")


def _check_limit(limit: RateLimit, where: str) -> None:
    if limit.limit < 1:
        raise PolicyError(f"{where}.limit: expected 1 or more, got {limit.limit}")
    if limit.by is CountBy.HEADER and not _HEADER.fullmatch(limit.header):
        raise PolicyError(f"{where}.header: expected the name of the header to count by")
    if limit.by is not CountBy.HEADER and limit.header:
        raise PolicyError(f"{where}.header: is of no use unless by is HEADER")


def _rate_limit(limit: pb.RateLimit, where: str) -> RateLimit:
    window_s = _seconds(limit.window, f"{where}.window") if limit.HasField("window") else 1.0
    return RateLimit(
        limit.limit,
        window_s,
        _known(_COUNT_BY, limit.by, f"{where}.by"),
        limit.header.lower(),
        _known(_ALGORITHMS, limit.algorithm, f"{where}.algorithm"),
        limit.name,
    )


_COUNT_BY = {
    pb.RateLimit.BY_UNSPECIFIED: CountBy.PRINCIPAL,
    pb.RateLimit.PRINCIPAL: CountBy.PRINCIPAL,
    pb.RateLimit.CREDENTIAL: CountBy.CREDENTIAL,
    pb.RateLimit.ADDRESS: CountBy.ADDRESS,
    pb.RateLimit.HEADER: CountBy.HEADER,
    pb.RateLimit.METHOD: CountBy.METHOD,
}
_ALGORITHMS = {
    pb.RateLimit.ALGORITHM_UNSPECIFIED: LimitAlgorithm.TOKEN_BUCKET,
    pb.RateLimit.TOKEN_BUCKET: LimitAlgorithm.TOKEN_BUCKET,
    pb.RateLimit.SLIDING_WINDOW: LimitAlgorithm.SLIDING_WINDOW,
}


def _known(values: Mapping[Any, T], number: int, where: str) -> T:
    try:
        return values[number]
    except KeyError:
        raise PolicyError(f"{where}: this gateway does not know the value {number}") from None


def _seconds(duration: Duration, where: str) -> float:
    seconds = duration.seconds + duration.nanos / 1e9
    if seconds <= 0:
        raise PolicyError(f"{where}: expected more than nothing, got {seconds:g} s")
    return float(seconds)
