"""The endpoints of the OpenAPI document, as JSON and as YAML."""

from collections.abc import Callable

from gateway.endpoints.docs.content import Content
from gateway.http.messages import Endpoints
from gateway.openapi.text import to_json, to_yaml
from gateway.transcoding.payload import JSON

YAML = "application/yaml"
"""RFC 9512."""


def document_endpoints(path: str, build: Callable[[], object], level: int) -> Endpoints:
    """The endpoints `path`.json and `path`.yaml with the document that `build` makes.

    `build` runs in a thread, once for each form on its first request; `level` is that of the
    compression, 0 for none.
    """
    return {
        f"{path}.json": {"GET": Content(lambda: to_json(build()).encode(), JSON, level=level)},
        f"{path}.yaml": {"GET": Content(lambda: to_yaml(build()).encode(), YAML, level=level)},
    }
