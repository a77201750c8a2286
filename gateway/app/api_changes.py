"""The changes of a reload that break REST clients: what `gateway diff` finds, as lines."""

from typing import Any, Final, NamedTuple

from gateway.config.model import Config, StartUpError
from gateway.exchange.site import Site
from gateway.schema.catalog import Schema
from gateway.schema.places import Elements, elements_of
from gateway.schema.sources import DescriptorFiles
from gateway.schema.used_files import used_files

_MOST_BINDINGS: Final = 2000
"""The most routes of which documents are compared: it takes up to two seconds of CPU, beside which
requests are answered more slowly."""


class Described(NamedTuple):
    """Settings, and the schema and the site that were composed of them."""

    config: Config
    schema: Schema
    site: Site


def api_changes(before: Described, after: Described) -> list[str]:
    """Returns a line for each change that breaks clients, or may surprise them, the worst first.

    It has `! breaking RULE: ` or `! warning RULE: `, the place in a .proto file if it is known, the
    change, and why it has this level.

    Two OpenAPI documents are built and compared, so call it in a thread.
    """
    most = max(len(one.site.transcoder.bindings) for one in (before, after))
    if most > _MOST_BINDINGS:
        reason = f"{most} routes are more than the {_MOST_BINDINGS} that a reload compares"
        return [
            f"! warning not-compared: {reason} for changes that break clients: use gateway diff"
        ]
    # Imported here: most gateways are never reloaded with another schema.
    from gateway.openapi.changes.documents import compare_documents  # noqa: PLC0415

    old, new = (elements_of(used_files(one.schema)) for one in (before, after))
    found = [
        one
        for one in compare_documents(document_of(before), document_of(after), (old, new))
        if one.level != "compatible"
    ]
    places = _Places(old, new, before.schema, after.config) if found else None
    return [
        f"! {one.level} {one.rule}: {_with_colon(places, one.element)}{one.text}: {one.why}"
        for one in found
    ]


def _with_colon(places: "_Places | None", element: str) -> str:
    place = "" if places is None else places.of(element)
    return f"{place}: " if place else ""


class _Places:
    """The places of elements in .proto files, with lines where they are known.

    The schema in force keeps no lines but those of methods. The files of the new one are read
    again.
    """

    def __init__(self, old: Elements, new: Elements, before: Schema, after: Config) -> None:
        self._old, self._new = old, new
        self._methods = before.methods
        self._read = _read_again(after)

    def of(self, element: str) -> str:
        """Returns the place of an element; empty if it has none."""
        found = self._read.get(element) or self._new.get(element)
        if found is not None:
            return found.place
        if element in self._methods:
            return f"{self._methods[element].source}, before"
        # A field or a value that is gone: the place of its message or enum, if that is still there.
        found = self._read.get(element.rpartition(".")[0])
        if found is not None:
            return found.place
        found = self._old.get(element)
        return "" if found is None else f"{found.place}, before"


def _read_again(config: Config) -> Elements:
    """Returns the elements of the files that settings name; none if they cannot be read now."""
    files = DescriptorFiles()
    try:
        for path in config.descriptors:
            files.add_set(path)
        for module in config.modules:
            files.add_module(module)
        return elements_of(files.complete().file)
    except StartUpError:
        return {}


def document_of(one: Described) -> dict[str, Any]:
    """Builds the OpenAPI document of all routes, also of those that clients are not shown."""
    # Imported here: few gateways show their document, or are reloaded with another schema.
    from gateway.openapi.document import build_document  # noqa: PLC0415

    bindings, policies = one.site.transcoder.bindings, one.site.policies or {}
    return build_document(one.config, one.schema, bindings, policies)
