"""The methods that may be sent to a back end twice, and those without side effects."""

from google.protobuf.descriptor_pb2 import MethodOptions

from gateway.schema.catalog import Method

_SAFE_LEVELS = (MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT)


def may_repeat(method: Method) -> bool:
    """True if processing a call of `method` twice does no harm.

    Its `idempotency_level` (descriptor.proto) decides. Without one, a method counts if all its HTTP
    rules are GET without a body: such methods have no side effects (RFC 9110 section 9.2.1).
    """
    level = MethodOptions.FromString(method.options[1]).idempotency_level
    if level != MethodOptions.IDEMPOTENCY_UNKNOWN:
        return level in _SAFE_LEVELS
    return _only_reads(method)


def declares_repeatable(method: Method) -> bool:
    """True if the `idempotency_level` of `method` says that two calls do no more than one."""
    return MethodOptions.FromString(method.options[1]).idempotency_level in _SAFE_LEVELS


def has_no_side_effects(method: Method) -> bool:
    """True if a call of `method` changes nothing, so that its reply can be sent to others.

    It decides as `may_repeat`, but IDEMPOTENT methods change something.
    """
    level = MethodOptions.FromString(method.options[1]).idempotency_level
    if level != MethodOptions.IDEMPOTENCY_UNKNOWN:
        return level == MethodOptions.NO_SIDE_EFFECTS
    return _only_reads(method)


def _only_reads(method: Method) -> bool:
    rules = method.rules
    return bool(rules) and all(rule.http_method == "GET" and not rule.body for rule in rules)
