"""Compares two operations of one route: parameters, bodies, replies, callers, limits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.openapi.changes.schemas import Findings, Part, SchemaChanges, Side, Spot

_LINES: Final = "application/x-ndjson"
"""The media type that every stream has among others."""
_ALWAYS: Final = frozenset({"Grpc-Timeout", "X-Request-Id"})
"""The header fields that count in every call, and that not every document states."""


@dataclass(frozen=True, slots=True)
class OperationChanges:
    """Compares operations."""

    schemas: SchemaChanges
    found: Findings

    def compare(self, old: Part, new: Part, spot: Spot) -> None:
        """Compares an operation with what answers the same requests now."""
        if new.get("deprecated") and not old.get("deprecated"):
            self.found.add("deprecated", spot, "deprecated")
        rpc, rpc_before = method_name(new), method_name(old)
        if rpc != rpc_before:
            self.found.add("operation-replaced", spot, f"calls {rpc}, before {rpc_before}")
        self._compare_path(old, new, spot)
        self._compare_query(old, new, spot)
        self._compare_headers(old, new, spot)
        self._compare_body(old.get("requestBody"), new.get("requestBody"), spot)
        before, after = _content(_reply(old)), _content(_reply(new))
        self._compare_content(before, after, Side.RESPONSE, spot)
        self._compare_alternatives(old, new, spot)
        self._compare_callers(old, new, spot)
        self._compare_limits(old, new, spot)

    def _compare_path(self, old: Part, new: Part, spot: Spot) -> None:
        for before, after in zip(_parameters(old, "path"), _parameters(new, "path"), strict=False):
            inner = spot._replace(subject=f"path parameter {before['name']}")
            if before["name"] != after["name"]:
                text = f"named {after['name']} now"
                self.found.add("path-parameter-renamed", inner, text)
            deep, is_deep = bool(before.get("x-wildcard")), bool(after.get("x-wildcard"))
            if deep != is_deep:
                rule = "path-parameter-widened" if is_deep else "path-parameter-narrowed"
                extent = "any number of segments" if is_deep else "one segment"
                self.found.add(rule, inner, f"matches {extent} now")
            self.schemas.compare_rules(before, after, Side.REQUEST, inner)
            self.schemas.compare(before["schema"], after["schema"], Side.REQUEST, inner)

    def _compare_headers(self, old: Part, new: Part, spot: Spot) -> None:
        """Compares what must be in the header of requests, and what is in that of replies."""
        for name in sorted(_header_fields(old) - _header_fields(new)):
            inner = spot._replace(subject=f"header field {name}")
            self.found.add("request-parameter-removed", inner, "has no effect any more")
        was = {one["name"] for one in _parameters(old, "header") if one.get("required")}
        for one in _parameters(new, "header"):
            if one.get("required") and one["name"] not in was:
                inner = spot._replace(subject=f"header field {one['name']}")
                self.found.add("request-parameter-became-required", inner, "is now required")
        for status, reply in old["responses"].items():
            if not status.startswith("2"):
                continue
            if status not in new["responses"]:
                self.found.add("response-status-removed", spot, f"no longer answers {status}")
                continue
            now = new["responses"][status].get("headers", {})
            for name in sorted(reply.get("headers", {}).keys() - now.keys() - _ALWAYS):
                inner = spot._replace(subject=f"header field {name}")
                self.found.add("response-header-removed", inner, f"no longer sent with {status}")

    def _compare_query(self, old: Part, new: Part, spot: Spot) -> None:
        before = {one["name"]: one for one in _parameters(old, "query")}
        after = {one["name"]: one for one in _parameters(new, "query")}
        for name, part in before.items():
            inner = spot._replace(subject=f"query parameter {name}")
            if name not in after:
                self.found.add("request-parameter-removed", inner, "removed")
                continue
            is_needed = bool(after[name].get("required"))
            if bool(part.get("required")) != is_needed:
                what = "required" if is_needed else "optional"
                self.found.add(f"request-parameter-became-{what}", inner, f"is now {what}")
            if after[name].get("deprecated") and not part.get("deprecated"):
                self.found.add("deprecated", inner, "deprecated")
            self.schemas.compare_rules(part, after[name], Side.REQUEST, inner)
            self.schemas.compare(part["schema"], after[name]["schema"], Side.REQUEST, inner)
        for name, part in after.items():
            if name not in before:
                inner = spot._replace(subject=f"query parameter {name}")
                kind = "required-" if part.get("required") else ""
                self.found.add(f"request-parameter-{kind}added", inner, "added")

    def _compare_body(self, old: Part | None, new: Part | None, spot: Spot) -> None:
        if old is None and new is None:
            return
        if old is None or new is None:
            if new is None:
                rule, change = "request-body-removed", "takes no body now"
            elif new.get("required"):
                rule, change = "request-body-added-required", "needs a body now"
            else:
                rule, change = "request-body-added", "takes a body now"
            self.found.add(rule, spot, change)
            return
        is_needed = bool(new.get("required"))
        if bool(old.get("required")) != is_needed:
            what = "required" if is_needed else "optional"
            self.found.add(f"request-body-became-{what}", spot, f"the body is now {what}")
        self._compare_content(_content(old), _content(new), Side.REQUEST, spot)

    def _compare_content(self, old: Part, new: Part, side: Side, spot: Spot) -> None:
        """Compares the bodies of each media type."""
        what = "the request" if side is Side.REQUEST else "the reply"
        if old and new and (_LINES in old) != (_LINES in new):
            is_stream = "a stream" if _LINES in new else "one message"
            self.found.add(f"{side}-stream-changed", spot, f"{what} is {is_stream} now")
            return
        for media_type, part in old.items():
            if media_type not in new:
                text = f"{what} cannot be {media_type} any more"
                self.found.add(f"{side}-media-type-removed", spot, text)
            elif "schema" in part and "schema" in new[media_type]:
                inner = spot._replace(subject=what)
                self.schemas.compare(part["schema"], new[media_type]["schema"], side, inner)
        for media_type in new:
            if media_type not in old:
                self.found.add(f"{side}-media-type-added", spot, f"{what} can be {media_type} too")

    def _compare_alternatives(self, old: Part, new: Part, spot: Spot) -> None:
        before, after = _alternatives(old), _alternatives(new)
        for path in before:
            if path not in after:
                self.found.add("alternative-removed", spot, f"{path} is no longer served")
        for path in after:
            if path not in before:
                self.found.add("alternative-added", spot, f"{path} is served too")

    def _compare_callers(self, old: Part, new: Part, spot: Spot) -> None:
        before, after = _callers(old), _callers(new)
        if before == after:
            return
        is_open = ("", frozenset()) in after
        if ("", frozenset()) in before and not is_open:
            self.found.add("credential-required", spot, "callers need a credential now")
        is_loosened = True
        for scheme, scopes in before:
            admitted = [needed for name, needed in after if name == scheme]
            if not scheme or any(needed <= scopes for needed in admitted):
                is_loosened &= bool(scheme) or is_open
            elif admitted:
                more = min((sorted(needed - scopes) for needed in admitted), key=len)
                text = f"a caller with {scheme} needs the scope {', '.join(more)} too"
                self.found.add("scope-added", spot, text)
                is_loosened = False
            elif not is_open:
                text = f"callers with {scheme} are no longer admitted"
                self.found.add("credential-kind-removed", spot, text)
                is_loosened = False
        if is_loosened:
            self.found.add("security-loosened", spot, "asks less of callers")

    def _compare_limits(self, old: Part, new: Part, spot: Spot) -> None:
        has, had = bool(new.get("x-websocket")), bool(old.get("x-websocket"))
        if has != had:
            change = "can be" if has else "is no longer"
            rule = "websocket-added" if has else "websocket-removed"
            self.found.add(rule, spot, f"{change} a WebSocket")
        rates, before = _rates(new), _rates(old)
        if rates != before:
            is_lower = any(limit < before.get(window, limit + 1) for window, limit in rates.items())
            rule = "rate-limit-lowered" if is_lower else "rate-limit-raised"
            self.found.add(rule, spot, f"{_told(rates)}, before {_told(before)}")
        time, time_before = new.get("x-timeout-s"), old.get("x-timeout-s")
        if time != time_before:
            is_lower = time is not None and (time_before is None or time < time_before)
            rule = "timeout-lowered" if is_lower else "timeout-raised"
            text = f"timeout {_seconds(time)}, before {_seconds(time_before)}"
            self.found.add(rule, spot, text)


def method_name(operation: Part) -> str:
    """The full name of the method of an operation, whose id is `Service_Method` and a number."""
    service = "".join(operation.get("tags", ())[:1])
    name = str(operation.get("operationId", ""))
    for before in (service.replace(".", "_"), service.rpartition(".")[2]):
        if before and name.startswith(f"{before}_"):
            method = name.removeprefix(f"{before}_")
            plain, _, number = method.rpartition("_")
            return f"{service}.{plain if number.isdecimal() else method}"
    return service


def _parameters(operation: Part, place: str) -> Sequence[Mapping[str, Any]]:
    return [one for one in operation.get("parameters", ()) if one.get("in") == place]


def _header_fields(operation: Part) -> frozenset[str]:
    """The header fields that change a call; those of many operations are references."""
    return (
        frozenset(
            one.get("name") or one["$ref"].rpartition("/")[2]
            for one in operation.get("parameters", ())
            if one.get("in", "header") == "header"
        )
        - _ALWAYS
    )


def _reply(operation: Part) -> Part:
    found: Part = operation.get("responses", {}).get("200", {})
    return found


def _content(part: Part) -> Part:
    found: Part = part.get("content", {})
    return found


def _alternatives(operation: Part) -> Sequence[str]:
    return [one["path"] for one in operation.get("x-alternatives", ())]


def _callers(operation: Part) -> frozenset[tuple[str, frozenset[str]]]:
    """The credentials of which one is enough, each with its scopes; none has an empty name."""

    def found() -> Iterator[tuple[str, frozenset[str]]]:
        choices: Sequence[Mapping[str, Sequence[str]]] = operation.get("security") or [{}]
        for choice in choices:
            yield from ((name, frozenset(scopes)) for name, scopes in choice.items())
            if not choice:
                yield "", frozenset()

    return frozenset(found())


def _rates(operation: Part) -> Mapping[float, float]:
    """The lowest limit of each window of time."""
    found: dict[float, float] = {}
    for one in operation.get("x-ratelimit", ()):
        found[one["window_s"]] = min(one["limit"], found.get(one["window_s"], one["limit"]))
    return found


def _seconds(time: float | None) -> str:
    return "that of the API" if time is None else f"{time} s"


def _told(rates: Mapping[float, float]) -> str:
    return ", ".join(f"{limit} in {window} s" for window, limit in rates.items()) or "no rate limit"
