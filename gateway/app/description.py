"""Composes the endpoints that describe the API: the OpenAPI document and its page."""

from gateway.config.model import Config
from gateway.endpoints.docs.document import document_endpoints
from gateway.endpoints.docs.page import page_endpoints
from gateway.http.messages import Endpoints
from gateway.openapi.info import title
from gateway.policy.effective import Policies
from gateway.schema.catalog import Schema
from gateway.transcoding.transcoder import Transcoder


def description_endpoints(
    config: Config, schema: Schema, transcoder: Transcoder, policies: Policies
) -> Endpoints:
    """The endpoints of the document and of the page, each if the settings ask for it.

    Raises:
        DocsError: the page is asked for, and its files are not installed.
    """
    if not config.openapi.enabled:
        return {}
    bindings = transcoder.bindings

    def build() -> dict[str, object]:
        # Imported when the document is first asked for: the gateway is ready to serve sooner.
        from gateway.openapi.document import build_document  # noqa: PLC0415

        return build_document(config, schema, bindings, policies)

    level = config.compression.level if config.compression.enabled else 0
    found = dict(document_endpoints(config.openapi.path, build, level))
    if config.docs.enabled:
        methods = [binding.method for binding in bindings]
        found |= page_endpoints(config.docs, config.openapi, title(config.openapi, methods), level)
    return found
