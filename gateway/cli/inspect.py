"""What a configuration would serve, found out without serving it."""

from collections.abc import Mapping, Sequence

from gateway.app.site import load_schema
from gateway.cli.explain import Explanation, explain_request
from gateway.config.model import Config
from gateway.interceptors.rate_limits.rules import check_rate_limits
from gateway.policy.effective import Policies, effective_policies, in_words, without_policy
from gateway.process.serve import run
from gateway.schema.catalog import Schema
from gateway.transcoding.binding import Binding, Diagnostic, bind, build_router
from gateway.transcoding.transcoder import Transcoder, build_transcoder
from gateway.upstream.pool import open_pool


def routes(config: Config) -> list[Mapping[str, str]]:
    """Every route as a row: its HTTP method, its template, what it calls, and how.

    Raises:
        StartUpError: the configuration cannot be served.
    """
    schema = run(_schema(config))
    policies = effective_policies(schema, config.policies)
    return [_row(binding, policies) for binding in build_transcoder(config, schema).bindings]


def check(config: Config) -> tuple[str, Sequence[Diagnostic], Sequence[str]]:
    """How much there is to serve, what is wrong with its rules or doubtful, and with its policies.

    Raises:
        StartUpError: there is no schema to check, or no sense in what it says.
    """
    schema = run(_schema(config))
    bindings, diagnostics = bind(schema)
    _, conflicts = build_router(bindings, on_conflict=config.routing.on_conflict)
    extent = f"{len(bindings)} routes of {len(schema.methods)} methods"
    policies = effective_policies(schema, config.policies)
    check_rate_limits(policies)
    served = [binding.method for binding in bindings]
    missing = without_policy(policies, served) if config.require_policy else ()
    return extent, [*diagnostics, *conflicts], missing


def explain(config: Config, request: str, data: str) -> Explanation:
    """What the request `METHOD /path?query` with this body would become.

    Raises:
        StartUpError: the configuration cannot be served.
    """
    return explain_request(run(_transcoder(config)), request, data)


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
        "policy": in_words(policies[binding.method]),
    }
