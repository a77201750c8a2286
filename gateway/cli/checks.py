"""Checks a configuration and lists its routes: builds it as `serve` does."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

from gateway.app.credentials import open_credentials, try_issuers
from gateway.app.schema_loading import drift, load_schema
from gateway.app.site import compose
from gateway.audit import NO_AUDIT
from gateway.cli.annotation_warnings import annotation_warnings
from gateway.cli.document_notes import document_notes
from gateway.cli.worker_figures import worker_figures
from gateway.config.upstreams import Upstream
from gateway.endpoints.admin.admission import read_token
from gateway.interceptors.loading import load_interceptors
from gateway.interceptors.rate_limits.rules import check_rate_limits
from gateway.listeners.sockets import check_listen
from gateway.listeners.tls import TlsContexts
from gateway.policy.effective import Policies, effective_policies, summary, without_policy
from gateway.process.event_loop import run
from gateway.process.worker_count import check_shared
from gateway.stores.opening import PATIENCE_S, StartUpError, StoreUnavailableError, is_remote
from gateway.stores.shared import SETTINGS, SharedStores
from gateway.telemetry.logs.opening import NO_LOGS, check_log_files, open_logs
from gateway.transcoding.binding import Binding, Diagnostic, Schema, plan_routes
from gateway.transcoding.reachability import never_reached
from gateway.transcoding.transcoder import Code, Config, RulesError, StatusError, build_transcoder
from gateway.upstream.pool import Reports, open_pool
from gateway.upstream.reflection import NoReflectionError, ask_health

_CONNECT_S = 10.0
"""Seconds to resolve names, and then to connect, for the report of `gateway upstreams`."""
_NO_BACK_END = {"upstream": Upstream(target="localhost:1")}
"""A placeholder if no back end is named, so that everything else can be checked."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of `gateway check`."""

    extent: str
    """The number of routes and methods, in words."""
    diagnostics: Sequence[Diagnostic] = ()
    """The errors and warnings about HTTP rules."""
    without_policy: Sequence[str] = ()
    faults: Sequence[str] = ()
    """Other reasons why the gateway would not start, one per line."""
    notes: Sequence[str] = ()
    """The parts that were not checked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The answers of an upstream about itself."""

    ill: str
    """The reason why its health is not SERVING; empty if it is, or if it does not say."""
    differences: Sequence[str]
    """The parts of the schema that its own descriptors lack, or have otherwise."""
    has_health: bool
    has_reflection: bool


def check(config: Config, *, online: bool = False) -> Checked:
    """Finds the reasons why a gateway with this configuration would not start.

    Builds the gateway as `gateway serve` does, except that it opens no port. It writes no file, and
    connects to nothing unless `online`.
    """
    return run(checked(config, online=online))


def endpoints(config: Config) -> Reports:
    """Connects to every endpoint of each upstream, as a worker does, and reports them.

    Raises:
        StartUpError: an upstream cannot be opened.
    """

    return run(reports(config, _CONNECT_S))


async def reports(config: Config, timeout_s: float) -> Reports:
    """Does the same as `endpoints`, in a running loop; the endpoints have `timeout_s`."""
    async with open_pool(config.destinations) as pool:
        return await pool.report(timeout_s)


async def asked(config: Config, name: str, timeout_s: float) -> Asked:
    """Asks an upstream, on its own connection, for its health, and how it differs from the schema.

    Raises:
        StatusError, StartUpError: it does not answer.
    """
    async with open_pool(config.destinations) as pool:
        try:
            ill, has_health = await ask_health(pool[name], timeout_s), True
        except StatusError as error:
            if error.code is not Code.UNIMPLEMENTED:
                raise
            ill, has_health = "", False
        if config.reflect:  # it has given the schema
            return Asked(ill, [], has_health=has_health, has_reflection=True)
        schema, _ = await load_schema(config, pool)
        try:
            found = await drift(config, pool, schema, name)
        except NoReflectionError:
            return Asked(ill, [], has_health=has_health, has_reflection=False)
    return Asked(ill, found, has_health=has_health, has_reflection=True)


async def tried_issuers(config: Config) -> Sequence[tuple[str, str]]:
    """Loads the keys of each issuer of JWTs; returns the issuers, and why that failed if it did."""
    return await try_issuers(config.auth.jwt) if config.auth.takes_jwts else []


