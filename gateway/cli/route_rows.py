"""The routes that a configuration would serve, as rows."""

from collections.abc import Mapping

from gateway.app.schema_loading import load_schema
from gateway.config.model import Config
from gateway.policy.effective import Policies, effective_policies, summary
from gateway.process.event_loop import run
from gateway.schema.catalog import Schema
from gateway.transcoding.binding import Binding
from gateway.transcoding.reachability import never_reached
from gateway.transcoding.transcoder import build_transcoder
from gateway.upstream.pool import open_pool


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
