"""System parameters: query parameters about the response instead of the request message.

Google's REST clients send them with each call (cloud.google.com/apis/docs/system-parameters). A
name that begins with `$` is never a field. The bare names count only if the request message has no
field of that name.
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from gateway.status import invalid_argument
from gateway.transcoding.media import JSON, PROTOBUF_TYPES

_SIGN: Final = "$"
BARE_NAMES: Final = frozenset({"alt", "fields", "prettyPrint", "key", "quotaUser", "xgafv"})
"""The names that are also taken without `$`."""

_ALT, _FIELDS, _PRETTY, _ERRORS = "alt", "fields", "prettyPrint", ".xgafv"
_MAY_HAVE: Final = re.compile(r"\$|%24|alt|fields|Print")
"""Finds a part of the name of a parameter that is read."""
_IGNORED: Final = frozenset({"key", "quotaUser", _ERRORS, "xgafv"})
"""Parameters that change nothing here: quotas, and the format of errors."""
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


def is_system_parameter(name: str) -> bool:
    """True if a decoded name is one that begins with `$`."""
    return name.startswith(_SIGN)


def read_system_parameters(
    query: str, fields: Container[str], field_mask: str | None = None
) -> Asked:
    """Reads the system parameters of a query; the last of a name counts.

    A name without `$` that is in `fields` is that of a field. `field_mask` is the header
    `X-Goog-FieldMask`, which counts as `$fields` if the query has none.

    Raises:
        StatusError: INVALID_ARGUMENT for an unknown parameter with `$`, or an unknown value.
    """
    if not _MAY_HAVE.search(query):
        return NOTHING if field_mask is None else Asked(form=JsonForm(fields=field_mask))
    media_type: str | None = None
    pretty: bool | None = None
    numbers: bool | None = None
    for piece in query.split("&"):
        raw_name, _, raw_value = piece.partition("=")
        written, value = unquote_plus(raw_name), unquote_plus(raw_value)
        if written in fields:
            continue
        name = written.removeprefix(_SIGN)
        if name == _ALT:
            media_type, numbers = _read_alt(written, value)
        elif name == _FIELDS:
            field_mask = value
        elif name == _PRETTY:
            pretty = _read_bool(written, value)
        elif written.startswith(_SIGN) and name not in _IGNORED:
            reason = "no such system parameter: expected $alt, $fields or $prettyPrint"
            raise invalid_argument(written[:100], reason)
    form = JsonForm(pretty, numbers, field_mask)
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
