"""Merges the policy of each method from its proto and the configuration."""

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.descriptor import Descriptor

from gateway.config.deadlines import DeadlineOptions, DeadlineRule
from gateway.config.selectors import complaint, matches
from gateway.policy.options import (
    Method,
    MethodPolicy,
    PolicyError,
    PolicyRule,
    Schema,
    declared_rules,
    merged,
)
from gateway.policy.reply_tags import TagMaker

Policies = Mapping[Method, MethodPolicy]


def effective_policies(schema: Schema, rules: Sequence[PolicyRule]) -> Policies:
    """Merges the policy of each method: its proto's options, then each rule that selects it.

    Raises:
        PolicyError: a rule selects no method, or a policy has an invalid value.
    """
    stated = {method: list(declared) for method, declared in declared_rules(schema).items()}
    for number, rule in enumerate(rules):
        selected = [method for method in stated if matches(rule.selector, method.full_name)]
        reason = complaint(rule.selector, schema.methods) if not selected else None
        if reason is not None:
            raise PolicyError(f"policies[{number}].selector: {reason}")
        for method in selected:
            stated[method].append(rule)
    policies = {method: merged(of_method) for method, of_method in stated.items()}
    for method, policy in policies.items():
        _check_redacted(method, policy)
        _check_cached(method, policy)
        _check_tags(method, policy)
    return policies


def without_policy(policies: Policies, served: Iterable[Method]) -> Sequence[str]:
    """Lists a line for each method that is served although no policy is stated for it."""
    return [
        f"{method.full_name} ({method.source}) has no policy, and require_policy asks for one: "
        "give it the option (gatewayapi.v1.policy), or select it in policies"
        for method in dict.fromkeys(served)
        if not policies[method].is_stated
    ]


def tagged_methods(policies: Policies) -> frozenset[Method]:
    """Returns the methods whose GETs get entity tags: by `etag`, else those with stored replies."""
    return frozenset(
        method
        for method, policy in policies.items()
        if (policy.cache is not None if policy.etag is None else policy.etag)
    )


def with_timeouts(options: DeadlineOptions, policies: Policies) -> DeadlineOptions:
    """Adds the timeouts of policies to the deadlines; `deadlines.methods` is stronger."""
    rules = [
        DeadlineRule(
            selector=method.full_name, default_s=policy.timeout_s, ceiling_s=policy.timeout_s
        )
        for method, policy in policies.items()
        if policy.timeout_s is not None
    ]
    return options.model_copy(update={"methods": (*rules, *options.methods)})


def summary(policy: MethodPolicy) -> str:
    """Formats a policy on one line."""
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
    if policy.cache is not None:
        ttl = "" if policy.cache.ttl_s is None else f" {policy.cache.ttl_s:g}s"
        words.append(f"cached{ttl} ({policy.cache.scope})")
    if policy.etag is not None:
        words.append("entity tags" if policy.etag else "no entity tags")
    if policy.idempotency is not None:
        words.append(f"idempotency keys {policy.idempotency.key}")
    if policy.redact:
        words.append("redacts " + ", ".join(sorted(policy.redact)))
    return "; ".join(words)


def _check_cached(method: Method, policy: MethodPolicy) -> None:
    """Rejects the storage of replies of a method that may change something.

    Raises:
        PolicyError: the method streams, or has side effects.
    """
    if policy.cache is None:
        return
    if method.streams:
        reason = f"it is {method.kind}, and only replies of one message can be stored"
    elif not method.has_no_side_effects:
        reason = (
            "it may have side effects: expected a method whose HTTP rules are all GET, or with "
            "option idempotency_level = NO_SIDE_EFFECTS"
        )
    else:
        return
    raise PolicyError(
        f"{method.full_name}: cache: {reason}; cache: {{disabled: true}} excludes it from a rule "
        "for several methods"
    )


def _check_tags(method: Method, policy: MethodPolicy) -> None:
    """Rejects tags that cannot be made.

    Raises:
        PolicyError: a template is wrong, or the method has no request message or no side effects.
    """
    if policy.cache is not None:
        TagMaker(method, "cache.tags", policy.cache.tags)
    if not policy.invalidates:
        return
    TagMaker(method, "invalidates", policy.invalidates)
    if method.client_streaming or method.has_no_side_effects:
        reason = "streams its requests" if method.client_streaming else "has no side effects"
        raise PolicyError(
            f"{method.full_name}: invalidates: the method {reason}; "
            "invalidates: [] excludes it from a rule for several methods"
        )


def _check_redacted(method: Method, policy: MethodPolicy) -> None:
    """Rejects an unknown field path: a misspelt one would leave the value in the logs.

    Raises:
        PolicyError: the request message has no such field.
    """
    for path in policy.redact - {"*"}:
        message: Descriptor | None = method.input
        for name in path.split("."):
            field = None if message is None else message.fields_by_name.get(name)
            if field is None:
                raise PolicyError(
                    f"{method.full_name}: redact: {method.input.full_name} has no field {path}"
                )
            message = field.message_type


def refuse_secrets(policies: Policies, place: str, permission: str) -> None:
    """Refuses methods whose replies are stored and may not be, at `place` outside of the process.

    Raises:
        PolicyError: a reply can have a field with `debug_redact`; `permission` would allow it.
    """
    for method, policy in policies.items():
        secret = None if policy.cache is None else _redacted_field(method.output)
        if secret is not None:
            raise PolicyError(
                f"{method.full_name}: cache: {secret} is secret (debug_redact), and {place} would "
                f"keep it outside of this process: expected {permission}, or no cache here"
            )


def _redacted_field(output: Descriptor) -> str | None:
    """Returns the first field that a message can contain, and that must not be shown; or None."""
    seen, waiting = {output.full_name}, [output]
    while waiting:
        for one in waiting.pop().fields:
            if one.GetOptions().debug_redact:  # descriptor.proto, FieldOptions
                return one.full_name
            inner = one.message_type
            if inner is not None and inner.full_name not in seen:
                seen.add(inner.full_name)
                waiting.append(inner)
    return None
