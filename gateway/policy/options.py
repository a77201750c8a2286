"""The policies that protos state as options, and the policy that all statements make together.

Sources: gatewayapi/v1/policy.proto. The policy of a method is merged from rules, later ones
stronger: the default of its service, its own option, and the rules of the configuration. An option
is read as a `PolicyRule` of the configuration, field by field: a key of the proto needs no line
here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions, ServiceOptions
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config.cache import CacheRule
from gateway.config.idempotency import IdempotencyRule
from gateway.config.kinds import shown
from gateway.config.policy import PolicyRule, RateLimit, ScopesRule
from gateway.schema.catalog import Method, Schema, StartUpError
from gatewayapi.v1 import policy_pb2 as pb

__all__ = ["Method", "PolicyRule", "Schema"]
__all__ += ["MethodPolicy", "PolicyError", "declared_rules", "merged"]


class PolicyError(StartUpError):
    """A policy that cannot be applied; the message names its place and the wrong field."""


@dataclass(frozen=True, slots=True)
class MethodPolicy:
    """The policy of one method, merged from its proto and the configuration."""

    anonymous: bool | None = None
    """True if callers need no credential; None where no rule decides."""
    scopes_any: frozenset[str] = frozenset()
    """One of these is enough; if empty, none is needed."""
    scopes_all: frozenset[str] = frozenset()
    """Every one of these is needed."""
    rate_limits: tuple[RateLimit, ...] = ()
    """All of these hold at once."""
    cost: int = 1
    """The amount that one call takes from its limits."""
    max_concurrent: int | None = None
    """The number of its calls that one process has under way at once; None for any number."""
    timeout_s: float | None = None
    """The default and the maximum of the seconds that a call may take."""
    redact: frozenset[str] = frozenset()
    """Field paths of path variables that no log shows; `*` for all."""
    cache: CacheRule | None = None
    """The storage of its replies; None to store nothing."""
    invalidates: tuple[str, ...] = ()
    """The tags whose stored replies a successful call drops."""
    etag: bool | None = None
    """True if its GETs get entity tags of the gateway; None: if its replies are stored."""
    idempotency: IdempotencyRule | None = None
    """The idempotency keys of its requests; None to ignore them."""
    is_stated: bool = False
    """True if the proto or the configuration states any key of it."""

    def is_open(self, *, anonymous: bool) -> bool:
        """True if callers need no credential; `anonymous` decides where the policy does not."""
        if self.anonymous is not None:
            return self.anonymous
        return anonymous and not (self.scopes_any or self.scopes_all)

    def admits(self, scopes: frozenset[str] | None, *, anonymous: bool) -> bool:
        """True if callers with these scopes may call; they are None without a principal."""
        if self.is_open(anonymous=anonymous):
            return True
        return scopes is not None and self.has_scopes(scopes)

    def has_scopes(self, scopes: frozenset[str]) -> bool:
        """True if these are all scopes that a caller must have, and one of those to choose from."""
        if not self.scopes_all <= scopes:
            return False
        return not self.scopes_any or not self.scopes_any.isdisjoint(scopes)


def merged(rules: Iterable[PolicyRule]) -> MethodPolicy:
    """Merges the rules of one method key by key; later rules are stronger.

    Anonymous callers and scopes exclude each other: the later of the two takes back the earlier.
    The rules for storage and idempotency keys are merged key by key, too.
    """
    values: dict[str, Any] = {}
    cache: CacheRule | None = None
    idempotency: IdempotencyRule | None = None
    for rule in rules:
        if rule.anonymous:
            values.pop("scopes", None)
        elif rule.asks_for_scopes:
            values.pop("anonymous", None)
        if rule.cache is not None:
            cache = rule.cache if cache is None else cache.with_later(rule.cache)
        later = rule.idempotency
        if later is not None:
            idempotency = later if idempotency is None else idempotency.with_later(later)
        stated = ((key, value) for key, value in rule if value is not None)
        values.update((key, value) for key, value in stated if key != "selector")
    is_stated = bool(values)
    values["cache"] = None if cache is None or cache.disabled else cache
    is_ignored = idempotency is None or idempotency.disabled
    values["idempotency"] = None if is_ignored else idempotency
    scopes = values.pop("scopes", ScopesRule())
    redact = values.pop("redact", ())
    return MethodPolicy(
        **values,
        scopes_any=frozenset(scopes.any),
        scopes_all=frozenset(scopes.all),
        redact=frozenset(redact),
        is_stated=is_stated,
    )


def declared_rules(schema: Schema) -> Mapping[Method, tuple[PolicyRule, ...]]:
    """Reads the rules that the options of each method's service, and its own, declare.

    There are none if no file of the schema declares these options: other projects may use the same
    option numbers with another meaning.

    Raises:
        PolicyError: an option has an invalid value.
    """
    try:
        schema.pool.FindExtensionByName("gatewayapi.v1.policy")
    except KeyError:
        return dict.fromkeys(schema.methods.values(), ())
    return {method: tuple(_rules_of(method)) for method in schema.methods.values()}


# The stubs of generated code do not declare these as extensions.
_POLICY: Any = pb.policy
_DEFAULT_POLICY: Any = pb.default_policy


def _rules_of(method: Method) -> Iterator[PolicyRule]:
    of_service, of_method = method.options
    service_options = ServiceOptions.FromString(of_service)
    if service_options.HasExtension(_DEFAULT_POLICY):
        option = service_options.Extensions[_DEFAULT_POLICY]
        where = f"{method.service}: (gatewayapi.v1.default_policy)"
        yield _rule(f"{method.service}.*", option, where)
    method_options = MethodOptions.FromString(of_method)
    if method_options.HasExtension(_POLICY):
        option = method_options.Extensions[_POLICY]
        yield _rule(method.full_name, option, f"{method.full_name}: (gatewayapi.v1.policy)")


def _rule(selector: str, option: pb.Policy, where: str) -> PolicyRule:
    try:
        return PolicyRule.model_validate({"selector": selector, **_settings(option)})
    except ValidationError as error:
        lines = (_line(problem) for problem in error.errors(include_url=False))
        raise PolicyError("\n".join(f"{where}: {line}" for line in lines)) from None


def _settings(message: Message) -> dict[str, object]:
    """Maps the fields of an option to settings; a field that is unset is left out."""
    return {
        _key(field): _setting(field, getattr(message, field.name))
        for field in cast("Descriptor", message.DESCRIPTOR).fields
        if _is_set(message, field)
    }


def _is_set(message: Message, field: FieldDescriptor) -> bool:
    value: object = getattr(message, field.name)
    if field.is_repeated:
        return bool(value)
    if field.has_presence:
        return bool(message.HasField(field.name))
    # Without presence a zero is a value: a limit of 0 must be refused. Of an enum it is the value
    # `..._UNSPECIFIED`, which stands for the default.
    return field.enum_type is None or value != 0


_DURATION = "google.protobuf.Duration"


def _key(field: FieldDescriptor) -> str:
    """The key of a field in settings, which name the unit of a time."""
    is_time = field.message_type is not None and field.message_type.full_name == _DURATION
    return f"{field.name}_s" if is_time else field.name


def _setting(field: FieldDescriptor, value: Any) -> object:
    if field.is_repeated:
        return [_one_setting(field, one) for one in value]
    return _one_setting(field, value)


def _one_setting(field: FieldDescriptor, value: Any) -> object:
    if isinstance(value, Duration):
        return value.seconds + value.nanos / 1e9
    if isinstance(value, Message):
        return _settings(value)
    if field.enum_type is not None:
        # A number that is no value of the enum stays a number, which the rule then refuses.
        named = field.enum_type.values_by_number.get(value)
        return value if named is None else named.name.lower()
    return cast("object", value)


def _line(problem: ErrorDetails) -> str:
    """Describes one error of an option in the words of the proto: its fields, and what is right."""
    got: Any = problem["input"]
    steps = [step.removesuffix("_s") if isinstance(step, str) else step for step in problem["loc"]]
    path = f"{shown(tuple(steps))}: " if steps else ""
    match problem["type"]:
        case "value_error":
            return f"{path}{problem['ctx']['error']}"
        case "string_pattern_mismatch":
            # The value identifies a scope better than its place in one of the two lists.
            return f"{steps[0]}: {got!r} is no scope: a scope has no spaces or quotes"
        case "greater_than" if isinstance(got, int):
            return f"{path}expected 1 or more, got {got}"
        case "greater_than":
            return f"{path}expected more than nothing, got {got:g} s"
        case "enum":
            return f"{path}this gateway does not know the value {got}"
        case _:
            return f"{path}{problem['msg']}, got {got!r}"
