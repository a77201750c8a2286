"""The access log: one line for each request."""

import logging
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from logging import ERROR, INFO, WARNING
from typing import Final

from gateway.call import Principal
from gateway.config.log import LogOptions
from gateway.status import Attempt, Code
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
from gateway.trace_context import ids_of
from gateway.transcoding.binding import Binding
from gateway.transcoding.json.native import native_module

logger = logging.getLogger("gateway.telemetry.logs")

SCOPE: Final = "gateway.access"
_SCOPE_MEMBER: Final = f'","scope.name":"{SCOPE}",'

# The HTTP methods that OpenTelemetry lists. Other methods are not used as values: a client could
# create any number of them.
_METHODS: Final = {
    name: f'"http.request.method":"{name}"'
    for name in (
        *("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS"),
        *("PATCH", "POST", "PUT", "TRACE", "QUERY"),
    )
}
# By number, because the hash and the name of a member of an enum are computed by Python code.
_CODES: Final = [f',"rpc.response.status_code":"{code.name}"' for code in Code]
_RESULTS: Final[dict[str, str]] = {}
"""The member for each result of the cache; these are few, and words of the code's own."""
NativeLine = Callable[..., str | None]
"""Takes the parts of a line; see `access_line` in `native/`."""

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
        self._shown = _ShownTexts()
        self._paths = _ShownTexts()
        """Those of stored replies, which come again."""
        self._identities: dict[str, tuple[Principal, str]] = {}
        """The members of principals, by the names of their credentials."""
        self._rpcs: dict[Binding, str] = {}
        module = native_module()
        self._native: NativeLine | None = None if module is None else module.access_line
        self._end = "" if options.sample == 1 else f',"gateway.sample.rate":{options.sample:g}'

    def line(self, record: Record) -> str:
        """Returns the line of a request; empty if the level or the sample leaves it out."""
        status, duration_s, binding = record.status, record.duration_s, record.binding
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
        if record.cache_result:
            member = _result(record.cache_result)
            rest = rest + member if rest else member
        if record.principal is not None:
            rest += self._identity(record.principal)
        if record.split is not None or record.attempts:
            rest += _destination(record)
        if self._headers:
            rest += _headers(self._headers, record.headers)
        if self._native is not None:
            line = self._native_line(self._native, record, SEVERITIES[severity], path, rest)
            if line is not None:
                return line
        path = self._paths.of(path) if record.cache_result == "hit" else _safe(path)
        return self._line(record, SEVERITIES[severity], path, rest)

    def _line(self, record: Record, severity: str, path: str, rest: str) -> str:
        """Formats a line; `path` is a JSON string, and `rest` are the last members."""
        shown = self._shown
        # As machine code, an f-string copies character by character, and `join` whole texts.
        return "".join((
            '{"timestamp":"', instant(record.at_s),
            '","severity_text":"', severity,
            _SCOPE_MEMBER, _http_method(record.method), self._rpc(record.binding),
            ',"http.response.status_code":', str(record.status), _CODES[record.code],
            ',"url.path":', path,
            ',"http.server.request.duration":', seconds(record.duration_s),
            ',"http.request.body.size":', str(record.request_bytes),
            ',"http.response.body.size":', str(record.response_bytes),
            ',"client.address":', shown.of(record.client),
            ',"network.peer.address":', shown.of(record.peer),
            ',"user_agent.original":', shown.of(record.user_agent),
            ',"gateway.request.id":', _safe(record.request_id),
            "" if record.trace is None and not record.traceparent else _trace(record),
            rest, "}\n",
        ))  # fmt: skip

    def _native_line(
        self, native: NativeLine, record: Record, severity: str, path: str, rest: str
    ) -> str | None:
        """Does the same in one call; None if the path or the request id is not plain."""
        shown, trace, client = self._shown, record.trace, record.client
        shown_peer = shown.of(record.peer)
        return native(
            instant(record.at_s),
            severity,
            _SCOPE_MEMBER,
            _http_method(record.method),
            self._rpc(record.binding),
            record.status,
            _CODES[record.code],
            path,
            record.duration_s,
            record.request_bytes,
            record.response_bytes,
            shown_peer if client is record.peer else shown.of(client),
            shown_peer,
            shown.of(record.user_agent),
            record.request_id,
            record.traceparent,
            None if trace is None else trace.text,
            rest,
        )

    def _rpc(self, binding: Binding | None) -> str:
        if binding is None:
            return ""
        known = self._rpcs.get(binding)
        if known is None:
            known = self._rpcs[binding] = (
                f',"http.route":{quoted(binding.rule.template)},"rpc.system.name":"grpc"'
                f',"rpc.method":{quoted(binding.method.path[1:])}'
            )
        return known

    def _identity(self, principal: Principal) -> str:
        """Returns the members of a principal, made once for the calls with its credential."""
        known = self._identities.get(principal.credential)
        if known is not None and known[0] is principal:
            return known[1]
        made = self._identity_of(principal)
        if len(self._identities) >= _MOST_REMEMBERED:
            self._identities.clear()
        self._identities[principal.credential] = (principal, made)
        return made

    def _identity_of(self, principal: Principal) -> str:
        shown = self._shown
        fields = f',"enduser.id":{shown.of(principal.name)}'
        if principal.client:
            fields += f',"gateway.client.id":{shown.of(principal.client)}'
        if principal.kind:
            fields += f',"gateway.credential.kind":{shown.of(principal.kind)}'
        if principal.credential:
            fields += f',"gateway.credential.id":{shown.of(principal.credential)}'
        return fields

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


class _ShownTexts:
    """The JSON strings of texts that many requests have in common, bounded in number and size."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, text: str) -> str:
        """Returns a text as a JSON string, its credentials masked."""
        known = self._known.get(text)
        if known is None:
            known = _safe(text)
            if len(text) <= _LONGEST_REMEMBERED:
                if len(self._known) >= _MOST_REMEMBERED:
                    self._known.clear()
                self._known[text] = known
        return known


class AccessLog:
    """Writes a line for every request that has ended."""

    def __init__(self, writer: LogWriter, lines: AccessLines) -> None:
        self._add, self._line = writer.add, lines.line

    def ended(self, record: Record) -> None:
        """Formats the line of a request, which is written soon.

        At once: a record that waited would keep the memory of its request in use, so that requests
        would no longer fit into the cache of a processor.
        """
        try:
            line = self._line(record)
        except Exception:  # an observer must not raise
            logger.exception("a line of the log cannot be formatted")
            return
        if line:
            self._add(line)


def _result(result: str) -> str:
    """Returns the member for a result of the cache."""
    known = _RESULTS.get(result)
    if known is None:
        known = _RESULTS[result] = f',"gateway.cache.result":"{result}"'
    return known


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
