"""What a configuration would serve, found out without serving it."""

from collections.abc import Mapping, Sequence

from gateway.app import load_schema
from gateway.config.model import Config
from gateway.explain import Explanation, explain_request
from gateway.schema.catalog import Schema
from gateway.serving import run
from gateway.transcoding.binding import Binding, Diagnostic, bind, build_router
from gateway.transcoding.transcoder import Transcoder, build_transcoder
from gateway.upstream.pool import open_pool


def routes(config: Config) -> list[Mapping[str, str]]:
    """Every route as a row: its HTTP method, its template, what it calls, and how.

    Raises:
        StartUpError: the configuration cannot be served.
    """
    return [_row(binding) for binding in run(_transcoder(config)).bindings]


def check(config: Config) -> tuple[str, Sequence[Diagnostic]]:
    """How much there is to serve, and what is wrong with it or doubtful.

    Raises:
        StartUpError: there is no schema to check.
    """
    schema = run(_schema(config))
    bindings, diagnostics = bind(schema)
    _, conflicts = build_router(bindings, on_conflict=config.routing.on_conflict)
    return f"{len(bindings)} routes of {len(schema.methods)} methods", [*diagnostics, *conflicts]


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


def _row(binding: Binding) -> dict[str, str]:
    body = binding.body
    return {
        "http_method": binding.http_method,
        "template": str(binding.template),
        "rpc": binding.method.full_name,
        "kind": binding.method.kind,
        "body": body if isinstance(body, str) else body.name if body else "",
        "response_body": binding.response_body.name if binding.response_body else "",
    }
