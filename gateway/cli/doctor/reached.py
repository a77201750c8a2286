"""Examines what the gateway reaches over a network: upstreams with their schema, and stores."""

import asyncio
import time
from collections.abc import Iterator
from itertools import chain
from typing import Final

from gateway.cli.checks import Checked, asked, checked, reports, tried_issuers
from gateway.cli.doctor.finding import Finding, fail, ok, warn
from gateway.config.model import Config
from gateway.status import StartUpError, StatusError
from gateway.stores.opening import StoreUnavailableError, is_remote, open_store

_CONNECT_S: Final = 4.0
_WITHIN_S: Final = 8.0
"""The time for each of the examinations, which run side by side."""
_SLOW_STORE_S: Final = 0.05
_MOST_DIFFERENCES: Final = 20
_ADVICE_ISSUER: Final = "correct auth.jwt.issuers, or the network between: tokens of it get 503"
_ADVICE_STORE: Final = "start it, or correct the URL, its password and the network between"


async def examine_reached(config: Config) -> list[Finding]:
    """Returns the findings about the rules, the upstreams and the stores, in bounded time."""
    urls = {
        "auth.store": config.auth.store,
        "rate_limits.store": config.rate_limits.store,
        "idempotency.store": config.idempotency.store,
    }
    found = await asyncio.gather(
        _rules(config),
        _upstreams(config),
        _issuers(config),
        *(_store(setting, url) for setting, url in urls.items() if url and is_remote(url)),
    )
    return [finding for findings in found for finding in findings]


async def _rules(config: Config) -> list[Finding]:
    """Builds the gateway as `serve` does; asks the upstreams only if they give the schema."""
    subject = "settings and schema"
    try:
        async with asyncio.timeout(_WITHIN_S):
            found = await checked(config, online=config.reflect)
    except TimeoutError:
        text = f"were not complete within {_WITHIN_S:g} s"
        return [fail(subject, text, "see `gateway check --online`")]
    return list(_of_rules(subject, found))


def _of_rules(subject: str, found: Checked) -> Iterator[Finding]:
    faults = [*found.faults, *found.without_policy]
    faults += [str(one) for one in found.diagnostics if one.is_error]
    for fault in faults:
        yield fail(subject, fault, "correct it; `gateway check` shows the same")
    warnings = sum(not one.is_error for one in found.diagnostics)
    if warnings:
        text = f"{found.extent}, {warnings} with warnings"
        yield warn(subject, text, "see `gateway check`")
    elif not faults:
        yield ok(subject, found.extent)


async def _upstreams(config: Config) -> list[Finding]:
    if not config.upstreams:
        return [fail("upstreams", "there is none", "set upstreams, or give --upstream HOST:PORT")]
    try:
        async with asyncio.timeout(_WITHIN_S):
            reported = await reports(config, _CONNECT_S)
    except (StartUpError, TimeoutError) as error:
        text = str(error) or f"gave no report within {_WITHIN_S:g} s"
        return [fail("upstreams", text, "correct the settings upstreams")]
    advice = "start it, or correct its address; also look at names, firewalls and certificates"
    findings = []
    for name, endpoints in reported.items():
        subject = f"upstream {name}"
        if not endpoints and config.destinations[name].channel == "grpcio":
            findings.append(ok(subject, "not tried: its channel is grpcio"))
        elif not endpoints:
            findings.append(fail(subject, "no endpoint is known", advice))
        for one in endpoints:
            if one.state == "ready":
                findings.append(ok(subject, f"{one.address} is connected"))
            else:
                text = f"{one.address} is {one.state}: {one.failure or 'no reason is known'}"
                findings.append(fail(subject, text, advice))
    reached = [name for name, found in reported.items() if any(e.state == "ready" for e in found)]
    more = await asyncio.gather(*(_about_itself(config, name) for name in reached))
    return [*findings, *chain.from_iterable(more)]


async def _about_itself(config: Config, name: str) -> list[Finding]:
    """Asks an upstream that is connected for its health and its own descriptors."""
    health, schema = f"upstream {name} health", f"upstream {name} schema"
    try:
        async with asyncio.timeout(_WITHIN_S / 2):
            found = await asked(config, name, _CONNECT_S)
    except (StatusError, StartUpError, TimeoutError) as error:
        text = str(error) or f"did not answer within {_WITHIN_S / 2:g} s"
        return [warn(health, text, "read its log; its calls may fail as this question did")]
    findings = [ok(health, "it is serving" if found.has_health else "it has no health service")]
    if found.ill:
        advice = "read its log; with upstreams.*.health it would get no calls"
        findings = [warn(health, found.ill, advice)]
    if not found.has_reflection:
        return [*findings, ok(schema, "not compared: it offers no server reflection")]
    if not found.differences:
        return [*findings, ok(schema, "its own descriptors agree with the schema")]
    advice = "give the descriptors of the version that runs there"
    shown = found.differences[:_MOST_DIFFERENCES]
    findings += [warn(schema, one, advice) for one in shown]
    left = len(found.differences) - len(shown)
    return [*findings, warn(schema, f"{left} more differences", advice)] if left else findings


async def _issuers(config: Config) -> list[Finding]:
    """Loads the keys of each issuer of JWTs, as the gateway does at its start."""
    subject = "JWT issuer"
    try:
        async with asyncio.timeout(_WITHIN_S):
            found = await tried_issuers(config)
    except ImportError:
        return []  # the settings are refused without it
    except TimeoutError:
        text = f"the keys were not complete within {_WITHIN_S:g} s"
        return [fail(subject, text, _ADVICE_ISSUER)]
    return [
        fail(f"{subject} {issuer}", reason, _ADVICE_ISSUER)
        if reason
        else ok(f"{subject} {issuer}", "its keys can be read")
        for issuer, reason in found
    ]


async def _store(setting: str, url: str) -> list[Finding]:
    """Asks a store, whose URL is not shown: it may hold a password."""
    begun_s = time.monotonic()
    try:
        async with asyncio.timeout(_WITHIN_S), open_store(url) as store:
            await store.ping()
    except StartUpError as error:
        return [fail(setting, str(error), "correct the URL, or install its driver")]
    except (StoreUnavailableError, TimeoutError) as error:
        text = f"the store is unavailable: {error or 'no answer in time'}"
        return [fail(setting, text, _ADVICE_STORE)]
    took_s = time.monotonic() - begun_s
    more: list[Finding] = []
    if not url.startswith("postgres"):
        # Only now: the driver may not be installed.
        from gateway.cli.doctor.redis import examine_redis  # noqa: PLC0415

        more = await examine_redis(setting, url, _WITHIN_S / 4)
    text = f"the store answers, connected and asked within {1000 * took_s:.0f} ms"
    if took_s > _SLOW_STORE_S:
        return [warn(setting, text, "put it nearer: requests with credentials wait for it"), *more]
    return [ok(setting, text), *more]
