"""The access log: one line for each request."""

import logging
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from logging import ERROR, INFO, WARNING
from typing import Final

from gateway.config.log import LogOptions
from gateway.telemetry.logs.levels import Levels
from gateway.telemetry.logs.line_format import (
    SEVERITIES,
    coloured_status,
    date,
    milliseconds,
    plain,
    quoted,
    seconds,
    text_line,
)
from gateway.telemetry.logs.writer import LogWriter
from gateway.telemetry.masking import mask_credentials, query_names
from gateway.telemetry.record import Attempt, Binding, Code, CompiledObserver, Principal, Record
from gateway.trace_context import ids_of
from gateway.transcoding.json.native import native_module

__all__ = ["SCOPE", "AccessLines", "AccessLog", "Levels", "LogWriter", "NativeLine", "Style"]

logger = logging.getLogger("gateway.telemetry.logs")

SCOPE: Final = "gateway.access"

# The HTTP methods that OpenTelemetry lists. Other methods are not used as values: a client could
# create any number of them.
_METHODS: Final = {
    name: f'"http.request.method":"{name}"'
    for name in (
        *("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS"),
        *("PATCH", "POST", "PUT", "TRACE", "QUERY"),
    )
}
_RESULTS: Final[dict[str, str]] = {}
"""The member for each result of the cache; these are few, and words of the code's own."""
NativeLine = Callable[..., bytes | None]
"""Formats a line, unless a text of a client is not plain; see `access_line` in `native/`."""

_MOST_REMEMBERED: Final = 512
_LONGEST_REMEMBERED: Final = 512


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
        self._identities: dict[str, tuple[Principal, str]] = {}
        """The members of principals, by the names of their credentials."""
        # By texts, not by the binding: that would keep the schema before a reload alive.
        self._abouts: dict[tuple[str, str, str, int], str] = {}
        self._last = _Last()
        self._agents: dict[str, str] = {}
        """The members from the programs of clients, which come again, to the request id."""
        module = native_module()
        self._native: NativeLine | None = None if module is None else module.access_line
        self._end = "" if options.sample == 1 else f',"gateway.sample.rate":{options.sample:g}'

    def line(self, record: Record) -> bytes:
        """Returns the line of a request; empty if the level or the sample leaves it out."""
        status, duration_s, binding = record.status, record.duration_s, record.binding
        is_slow = self._slow_s is not None and duration_s > self._slow_s and _has_an_end(binding)
        severity = ERROR if status >= 500 else WARNING if is_slow else INFO
        if severity < self._levels.number:
            return b""
        is_sampled = status < 400 and not is_slow
        if is_sampled and self._sample < 1 and self._chance() >= self._sample:
            return b""
        path = record.path
        if record.masks.hides_anything:
            path = record.masks.mask(path, binding)
        if self._style.text:
            return self._text(record, SEVERITIES[severity], mask_credentials(path)).encode()
        rest = self._end if is_sampled else ',"gateway.slow":true' if is_slow else ""
        has_more = record.query or record.cache_result or record.attempts or self._headers
        if has_more or record.principal is not None or record.split is not None:
            rest = self._rest(record, rest)
        about, agent = self._about(record, severity), self._agents.get(record.user_agent)
        if agent is None:
            agent = self._agent(record.user_agent)
        if self._native is not None:
            trace = record.trace
            line = self._native(
                record.at_s,
                about,
                path,
                record.duration_s,
                record.request_bytes,
                record.response_bytes,
                record.client,
                record.peer,
                agent,
                record.request_id,
                record.traceparent,
                None if trace is None else trace.traceparent,
                rest,
            )
            if line is not None:
                return line
        return self._line(record, about, path, agent, rest)

    def _rest(self, record: Record, rest: str) -> str:
        """Returns the members at the end of a line, which most lines have not, or only a few."""
        if record.query:
            rest += f',"url.query":{quoted(_query(record.query, record.binding))}'
        if record.cache_result:
            member = _result(record.cache_result)
            rest = rest + member if rest else member
        if record.principal is not None:
            rest += self._identity(record.principal)
        if record.split is not None or record.attempts:
            rest += _destination(record)
        if self._headers:
            rest += _headers(self._headers, record.headers)
        return rest

    def _line(self, record: Record, about: str, path: str, agent: str, rest: str) -> bytes:
        """Formats a line of its parts; `about` and `agent` end with the quote before the next."""
        # As machine code, an f-string copies character by character, and `join` whole texts.
        return "".join((
            '{"timestamp":"', date(record.at_s), milliseconds(record.at_s),
            about, _safe(path)[1:],
            ',"http.server.request.duration":', seconds(record.duration_s),
            ',"http.request.body.size":', str(record.request_bytes),
            ',"http.response.body.size":', str(record.response_bytes),
            ',"client.address":', _safe(record.client),
            ',"network.peer.address":', _safe(record.peer),
            agent, _safe(record.request_id)[1:],
            "" if record.trace is None and not record.traceparent else _trace(record),
            rest, "}\n",
        )).encode()  # fmt: skip

    def _about(self, record: Record, severity: int) -> str:
        """Returns the members from the time to the path, which many requests have in common."""
        last, binding = self._last, record.binding
        if (
            binding is last.binding
            and record.method is last.method
            and record.status == last.status
            and record.code is last.code
            and severity == last.severity
        ):
            return last.about
        route = rpc = ""
        if binding is not None:
            route, rpc = binding.rule.template, binding.method.path
        # One number for three, so that fewer parts are hashed.
        key = record.method, route, rpc, (record.status << 8 | severity) << 8 | record.code
        known = self._abouts.get(key)
        if known is None:
            if len(self._abouts) >= _MOST_REMEMBERED:
                self._abouts.clear()
            known = self._abouts[key] = (
                f'Z","severity_text":"{SEVERITIES[severity]}","scope.name":"{SCOPE}",'
                f"{_http_method(record.method)}{_rpc(route, rpc)}"
                f',"http.response.status_code":{record.status}'
                f',"rpc.response.status_code":"{record.code.name}","url.path":"'
            )
        last.method, last.binding, last.about = record.method, binding, known
        last.status, last.code, last.severity = record.status, record.code, severity
        return known

    def _agent(self, user_agent: str) -> str:
        """Makes the members from the program of a client to the request id; remembers them."""
        members = f',"user_agent.original":{_safe(user_agent)},"gateway.request.id":"'
        if len(user_agent) <= _LONGEST_REMEMBERED:
            if len(self._agents) >= _MOST_REMEMBERED:
                self._agents.clear()
            self._agents[user_agent] = members
        return members

    def _identity(self, principal: Principal) -> str:
        """Returns the members of a principal, made once for the calls with its credential."""
        known = self._identities.get(principal.credential)
        if known is not None and known[0] is principal:
            return known[1]
        made = _identity_of(principal)
        if len(self._identities) >= _MOST_REMEMBERED:
            self._identities.clear()
        self._identities[principal.credential] = (principal, made)
        return made

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


