"""The access log: one line for each request.

A request only appends its record to a queue. The writer's thread formats the lines, many at once.
"""

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from logging import ERROR, INFO, WARNING
from typing import Final

from gateway.config.log import LogOptions
from gateway.status import Code
from gateway.telemetry.logs.levels import Levels
from gateway.telemetry.logs.line_format import (
    SEVERITIES,
    coloured_status,
    instant,
    plain,
    quoted,
    seconds,
    text_line,
)
from gateway.telemetry.logs.writer import LogWriter
from gateway.telemetry.masking import mask_credentials, query_names
from gateway.telemetry.record import Record
from gateway.transcoding.binding import Binding

SCOPE: Final = "gateway.access"

# The HTTP methods that OpenTelemetry lists. Other methods are not used as values: a client could
# create any number of them.
_METHODS: Final = frozenset(
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"]
)
# W3C Trace Context section 3.2; version ff and ids of zeros are invalid.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)


@dataclass(frozen=True, slots=True)
class Style:
    """The form of the lines at one destination."""

    text: bool = False
    colour: bool = False


class AccessLines:
    """Formats the line of a request, if the level and the sample include it."""

    def __init__(
        self,
        options: LogOptions,
        levels: Levels,
        style: Style,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._levels = levels
        self._style = style
        self._slow_s = options.slow_s
        self._sample = options.sample
        self._chance = chance
        self._headers = options.headers
        self._end = "" if options.sample == 1 else f',"gateway.sample.rate":{options.sample:g}'

    def line(self, record: Record) -> str:
        """Returns the line of a request; empty if the level or the sample leaves it out."""
        status, code, duration_s, binding = (
            record.status,
            record.code,
            record.duration_s,
            record.binding,
        )
        is_slow = self._slow_s is not None and duration_s > self._slow_s and _has_an_end(binding)
        severity = ERROR if status >= 500 else WARNING if is_slow else INFO
        if severity < self._levels.number:
            return ""
        is_sampled = status < 400 and not is_slow
        if is_sampled and self._sample < 1 and self._chance() >= self._sample:
            return ""
        path = record.path
        if record.masks.hides_anything:
            path = record.masks.mask(path, binding)
        if self._style.text:
            return self._text(record, SEVERITIES[severity], mask_credentials(path))
        rest = self._end if is_sampled else ',"gateway.slow":true' if is_slow else ""
        if record.query:
            rest += f',"url.query":{quoted(_query(record.query, binding))}'
        if record.traceparent:
            rest += _trace(record.traceparent)
        principal = record.principal
        if principal is not None:
            rest += _identity(
                principal.name, principal.client, principal.kind, principal.credential
            )
        if self._headers:
            rest += _headers(self._headers, record.headers)
        return (
            f'{{"timestamp":"{instant(record.at_s)}"'
            f",{_outcome(severity, record.method, binding, status, code)}"
            f',"url.path":{_safe(path)},"http.server.request.duration":{seconds(duration_s)}'
            f',"http.request.body.size":{record.request_bytes}'
            f',"http.response.body.size":{record.response_bytes}'
            f"{_caller(record.client, record.peer, record.user_agent)}"
            f',"gateway.request.id":{_safe(record.request_id)}{rest}}}\n'
        )

    def _text(self, record: Record, severity: str, path: str) -> str:
        query = f"?{_query(record.query, record.binding)}" if record.query else ""
        rpc = "-" if record.binding is None else record.binding.method.path[1:]
        caller = "" if record.principal is None else f"{record.principal.name}@"
        caller = plain(mask_credentials(caller + record.client))
        status = coloured_status(record.status) if self._style.colour else str(record.status)
        return text_line(
            record.at_s,
            severity,
            f"{plain(record.method)} {plain(path + query)} {status} {record.code.name} "
            f"{record.duration_s * 1000:.1f} ms {rpc} {caller} "
            f"{plain(mask_credentials(record.request_id))}",
            colour=self._style.colour,
        )


class AccessLog:
    """Writes a line for every request that has ended."""

    def __init__(self, writer: LogWriter[Record]) -> None:
        self.ended: Callable[[Record], None] = writer.add
        """Takes the record of a request; its line is written soon."""


def _has_an_end(binding: Binding | None) -> bool:
    """True if a request can be slow: a stream has no expected duration."""
    if binding is None:
        return False
    method = binding.method
    return not (method.client_streaming or method.server_streaming)


def _query(query: str, binding: Binding | None) -> str:
    return query_names(query, None if binding is None else binding.method.input)


# The functions below are cached: most requests have these values in common with an earlier one.


@lru_cache(maxsize=512)
def _outcome(severity: int, method: str, binding: Binding | None, status: int, code: Code) -> str:
    return (
        f'"severity_text":"{SEVERITIES[severity]}","scope.name":"{SCOPE}",{_http_method(method)}{_rpc(binding)}'
        f',"http.response.status_code":{status},"rpc.response.status_code":"{code.name}"'
    )


@lru_cache(maxsize=512)
def _caller(client: str, peer: str, user_agent: str) -> str:
    return (
        f',"client.address":{_safe(client)},"network.peer.address":{_safe(peer)},'
        f'"user_agent.original":{_safe(user_agent)}'
    )


@lru_cache(maxsize=512)
def _identity(name: str, client: str, kind: str, credential: str) -> str:
    fields = f',"enduser.id":{_safe(name)}'
    if client:
        fields += f',"gateway.client.id":{_safe(client)}'
    if kind:
        fields += f',"gateway.credential.kind":{_safe(kind)}'
    if credential:
        fields += f',"gateway.credential.id":{_safe(credential)}'
    return fields


def _http_method(method: str) -> str:
    if method in _METHODS:
        return f'"http.request.method":"{method}"'
    original = quoted(mask_credentials(method)[:64])
    return f'"http.request.method":"_OTHER","http.request.method_original":{original}'


def _rpc(binding: Binding | None) -> str:
    if binding is None:
        return ""
    return (
        f',"http.route":{quoted(binding.rule.template)},"rpc.system.name":"grpc",'
        f'"rpc.method":{quoted(binding.method.path[1:])}'
    )


def _safe(text: str) -> str:
    return quoted(mask_credentials(text))


def _trace(traceparent: str) -> str:
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return ""
    return f',"trace_id":"{found[1]}","span_id":"{found[2]}","trace_flags":"{found[3]}"'


def _headers(names: Iterable[str], headers: Mapping[str, str]) -> str:
    return "".join(
        f",{quoted(f'http.request.header.{name}')}:[{_safe(headers[name])}]"
        for name in names
        if name in headers
    )