async def checked(config: Config, *, online: bool) -> Checked:
    """Does the same as `check`, in a running loop."""
    faults: dict[str, None] = {}
    notes = []
    for look in (
        check_shared,
        lambda _: check_listen(config.listen),
        _check_admin,
        _check_tls,
        _check_logs,
    ):
        with _collecting(faults):
            look(config)
    await _check_stores(config, faults, online=online)
    asks = config.reflect and not online
    if asks:
        notes.append("the upstreams were not asked for their descriptors: --online does")
    if not config.upstreams:
        notes.append("no back end is named: serve needs --upstream HOST:PORT")
        if not config.reflect:
            config = config.model_copy(update={"upstreams": _NO_BACK_END})
    found = Checked("0 routes of 0 methods")
    if not asks or config.descriptors or config.modules:
        local = config.model_copy(update={"reflect": config.reflect and online})
        found = await _check_rules(local, faults, whole=not asks)
    if asks or faults or found.without_policy or any(one.is_error for one in found.diagnostics):
        await _check_parts(config, faults)
    lines = [line for line in faults if line not in found.without_policy]
    return replace(found, faults=lines, notes=[*notes, *found.notes, *worker_figures(config)])


async def _check_rules(config: Config, faults: dict[str, None], *, whole: bool) -> Checked:
    """Checks each rule, and then, if the schema is `whole`, the site that they result in."""
    found = Checked("0 routes of 0 methods")
    async with AsyncExitStack() as stack:
        with _collecting(faults):
            pool = await stack.enter_async_context(open_pool(config.destinations))
            schema, reflected = await load_schema(config, pool)
            found = _rules(config, schema)
            if config.openapi.enabled:
                more = annotation_warnings(schema)
                notes = list(document_notes(plan_routes(schema, config.routing)[0].targets))
                found = replace(found, diagnostics=[*found.diagnostics, *more], notes=notes)
            if not whole:
                return found
            policies = effective_policies(schema, config.policies)
            if config.require_policy:
                router, _ = plan_routes(schema, config.routing)
                served = [binding.method for binding in router.targets]
                found = replace(found, without_policy=without_policy(policies, served))
            check_rate_limits(policies)
            logs = await stack.enter_async_context(open_logs(NO_LOGS))
            with suppress(RulesError):  # each is reported as a diagnostic
                await compose(
                    *(config, pool, schema, reflected), logs=logs, stack=stack, rehearsal=True
                )
    return found


def _rules(config: Config, schema: Schema) -> Checked:
    router, diagnostics = plan_routes(schema, config.routing)
    extent = f"{len(router.targets)} routes of {len(schema.methods)} methods"
    return Checked(extent, [*diagnostics, *never_reached(router).values()])


async def _check_parts(config: Config, faults: dict[str, None]) -> None:
    """Checks the parts that do not depend on the schema, each alone, to report all errors."""
    async with AsyncExitStack() as stack:
        with _collecting(faults):
            pool = await stack.enter_async_context(open_pool(config.destinations))
            with _collecting(faults):
                await open_credentials(
                    config, pool, NO_AUDIT, stack, SharedStores(), rehearsal=True
                )
        with _collecting(faults):
            await load_interceptors(config.interceptors, None, None)


async def _check_stores(config: Config, faults: dict[str, None], *, online: bool) -> None:
    """Checks the URLs of all stores; `online`, connects to those that a network reaches."""
    urls = {
        "credentials": config.auth.store,
        "counters": config.rate_limits.store,
        "cache": config.cache.store,
        "idempotency": config.idempotency.store,
    }
    for purpose, url in urls.items():
        if url is None:
            continue
        with _collecting(faults):
            async with SharedStores().open(purpose, url, PATIENCE_S) as store:
                try:
                    if online and is_remote(url):
                        await store.ping()
                except StoreUnavailableError as error:
                    faults.setdefault(f"{SETTINGS[purpose]}: the store is unavailable: {error}")


def _check_admin(config: Config) -> None:
    if config.admin.listen is not None:
        check_listen(config.admin.listen)
    read_token(config.admin)


def _check_tls(config: Config) -> None:
    if config.tls is not None:
        TlsContexts(config.tls)


def _check_logs(config: Config) -> None:
    check_log_files(config.log)


@contextmanager
def _collecting(faults: dict[str, None]) -> Iterator[None]:
    try:
        yield
    except StartUpError as error:
        faults.update(dict.fromkeys(str(error).splitlines()))


def route_rows(config: Config) -> list[Mapping[str, str]]:
    """One row for each route that is served: its HTTP method, template, RPC, and details.

    Raises:
        StartUpError: the configuration cannot be served.
    """
    schema = read_schema(config)
    policies = effective_policies(schema, config.policies)
    transcoder = build_transcoder(config, schema)
    lost = never_reached(transcoder.router)
    return [_row(binding, policies) for binding in transcoder.bindings if binding not in lost]


def read_schema(config: Config, *, comments: bool = False) -> Schema:
    """Reads the schema from its configured sources; with `comments`, also those of the files.

    Raises:
        StartUpError: a source cannot be read.
    """
    return run(_read_schema(config, comments=comments))


async def _read_schema(config: Config, *, comments: bool) -> Schema:
    async with open_pool(config.destinations) as pool:
        return (await load_schema(config, pool, comments=comments))[0]


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
