"""What a configuration would serve, found out without serving it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

from gateway.app.credentials import open_credentials
from gateway.app.site import compose, counters_url, load_schema
from gateway.audit import NO_AUDIT
from gateway.cli.explain import Explanation, explain_request
from gateway.config.model import Config, Upstream
from gateway.interceptors.loading import load_interceptors
from gateway.interceptors.rate_limits.rules import check_rate_limits
from gateway.listeners.sockets import check_listen
from gateway.listeners.tls import TlsContexts
from gateway.policy.effective import Policies, effective_policies, summary, without_policy
from gateway.process.serve import run
from gateway.process.supervisor import check_shared
from gateway.schema.catalog import Schema
from gateway.status import StartUpError
from gateway.stores.base import StoreUnavailableError
from gateway.stores.opening import open_store
from gateway.telemetry.logs.opening import NO_LOGS, check_log_files, open_logs
from gateway.transcoding.binding import Binding, Diagnostic, plan_routes
from gateway.transcoding.reachability import never_reached
from gateway.transcoding.transcoder import RulesError, Transcoder, build_transcoder
from gateway.upstream.pool import open_pool

_NOBODY = {"upstream": Upstream(target="localhost:1")}
"""Stands for the back ends where none is named, so that all else can be looked at."""


def routes(config: Config) -> list[Mapping[str, str]]:
    """Every route that is served as a row: its HTTP method, its template, what it calls, and how.

    Raises:
        StartUpError: the configuration cannot be served.
    """
    schema = run(_schema(config))
    policies = effective_policies(schema, config.policies)
    transcoder = build_transcoder(config, schema)
    lost = never_reached(transcoder.router)
    return [_row(binding, policies) for binding in transcoder.bindings if binding not in lost]


@dataclass(frozen=True, slots=True)
class Checked:
    """What `gateway check` found."""

    extent: str
    """How much there is to serve."""
    diagnostics: Sequence[Diagnostic] = ()
    """What is wrong with rules, or doubtful."""
    without_policy: Sequence[str] = ()
    faults: Sequence[str] = ()
    """What else would keep a gateway from starting, a line each."""
    notes: Sequence[str] = ()
    """What was not looked at."""


def check(config: Config, *, online: bool = False) -> Checked:
    """What would keep a gateway with this configuration from starting.

    It is put together as `gateway serve` does, up to the port, which is not taken. No file is
    written, and nobody is asked, unless `online`.
    """
    return run(_check(config, online=online))


def explain(config: Config, request: str, data: str) -> Explanation:
    """What the request `METHOD /path?query` with this body would become.

    Raises:
        StartUpError: the configuration cannot be served.
    """
    return explain_request(run(_transcoder(config)), request, data)


async def _check(config: Config, *, online: bool) -> Checked:
    faults: dict[str, None] = {}
    notes = []
    for look in (check_shared, lambda _: check_listen(config.listen), _check_tls, _check_logs):
        with _noted(faults):
            look(config)
    if online:
        await _check_stores(config, faults)
    asks = config.reflect and not online
    if asks:
        notes.append("the upstreams were not asked for their descriptors: --online does")
    if not config.upstreams:
        notes.append("no back end is named: serve needs --upstream HOST:PORT")
        if not config.reflect:
            config = config.model_copy(update={"upstreams": _NOBODY})
    found = Checked("0 routes of 0 methods")
    if not asks or config.descriptors or config.modules:
        local = config.model_copy(update={"reflect": config.reflect and online})
        found = await _check_rules(local, faults, whole=not asks)
    if asks or faults or found.without_policy or any(one.is_error for one in found.diagnostics):
        await _check_parts(config, faults)
    lines = [line for line in faults if line not in found.without_policy]
    return replace(found, faults=lines, notes=notes)


async def _check_rules(config: Config, faults: dict[str, None], *, whole: bool) -> Checked:
    """The rules one by one, then all that is made of them; the latter if they are the `whole`."""
    found = Checked("0 routes of 0 methods")
    async with AsyncExitStack() as stack:
        with _noted(faults):
            pool = await stack.enter_async_context(open_pool(config.upstreams))
            schema, reflected = await load_schema(config, pool)
            found = _rules(config, schema)
            if not whole:
                return found
            policies = effective_policies(schema, config.policies)
            if config.require_policy:
                router, _ = plan_routes(schema, config.routing)
                served = [binding.method for binding in router.targets]
                found = replace(found, without_policy=without_policy(policies, served))
            check_rate_limits(policies)
            logs = await stack.enter_async_context(open_logs(NO_LOGS))
            with suppress(RulesError):  # each of these is a diagnostic
                await compose(config, pool, schema, reflected, logs, stack, rehearsal=True)
    return found


def _rules(config: Config, schema: Schema) -> Checked:
    router, diagnostics = plan_routes(schema, config.routing)
    extent = f"{len(router.targets)} routes of {len(schema.methods)} methods"
    return Checked(extent, [*diagnostics, *never_reached(router).values()])


async def _check_parts(config: Config, faults: dict[str, None]) -> None:
    """What does not depend on the schema, each for itself: not only the first fault is told."""
    async with AsyncExitStack() as stack:
        with _noted(faults):
            pool = await stack.enter_async_context(open_pool(config.upstreams))
            with _noted(faults):
                await open_credentials(config, pool, NO_AUDIT, stack, rehearsal=True)
        with _noted(faults):
            await stack.enter_async_context(open_store(counters_url(config)))
        with _noted(faults):
            await load_interceptors(config.interceptors, None, None)


async def _check_stores(config: Config, faults: dict[str, None]) -> None:
    """Asks the stores that are reached over a network."""
    urls = {"auth.store": config.auth.store, "rate_limits.store": config.rate_limits.store}
    for setting, url in urls.items():
        if url is None or url.startswith(("memory:", "sqlite:")):
            continue
        with _noted(faults):
            async with open_store(url) as store:
                try:
                    await store.ping()
                except StoreUnavailableError as error:
                    faults.setdefault(f"{setting}: the store cannot be asked: {error}")


def _check_tls(config: Config) -> None:
    if config.tls is not None:
        TlsContexts(config.tls)


def _check_logs(config: Config) -> None:
    check_log_files(config.log)


@contextmanager
def _noted(faults: dict[str, None]) -> Iterator[None]:
    try:
        yield
    except StartUpError as error:
        faults.update(dict.fromkeys(str(error).splitlines()))


async def _schema(config: Config) -> Schema:
    async with open_pool(config.upstreams) as pool:
        return (await load_schema(config, pool))[0]


async def _transcoder(config: Config) -> Transcoder:
    return build_transcoder(config, await _schema(config))


def _row(binding: Binding, policies: Policies) -> dict[str, str]:
    body = binding.body
    return {
        "http_method": binding.http_method,
        "template": str(binding.template),
        "rpc": binding.method.full_name,
        "kind": binding.method.kind,
        "body": body if isinstance(body, str) else body.name if body else "",
        "response_body": binding.response_body.name if binding.response_body else "",
        "policy": summary(policies[binding.method]),
    }
