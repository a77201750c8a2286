"""Notes of `gateway check` about routes that an OpenAPI document cannot fully describe."""

from collections.abc import Iterable, Iterator, Sequence

from gateway.openapi.paths import openapi_path
from gateway.transcoding.binding import Binding

_MOST = 5
"""The limit of routes that one note names."""


def document_notes(bindings: Iterable[Binding]) -> Iterator[str]:
    """Yields the notes: on routes with `**`, and on those that are one path in the document."""
    deep: list[str] = []
    of_path: dict[tuple[str, str], list[str]] = {}
    for binding in bindings:
        path = openapi_path(binding, {})
        route = f"{binding.http_method} {binding.template}"
        of_path.setdefault((binding.http_method, path.shape), []).append(route)
        if any(parameter.is_deep for parameter in path.parameters):
            deep.append(route)
    if deep:
        yield (
            "clients must send the slashes in a variable with ** as they are, which OpenAPI cannot "
            f"state, so generated clients send %2F: {_listed(deep)}"
        )
    alike = [routes for routes in of_path.values() if len(routes) > 1]
    if alike:
        named = [" and ".join(routes) for routes in alike]
        yield f"the OpenAPI document has one operation for each of these: {_listed(named)}"


def _listed(routes: Sequence[str]) -> str:
    more = f" and {len(routes) - _MOST} more" if len(routes) > _MOST else ""
    return ", ".join(routes[:_MOST]) + more
