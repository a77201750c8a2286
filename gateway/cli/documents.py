"""Builds the OpenAPI document of a configuration."""

from gateway.cli.checks import read_schema
from gateway.openapi.document import build_document, with_version
from gateway.policy.effective import effective_policies
from gateway.transcoding.transcoder import Config, build_transcoder


def document_of(config: Config, version: str = "") -> dict[str, object]:
    """Builds the document of what `gateway serve` would answer, in this version of OpenAPI.

    Raises:
        StartUpError: a source of the schema cannot be read, or a rule cannot be served.
    """
    config = with_version(config, version)
    schema = read_schema(config, comments=True)
    policies = effective_policies(schema, config.policies)
    return build_document(config, schema, build_transcoder(config, schema).bindings, policies)
