"""Builds the OpenAPI document of a configuration."""

from gateway.app.site import load_schema
from gateway.config.model import Config
from gateway.openapi.document import build_document
from gateway.policy.effective import effective_policies
from gateway.process.serve import run
from gateway.schema.catalog import Schema
from gateway.transcoding.transcoder import build_transcoder
from gateway.upstream.pool import open_pool


def document_of(config: Config) -> dict[str, object]:
    """Builds the document of what `gateway serve` would answer.

    Raises:
        StartUpError: a source of the schema cannot be read, or a rule cannot be served.
    """
    schema = run(_read_schema(config))
    policies = effective_policies(schema, config.policies)
    return build_document(config, schema, build_transcoder(config, schema).bindings, policies)


async def _read_schema(config: Config) -> Schema:
    async with open_pool(config.upstreams) as pool:
        return (await load_schema(config, pool, comments=True))[0]
