"""Compares two OpenAPI documents of the gateway, as the clients of the API see them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.openapi.changes.findings import Finding, Findings, Spot
from gateway.openapi.changes.operations import OperationChanges, method_name
from gateway.openapi.changes.schemas import Part, SchemaChanges
from gateway.schema.places import Elements

_PARAMETER: Final = re.compile(r"\{[^{}]*\}")
_VERBS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_ERROR: Final = "Failure"
"""The component for the body of errors (`openapi/errors.py`)."""
_SENT_AS: Final = ("type", "scheme", "in", "name")
"""The keywords of a security scheme by which a client knows how to send it."""
_ISSUER: Final = "openIdConnectUrl"
"""The keyword for an issuer of JWTs; the names of their schemes only count them."""
_ANY, _PATH = "**", "/"
"""The keys of a tree of routes for any number of segments, and for a path that ends."""
Operations = Mapping[str, tuple[str, Part]]
"""The path and the operation, by HTTP method."""


def compare_documents(
    old: Part, new: Part, elements: tuple[Elements, Elements] = ({}, {})
) -> list[Finding]:
    """Compares two documents, and returns all changes, the worst first.

    With the elements of the protos from which each was made, a field that has kept its number and
    changed its name is found to be renamed, and not removed.
    """
    found = Findings()
    schemas = SchemaChanges(old, new, elements, found)
    operations = OperationChanges(schemas, found)
    _compare_errors(old, new, found)
    _compare_credentials(old, new, found)
    before, after = _routes(old), _routes(new)
    moved = {_rpc(operation): route for route, operation in _operations(after)}
    for shape, verbs in before.items():
        now = after.get(shape, {})
        for verb, (path, operation) in verbs.items():
            spot = Spot(method_name(operation), "", f"{verb} {path}")
            if verb in now:
                operations.compare(operation, now[verb][1], spot)
            else:
                rule = "method-removed" if now else "path-removed"
                instead = moved.get(_rpc(operation))
                found.add(rule, spot, f"removed; {instead} is there" if instead else "removed")
    kept = _tree(before, after)
    for shape, verbs in after.items():
        was = before.get(shape, {})
        for verb, (path, operation) in verbs.items():
            if verb not in was:
                spot = Spot(method_name(operation), "", f"{verb} {path}")
                found.add("method-added" if was else "path-added", spot, "added")
                for hidden in _matching(kept, [verb, *shape[1:].split("/")]):
                    found.add("path-hidden", spot, f"takes requests from {verb} {hidden}")
    return found.sorted()


def _tree(before: Mapping[str, Operations], after: Mapping[str, Operations]) -> dict[str, Any]:
    """The routes that stay, by HTTP method and segment after segment; the last has the path."""
    tree: dict[str, Any] = {}
    for shape, verbs in before.items():
        for verb in verbs.keys() & after.get(shape, {}).keys():
            path, operation = verbs[verb]
            parameters = operation.get("parameters", ())
            is_deep = any(
                one.get("x-wildcard") and path.endswith(f"{{{one['name']}}}") for one in parameters
            )
            *front, last = [verb, *shape[1:].split("/")]
            node = tree
            for segment in front:
                node = node.setdefault(segment, {})
            node.setdefault(_ANY if is_deep else last, {})[_PATH] = path
    return tree


def _matching(tree: Mapping[str, Any], segments: Sequence[str]) -> Iterator[str]:
    """Yields the paths of a tree that match all that a more literal path matches."""
    if not segments:
        if _PATH in tree:
            yield tree[_PATH]
        return
    if _ANY in tree:
        yield tree[_ANY][_PATH]
    head, _, end = segments[0].partition(":")
    for segment in dict.fromkeys((segments[0], f"{{}}:{end}" if end else "{}")):
        if head and segment in tree:
            yield from _matching(tree[segment], segments[1:])


def _rpc(operation: Part) -> tuple[str, object]:
    return method_name(operation), operation.get("operationId")


def _routes(document: Part) -> Mapping[str, Operations]:
    """The operations of each path, whose parameters have no names here."""
    found: dict[str, dict[str, tuple[str, Part]]] = {}
    for path, item in document.get("paths", {}).items():
        verbs = found.setdefault(_PARAMETER.sub("{}", path), {})
        verbs |= {verb.upper(): (path, item[verb]) for verb in _VERBS if verb in item}
        for key in ("x-operations", "additionalOperations"):
            verbs |= {verb: (path, one) for verb, one in item.get(key, {}).items()}
    return found


def _operations(routes: Mapping[str, Operations]) -> Iterator[tuple[str, Part]]:
    for verbs in routes.values():
        for verb, (path, operation) in verbs.items():
            yield f"{verb} {path}", operation


def _compare_errors(old: Part, new: Part, found: Findings) -> None:
    """Compares the form of errors, which is one setting for the whole API."""
    shapes = [_error_fields(document) for document in (old, new)]
    if all(shapes) and shapes[0] != shapes[1]:
        text = f"has the fields {', '.join(shapes[1])}, before {', '.join(shapes[0])}"
        found.add("error-shape-changed", Spot("", "", "every error"), text)


def _compare_credentials(old: Part, new: Part, found: Findings) -> None:
    """Compares how each kind of credential is sent, and where it is issued."""
    before, after = (one.get("components", {}).get("securitySchemes", {}) for one in (old, new))
    for name in before.keys() & after.keys():
        was, now = ({k: one[name].get(k) for k in _SENT_AS} for one in (before, after))
        spot = Spot("", "", f"credential {name}")
        if was != now:
            parts = ", ".join(f"{word} {now[word]}" for word in now if now[word] != was[word])
            found.add("credential-form-changed", spot, f"has {parts}")
        elif _addresses(before[name]) != _addresses(after[name]):
            found.add("credential-address-changed", spot, "is issued elsewhere")
    issuers = [[one[_ISSUER] for one in of.values() if _ISSUER in one] for of in (before, after)]
    if issuers[1]:  # without any, the operations say that the kind of credential is gone
        for url in issuers[0]:
            if url not in issuers[1]:
                text = f"{url} is no longer listed"
                found.add("credential-issuer-changed", Spot("", "", "issuer of JWTs"), text)


def _addresses(scheme: Part) -> object:
    return {
        kind: {word: value for word, value in flow.items() if word != "scopes"}
        for kind, flow in scheme.get("flows", {}).items()
    }


def _error_fields(document: Part) -> list[str]:
    schema = document.get("components", {}).get("schemas", {}).get(_ERROR, {})
    return list(schema.get("properties", {}))
