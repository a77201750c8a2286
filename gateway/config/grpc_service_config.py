"""Reads a gRPC service config (grpc.service_config.ServiceConfig) from its JSON form.

All or nothing: one bad known field refuses the whole (gRFC A21). Unknown fields are ignored, and
their paths are kept for a warning.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.config.json_object import JsonObject, refused
from gateway.config.load_balancing import read_load_balancing
from gateway.config.retries import HedgingPolicy, RetryCode, RetryPolicy

_ATTRIBUTE = "grpc_config="
"""The start of the TXT record that has a service config (gRFC A2)."""
_MOST_ATTEMPTS = 5
"""The most attempts of a policy; a higher number means this one (gRFC A6)."""
_CODES = {
    number: code.value for number, code in zip((1, 2, 8, 10, 13, 14, 15), RetryCode, strict=True)
}


@dataclass(frozen=True, slots=True)
class MethodConfig:
    """The entry of `methodConfig` for one method."""

    timeout_s: float | None
    wait_for_ready: bool
    most_request_bytes: int | None
    most_reply_bytes: int | None
    retry_policy: RetryPolicy | None
    hedging_policy: HedgingPolicy | None
    is_exact: bool
    """True if the name has a service and a method."""


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """A service config that is valid."""

    methods: Mapping[tuple[str, str], MethodConfig]
    """By service and method; both are empty in the default for all, the method in that of a
    service."""
    upstream: Mapping[str, Any]
    """The settings of the upstream that it replaces: balance and its options, outlier, health,
    retry_throttling, max_connections."""
    ignored: tuple[str, ...]
    """The paths of the fields that are not known."""

    def of(self, service: str, method: str) -> MethodConfig | None:
        """The entry for a method: of the most exact name; None without one."""
        for name in ((service, method), (service, ""), ("", "")):
            if name in self.methods:
                return self.methods[name]
        return None


def read_service_config(value: object) -> ServiceConfig:
    """Reads a service config from its parsed JSON.

    Raises:
        ValueError: a field is bad, or asks for what is not there; the text begins with its path.
    """
    ignored: list[str] = []
    top = JsonObject(value, "", ignored)
    methods: dict[tuple[str, str], MethodConfig] = {}
    for one, path in top.items("methodConfig"):
        entry = JsonObject(one, path, ignored)
        names = list(_names(entry))
        config = _method(entry)
        for name, where in names:
            if name in methods:
                raise refused(where, "expected each name once")
            exact = all(name)
            methods[name] = MethodConfig(*config, is_exact=exact)
    found = ServiceConfig(methods, dict(_upstream(top)), ())
    top.end()
    return ServiceConfig(found.methods, found.upstream, tuple(ignored))


def service_config_in(
    records: Sequence[str], host: str, percentile: int
) -> tuple[object, tuple[str, ...]] | None:
    """The parsed JSON of the service config that TXT records have for this process (gRFC A2), and
    the paths of fields of its choice that are not known; None if they have none for it.

    Of the choices in the one record that begins with `grpc_config=`, the first one counts whose
    languages include Python, whose host names include `host`, and whose percentage is above
    `percentile`, a number of 0..99 that the process has drawn.

    Raises:
        ValueError: a part is bad, of any choice; the text begins with its path.
    """
    found = [one for one in records if one.startswith(_ATTRIBUTE)]
    if len(found) > 1:
        raise ValueError(f"expected one record that begins with {_ATTRIBUTE}, not {len(found)}")
    try:
        choices = json.loads(found[0].removeprefix(_ATTRIBUTE)) if found else []
    except (ValueError, RecursionError):
        raise ValueError(f"expected JSON after {_ATTRIBUTE}") from None
    fitting: list[tuple[object, tuple[str, ...]]] = []
    for one, path in JsonObject({_ATTRIBUTE: choices}, "", []).items(_ATTRIBUTE):
        choice = JsonObject(one, path, [])
        languages = [str(text).lower() for text, _ in choice.items("clientLanguage")]
        hosts = [str(text) for text, _ in choice.items("clientHostname")]
        percent = choice.number("percentage", 0, 100, whole=True)
        config = choice.take("serviceConfig")
        choice.end()
        if not isinstance(config, Mapping):
            raise refused(choice.at("serviceConfig"), "expected an object")
        is_drawn = percent is None or percentile < percent
        if is_drawn and (not hosts or host in hosts) and (not languages or "python" in languages):
            fitting.append((config, tuple(choice.ignored)))
    return fitting[0] if fitting else None


def _names(entry: JsonObject) -> Iterator[tuple[tuple[str, str], str]]:
    for one, path in entry.items("name"):
        name = JsonObject(one, path, entry.ignored)
        service, method = name.text("service"), name.text("method")
        if method and not service:
            raise refused(path, "expected a service with the method")
        name.end()
        yield (service, method), path


def _method(
    entry: JsonObject,
) -> tuple[float | None, bool, int | None, int | None, RetryPolicy | None, HedgingPolicy | None]:
    most = 2**32 - 1
    request = entry.number("maxRequestMessageBytes", 0, most, whole=True)
    reply = entry.number("maxResponseMessageBytes", 0, most, whole=True)
    retry, hedging = entry.inner("retryPolicy"), entry.inner("hedgingPolicy")
    if retry is not None and hedging is not None:
        raise refused(hedging.path, "expected retryPolicy or hedgingPolicy, not both")
    found = (
        entry.seconds("timeout"),
        entry.flag("waitForReady"),
        None if request is None else int(request),
        None if reply is None else int(reply),
        None if retry is None else _retry_policy(retry),
        None if hedging is None else _hedging_policy(hedging),
    )
    entry.end()
    return found


def _retry_policy(policy: JsonObject) -> RetryPolicy:
    attempts = policy.number("maxAttempts", 2, 2**32 - 1, whole=True)
    first_s, most_s = policy.seconds("initialBackoff"), policy.seconds("maxBackoff")
    factor = policy.number("backoffMultiplier", 0.001, 100)
    codes = [_code(one, path) for one, path in policy.items("retryableStatusCodes")]
    needed = {
        "maxAttempts": attempts,
        "initialBackoff": first_s,
        "maxBackoff": most_s,
        "backoffMultiplier": factor,
        "retryableStatusCodes": codes,
    }
    for name, one in needed.items():
        if not one:
            raise refused(policy.at(name), "expected a value above zero, which A6 requires")
    policy.end()
    return RetryPolicy(
        max_attempts=min(int(attempts or 0), _MOST_ATTEMPTS),
        initial_backoff_s=min(first_s or 0.0, most_s or 0.0),
        max_backoff_s=most_s or 0.0,
        backoff_multiplier=factor or 0.0,
        retryable_status_codes=tuple(codes),
    )


def _hedging_policy(policy: JsonObject) -> HedgingPolicy:
    attempts = policy.number("maxAttempts", 2, 2**32 - 1, whole=True)
    if attempts is None:
        raise refused(policy.at("maxAttempts"), "expected a number from 2, which A6 requires")
    delay_s = policy.seconds("hedgingDelay")
    codes = [_code(one, path) for one, path in policy.items("nonFatalStatusCodes")]
    policy.end()
    return HedgingPolicy(
        max_attempts=min(int(attempts), _MOST_ATTEMPTS),
        hedging_delay_s=delay_s or 0.0,
        non_fatal_status_codes=tuple(codes),
    )


def _code(value: object, path: str) -> RetryCode:
    # Names are read in any case (A6, "Retryable status codes").
    name = _CODES.get(value, "") if isinstance(value, int) else str(value).upper()
    try:
        return RetryCode(name)
    except ValueError:
        raise refused(path, f"expected one of {', '.join(RetryCode)}") from None


def _upstream(top: JsonObject) -> Iterator[tuple[str, Any]]:
    """The settings of the upstream that are replaced."""
    yield from read_load_balancing(top).items()
    health = top.inner("healthCheckConfig")
    if health is not None:
        yield "health", {"service": health.text("serviceName")}
        health.end()
    throttling = top.inner("retryThrottling")
    if throttling is not None:
        tokens = throttling.number("maxTokens", 1, 1000, whole=True)
        ratio = throttling.number("tokenRatio", 0.001, 1000)
        for name, one in (("maxTokens", tokens), ("tokenRatio", ratio)):
            if one is None:
                raise refused(throttling.at(name), "expected a number, which A6 requires")
        throttling.end()
        yield "retry_throttling", {"max_tokens": int(tokens or 0), "token_ratio": ratio}
    scaling = top.inner("connectionScaling")
    if scaling is not None:
        most = scaling.number("maxConnectionsPerSubchannel", 1, 1000, whole=True)
        scaling.end()
        if most is not None:
            yield "max_connections", int(most)
