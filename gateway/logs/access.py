"""The access log: what is noted of each request, and the line that is made of it.

A request costs the appending of a tuple; lines are made of many at a time, in the writer's thread.
"""

import logging
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from gateway.call import Principal
from gateway.config.log import LogOptions
from gateway.logs.entry import Entry, EntryValues
from gateway.logs.levels import Levels
from gateway.logs.lines import SEVERITIES, instant, plain, quoted, text_line
from gateway.logs.masking import PathMasks, mask_credentials, query_names
from gateway.logs.scribe import Scribe
from gateway.transcoding.binding import Binding

SCOPE = "gateway.access"

# The HTTP methods that OpenTelemetry knows; with others a client could fill a table.
_METHODS = frozenset(
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"]
)
# W3C Trace Context section 3.2; version ff and ids of zeros are invalid.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)


@dataclass(frozen=True, slots=True)
class Style:
    """How lines look in one place."""

    text: bool = False
    colour: bool = False


class AccessLines:
    """Makes the line of a request, or none where it is not to be written."""

    def __init__(
        self,
        options: LogOptions,
        levels: Levels,
        style: Style,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.masks = PathMasks(())
        """What is hidden in paths; to be set once it is known what can be called."""
        self._levels = levels
        self._style = style
        self._slow_s = options.slow_s
        self._sample = options.sample
        self._chance = chance
        self._end = "" if options.sample == 1 else f',"gateway.sample.rate":{options.sample:g}'
        self._known: dict[Binding, str] = {}

    def line(self, values: EntryValues) -> str:
        """The line of a request; empty if the level or the sample leaves it out."""
        entry = Entry(*values)
        is_slow = self._is_slow(entry)
        severity = _severity(entry.status, is_slow=is_slow)
        if severity < self._levels.number:
            return ""
        is_sampled = entry.status < 400 and not is_slow
        if is_sampled and self._sample < 1 and self._chance() >= self._sample:
            return ""
        path = mask_credentials(self.masks.mask(entry.path, entry.binding))
        if self._style.text:
            return self._text(entry, SEVERITIES[severity], path)
        end = self._end if is_sampled else ',"gateway.slow":true' if is_slow else ""
        return self._json(entry, SEVERITIES[severity], path, end)

    def _is_slow(self, entry: Entry) -> bool:
        if self._slow_s is None or entry.duration_s <= self._slow_s or entry.binding is None:
            return False
        # A stream lasts for as long as its ends like.
        method = entry.binding.method
        return not (method.client_streaming or method.server_streaming)

    def _json(self, entry: Entry, severity: str, path: str, end: str) -> str:
        query = f',"url.query":{quoted(_query(entry))}' if entry.query else ""
        return (
            f'{{"timestamp":"{instant(entry.at_s)}","severity_text":"{severity}",'
            f'"scope.name":"{SCOPE}",{_http_method(entry.method)},"url.path":{quoted(path)}{query}'
            f"{self._rpc(entry.binding)}"
            f',"http.response.status_code":{entry.status},'
            f'"rpc.response.status_code":"{entry.code}",'
            f'"http.server.request.duration":{entry.duration_s:.6f},'
            f'"http.request.body.size":{entry.request_bytes},'
            f'"http.response.body.size":{entry.response_bytes},'
            f'"client.address":{_usual(entry.client)},'
            f'"network.peer.address":{_usual(entry.peer)},'
            f'"user_agent.original":{_usual(entry.user_agent)},'
            f'"gateway.request.id":{quoted(mask_credentials(entry.request_id))}'
            f"{_rest(entry)}{end}}}\n"
        )

    def _text(self, entry: Entry, severity: str, path: str) -> str:
        query = f"?{_query(entry)}" if entry.query else ""
        rpc = "-" if entry.binding is None else entry.binding.method.path[1:]
        who = entry.client if entry.principal is None else f"{entry.principal.name}@{entry.client}"
        return text_line(
            entry.at_s,
            severity,
            f"{plain(entry.method)} {plain(path + query)} {entry.status} {entry.code} "
            f"{entry.duration_s * 1000:.1f} ms {rpc} {plain(mask_credentials(who))} "
            f"{plain(mask_credentials(entry.request_id))}",
            colour=self._style.colour,
        )

    def _rpc(self, binding: Binding | None) -> str:
        """What is the same for every request of a binding, made once."""
        if binding is None:
            return ""
        known = self._known.get(binding)
        if known is None:
            known = self._known[binding] = (
                f',"http.route":{quoted(binding.rule.template)},"rpc.system.name":"grpc",'
                f'"rpc.method":{quoted(binding.method.path[1:])}'
            )
        return known


class AccessLog:
    """Takes down how requests ended."""

    def __init__(self, scribe: Scribe[EntryValues] | None, options: LogOptions) -> None:
        self.is_open = scribe is not None
        """Whether it is any use to add something."""
        self.headers = options.headers
        self.masks = PathMasks(())
        """What is hidden in paths; to be set once it is known what can be called."""
        self._scribe = scribe

    def add(self, values: EntryValues) -> None:
        """Has the line of a request written soon."""
        if self._scribe is not None:
            self._scribe.add(values)

    def shown(self, headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Those of a request's headers that settings say may be shown."""
        return tuple((name, headers[name]) for name in self.headers if name in headers)


def _severity(status: int, *, is_slow: bool) -> int:
    if status >= 500:
        return logging.ERROR
    return logging.WARNING if is_slow else logging.INFO


def _query(entry: Entry) -> str:
    message = None if entry.binding is None else entry.binding.method.input
    return query_names(entry.query, message)


def _http_method(method: str) -> str:
    if method in _METHODS:
        return f'"http.request.method":"{method}"'
    original = quoted(mask_credentials(method)[:64])
    return f'"http.request.method":"_OTHER","http.request.method_original":{original}'


@lru_cache(maxsize=512)
def _usual(text: str) -> str:
    """Saves quoting again what most requests have in common: addresses, user agents."""
    return quoted(mask_credentials(text))


def _rest(entry: Entry) -> str:
    """What few requests have."""
    rest = _trace(entry.traceparent) if entry.traceparent else ""
    if entry.principal is not None:
        rest += _who(entry.principal)
    return rest + _headers(entry) if entry.headers else rest


def _trace(traceparent: str) -> str:
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return ""
    return f',"trace_id":"{found[1]}","span_id":"{found[2]}","trace_flags":"{found[3]}"'


def _who(principal: Principal) -> str:
    said = f',"enduser.id":{_usual(principal.name)}'
    if principal.client:
        said += f',"gateway.client.id":{_usual(principal.client)}'
    if principal.kind:
        said += f',"gateway.credential.kind":{_usual(principal.kind)}'
    if principal.credential:
        said += f',"gateway.credential.id":{_usual(principal.credential)}'
    return said


def _headers(entry: Entry) -> str:
    return "".join(
        f",{quoted(f'http.request.header.{name}')}:[{quoted(mask_credentials(value))}]"
        for name, value in entry.headers
    )