class _Last:
    """The members from the time to the path of the last request, and what they depend on."""

    __slots__ = ("about", "binding", "code", "method", "severity", "status")

    def __init__(self) -> None:
        self.method = self.about = ""
        self.binding: Binding | None = None
        self.code = Code.OK
        self.severity = self.status = 0


class AccessLog(CompiledObserver):
    """Writes a line for every request that has ended."""

    def __init__(self, writer: LogWriter, lines: AccessLines) -> None:
        self._writer, self._lines = writer, lines

    def ended(self, record: Record) -> None:
        """Formats the line of a request, which is written soon.

        At once: a record that waited would keep the memory of its request in use, so that requests
        would no longer fit into the cache of a processor.
        """
        try:
            line = self._lines.line(record)
        except Exception:  # an observer must not raise
            logger.exception("a line of the log cannot be formatted")
            return
        if line:
            self._writer.add(line)


def _result(result: str) -> str:
    """Returns the member for a result of the cache."""
    known = _RESULTS.get(result)
    if known is None:
        known = _RESULTS[result] = f',"gateway.cache.result":"{result}"'
    return known


def _identity_of(principal: Principal) -> str:
    fields = f',"enduser.id":{_safe(principal.name)}'
    if principal.client:
        fields += f',"gateway.client.id":{_safe(principal.client)}'
    if principal.kind:
        fields += f',"gateway.credential.kind":{_safe(principal.kind)}'
    if principal.credential:
        fields += f',"gateway.credential.id":{_safe(principal.credential)}'
    return fields


def _rpc(route: str, path: str) -> str:
    """Returns the members that name the route and the method; empty without a route."""
    if not route:
        return ""
    return f',"http.route":{quoted(route)},"rpc.system.name":"grpc","rpc.method":{quoted(path[1:])}'


def _destination(record: Record) -> str:
    """Returns the members that say where a call went."""
    text = ""
    if record.split is not None:
        name, upstream = record.split
        text = f',"gateway.split":{quoted(name)},"gateway.upstream":{quoted(upstream)}'
    if record.attempts:
        endpoint = quoted(record.attempts[-1].endpoint)
        tried = ",".join([_attempt(one) for one in record.attempts])
        text += f',"gateway.attempts":{len(record.attempts)},"gateway.endpoint":{endpoint}'
        text += f',"gateway.tried":[{tried}]'
    return text


def _attempt(attempt: Attempt) -> str:
    duration_ms = round(1000 * (attempt.ended_s - attempt.started_s), 3)
    return (
        f'{{"endpoint":{quoted(attempt.endpoint)},"code":"{attempt.code.name}",'
        f'"duration_ms":{duration_ms}}}'
    )


def _has_an_end(binding: Binding | None) -> bool:
    """True if a request can be slow: a stream has no expected duration."""
    return binding is not None and not binding.method.streams


def _query(query: str, binding: Binding | None) -> str:
    return query_names(query, None if binding is None else binding.method.input)


def _http_method(method: str) -> str:
    known = _METHODS.get(method)
    if known is not None:
        return known
    original = quoted(mask_credentials(method)[:64])
    return f'"http.request.method":"_OTHER","http.request.method_original":{original}'


def _safe(text: str) -> str:
    return quoted(mask_credentials(text))


def _trace(record: Record) -> str:
    """Returns the members that name the span of a request, or else the one that its client sent."""
    trace = record.trace
    if trace is not None:
        ids = trace.trace_id, trace.span_id, trace.written_flags
    else:
        found = ids_of(record.traceparent)
        if found is None:
            return ""
        ids = found
    return f',"trace_id":"{ids[0]}","span_id":"{ids[1]}","trace_flags":"{ids[2]}"'


def _headers(names: Iterable[str], headers: Mapping[str, str]) -> str:
    return "".join(
        f",{quoted(f'http.request.header.{name}')}:[{_safe(headers[name])}]"
        for name in names
        if name in headers
    )
