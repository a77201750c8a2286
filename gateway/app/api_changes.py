"""The changes of a reload that break REST clients: what `gateway diff` finds, as lines."""

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from gateway.app.open_site import OpenSite
from gateway.config.model import Config
from gateway.openapi.changes.documents import compare_documents
from gateway.openapi.document import build_document
from gateway.schema.catalog import files_of
from gateway.schema.places import elements_of

Described = tuple[Config, OpenSite]
"""Settings, and the site that was composed of them."""

_MOST_BINDINGS: Final = 2000
"""The most routes of which documents are compared: it takes up to two seconds of CPU, beside which
requests are answered more slowly."""


def api_changes(before: Described, after: Described) -> list[str]:
    """Returns a line for each change that breaks clients, or may surprise them: `! breaking RULE: `
    and `! warning RULE: `, then the change, and why it has this level. The worst come first.

    Two OpenAPI documents are built and compared, so call it in a thread.
    """
    most = max(len(opened.transcoder.bindings) for _, opened in (before, after))
    if most > _MOST_BINDINGS:
        told = f"{most} routes are more than the {_MOST_BINDINGS} that a reload compares"
        return [f"! warning not-compared: {told} for changes that break clients: use gateway diff"]
    elements = tuple(elements_of(_files(opened)) for _, opened in (before, after))
    found = compare_documents(_document(*before), _document(*after), (elements[0], elements[1]))
    return [
        f"! {one.level} {one.rule}: {one.text}: {one.why}"
        for one in found
        if one.level != "compatible"
    ]


def _document(config: Config, opened: OpenSite) -> dict[str, Any]:
    bindings, policies = opened.transcoder.bindings, opened.site.policies or {}
    return build_document(config, opened.schema, bindings, policies)


def _files(opened: OpenSite) -> Iterator[FileDescriptorProto]:
    """Yields the files of all methods."""
    for file in files_of(opened.schema.methods.values()):
        proto = FileDescriptorProto()
        file.CopyToProto(proto)
        yield proto
