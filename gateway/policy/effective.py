"""What each method asks of its callers, of what the protos and the configuration say."""

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.descriptor import Descriptor

from gateway.config.model import DeadlineOptions, DeadlineRule
from gateway.config.policy import PolicyRule, RateLimitRule
from gateway.config.selectors import complaint, matches
from gateway.policy.options import (
    CountBy,
    LimitAlgorithm,
    MethodPolicy,
    PolicyError,
    PolicyPart,
    RateLimit,
    check_part,
    declared_parts,
    merged,
)
from gateway.schema.catalog import Method, Schema

Policies = Mapping[Method, MethodPolicy]


def effective_policies(schema: Schema, rules: Sequence[PolicyRule]) -> Policies:
    """The policy of each method: its proto's, then what each rule that selects it says.

    Raises:
        PolicyError: a rule selects nothing, or says what cannot be meant.
    """
    parts = {method: list(said) for method, said in declared_parts(schema).items()}
    for number, rule in enumerate(rules):
        selected = [method for method in parts if matches(rule.selector, method.full_name)]
        reason = complaint(rule.selector, schema.methods) if not selected else None
        if reason is not None:
            raise PolicyError(f"policies[{number}].selector: {reason}")
        part = _part(rule)
        check_part(part, f"policies[{number}]")
        for method in selected:
            parts[method].append(part)
    policies = {method: merged(of_method) for method, of_method in parts.items()}
    for method, policy in policies.items():
        _check_redacted(method, policy)
    return policies


def without_policy(policies: Policies, served: Iterable[Method]) -> Sequence[str]:
    """A line for each method that is served though nothing is said of its callers."""
    return [
        f"{method.full_name} ({method.source}) has no policy, and require_policy asks for one: "
        "give it the option (gatewayapi.v1.policy), or select it in policies"
        for method in dict.fromkeys(served)
        if not policies[method].is_stated
    ]


def with_timeouts(options: DeadlineOptions, policies: Policies) -> DeadlineOptions:
    """The deadlines, of policies too; what `deadlines.methods` says of a method is stronger."""
    rules = [
        DeadlineRule(
            selector=method.full_name, default_s=policy.timeout_s, ceiling_s=policy.timeout_s
        )
        for method, policy in policies.items()
        if policy.timeout_s is not None
    ]
    return options.model_copy(update={"methods": (*rules, *options.methods)})


def summary(policy: MethodPolicy) -> str:
    """A policy on one line."""
    words = []
    if policy.anonymous is not None:
        words.append("anonymous" if policy.anonymous else "not anonymous")
    if policy.scopes_all:
        words.append("scopes " + "+".join(sorted(policy.scopes_all)))
    if policy.scopes_any:
        words.append("scope " + "|".join(sorted(policy.scopes_any)))
    words += [
        f"{one.limit}/{one.window_s:g}s by {one.header or one.by}" for one in policy.rate_limits
    ]
    if policy.cost != 1:
        words.append(f"cost {policy.cost}")
    if policy.max_concurrent is not None:
        words.append(f"{policy.max_concurrent} at once")
    if policy.timeout_s is not None:
        words.append(f"{policy.timeout_s:g}s")
    if policy.redact:
        words.append("redacts " + ", ".join(sorted(policy.redact)))
    return "; ".join(words)


def _check_redacted(method: Method, policy: MethodPolicy) -> None:
    """What shall not be seen must be spelled right, or it is seen."""
    for path in policy.redact - {"*"}:
        message: Descriptor | None = method.input
        for name in path.split("."):
            field = None if message is None else message.fields_by_name.get(name)
            if field is None:
                raise PolicyError(
                    f"{method.full_name}: redact: {method.input.full_name} has no field {path}"
                )
            message = field.message_type


def _part(rule: PolicyRule) -> PolicyPart:
    scopes, limits, redact = rule.scopes, rule.rate_limits, rule.redact
    return PolicyPart(
        anonymous=rule.anonymous,
        scopes_any=None if scopes is None else frozenset(scopes.any),
        scopes_all=None if scopes is None else frozenset(scopes.all),
        rate_limits=None if limits is None else tuple(map(_limit, limits)),
        cost=rule.cost,
        max_concurrent=rule.max_concurrent,
        timeout_s=rule.timeout_s,
        redact=None if redact is None else frozenset(redact),
    )


def _limit(rule: RateLimitRule) -> RateLimit:
    return RateLimit(
        rule.limit,
        rule.window_s,
        CountBy(rule.by),
        rule.header.lower(),
        LimitAlgorithm(rule.algorithm),
        rule.name,
    )
