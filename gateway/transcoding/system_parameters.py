"""System parameters: query parameters about the response instead of the request message.

Google's REST clients send them with each call (cloud.google.com/apis/docs/system-parameters). A
name that begins with `$` is never a field. The bare names count only if the request message has no
field of that name. A service config can give a method other names, in queries and headers; those
are never fields.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from google.protobuf.descriptor import Descriptor

from gateway.schema.system_parameters import SystemParameter
from gateway.transcoding.media import JSON, PROTOBUF_TYPES, invalid_argument

_SIGN: Final = "$"
_ALT, _FIELDS, _PRETTY, _ERRORS = "alt", "fields", "prettyPrint", ".xgafv"
_BARE_NAMES: Final = (_ALT, _FIELDS, _PRETTY, "key", "quotaUser", "xgafv")
"""The names that are also taken without `$`."""
_FIELD_MASK: Final = "X-Goog-FieldMask"
"""The header that counts as `$fields`."""
_MASK: Final = "***"
_SECRET: Final = ("api_key", "key")
_READ: Final = (_ALT, _FIELDS, _PRETTY)
_MAY_HAVE: Final = re.compile(r"\$|%24|alt|fields|Print")
"""Finds a part of the name of a parameter that is read."""
_SIGNED_NAMES: Final = (*_BARE_NAMES, _ERRORS)
"""The names that are taken with `$`: three are read, the others change nothing here."""
_EVENTS: Final = "text/event-stream"
_TYPES: Final = {
    "json": JSON,
    "proto": PROTOBUF_TYPES[0],
    "sse": _EVENTS,
    "media": "*/*",
}


@dataclass(frozen=True, slots=True)
class JsonForm:
    """The form of one response; None where the settings decide."""

    pretty: bool | None = None
    enums_as_numbers: bool | None = None
    fields: str | None = None
    """The members to write, as the client named them (`selections`)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The wishes of one request for its response."""

    media_type: str | None = None
    """The media type that counts instead of `Accept`."""
    form: JsonForm | None = None

    def media_type_or(self, accept: str | None, *, is_stream: bool = False) -> str | None:
        """Returns what counts as the `Accept` header; one message is no stream of events."""
        if self.media_type is None or (self.media_type == _EVENTS and not is_stream):
            return accept
        return self.media_type


NOTHING: Final = Asked()
_USUAL: Final = JsonForm()


@dataclass(frozen=True, slots=True)
class ParameterNames:
    """The names under which the system parameters of one method are sent."""

    meanings: Mapping[str, str]
    """The parameter that each name in a query stands for."""
    own: frozenset[str]
    """The names that are never fields, from the service config."""
    headers: tuple[tuple[str, str], ...]
    """The headers that are read, and the parameters they stand for."""
    reserves_sign: bool
    """True if a name that begins with `$` is never a field."""

    def claims(self, name: str) -> bool:
        """True if a decoded name is never that of a field."""
        return name in self.own or (self.reserves_sign and name.startswith(_SIGN))

    def read(self, query: str, headers: Mapping[str, str]) -> Asked:
        """Reads the system parameters of a request; the last of a name in the query counts.

        Raises:
            StatusError: INVALID_ARGUMENT for an unknown parameter with `$`, or an unknown value.
        """
        sent = []
        for header, meaning in self.headers:
            value = headers.get(header)
            if value is not None:
                sent.append((header, meaning, value))
        if self.own or _MAY_HAVE.search(query):
            sent += self._of_query(query)
        return _read(sent) if sent else NOTHING

    def explain(self, query: str) -> list[tuple[str, str, str]]:
        """Returns each system parameter in a query: its origin, its text, and its name."""
        return [
            (f"query {name}", _MASK if meaning in _SECRET else text, f"system parameter {meaning}")
            for name, meaning, text in self._of_query(query)
        ]

    def _of_query(self, query: str) -> list[tuple[str, str, str]]:
        """Returns the system parameters of a query: name, meaning and value of each."""
        found = []
        for piece in query.split("&"):
            raw_name, _, raw_value = piece.partition("=")
            name = unquote_plus(raw_name)
            meaning = self.meanings.get(name)
            if meaning is not None:
                found.append((name, meaning, unquote_plus(raw_value)))
            elif self.reserves_sign and name.startswith(_SIGN):
                reason = "no such system parameter: expected $alt, $fields or $prettyPrint"
                raise invalid_argument(name[:100], reason)
        return found


def parameter_names(
    given: Sequence[SystemParameter], message: Descriptor, *, by_default: bool
) -> ParameterNames | None:
    """Returns the names of the system parameters of a method; None if it has none.

    `given` are those of the service config, and `message` is the method's request. With
    `by_default` there are Google's too; names that are given to a parameter replace those.
    """
    if not (given or by_default):
        return None
    replaced = {one.name for one in given}
    own = {one.url_query_parameter: one.name for one in given if one.url_query_parameter}
    headers = [
        (one.http_header, one.name) for one in given if one.name in _READ and one.http_header
    ]
    meanings: dict[str, str] = {}
    if by_default:
        fields = {name for field in message.fields for name in (field.name, field.json_name)}
        meanings |= {_SIGN + name: name for name in _SIGNED_NAMES if name not in replaced}
        meanings |= {one: one for one in _BARE_NAMES if one not in fields and one not in replaced}
        if _FIELDS not in replaced:
            headers.append((_FIELD_MASK, _FIELDS))
    return ParameterNames(meanings | own, frozenset(own), tuple(headers), by_default)


def _read(sent: list[tuple[str, str, str]]) -> Asked:
    """Reads parameters, each a name as it was sent, its meaning, and its value."""
    media_type: str | None = None
    pretty: bool | None = None
    numbers: bool | None = None
    fields: str | None = None
    for name, meaning, value in sent:
        if meaning == _ALT:
            media_type, numbers = _read_alt(name, value)
        elif meaning == _FIELDS:
            fields = value
        elif meaning == _PRETTY:
            pretty = _read_bool(name, value)
    form = JsonForm(pretty, numbers, fields)
    return Asked(media_type, None if form == _USUAL else form)


def _read_alt(name: str, value: str) -> tuple[str, bool | None]:
    """Returns the media type of `json`, `proto`, `sse` or `media`, and the encoding of enums."""
    kind, *options = value.lower().split(";")
    media_type = _TYPES.get(kind)
    if media_type is None or options not in ([], ["enum-encoding=int"]):
        raise invalid_argument(
            name, "expected json, json;enum-encoding=int, proto, sse or media, such as $alt=json"
        )
    return media_type, True if options else None


def _read_bool(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false", "1", "0"):
        raise invalid_argument(name, "expected true or false")
    return value.lower() in ("true", "1")
