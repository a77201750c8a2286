"""Binds query parameters (http.proto, HttpRule, "Fields that become URL query parameters").

A parameter is a field path; each step is a .proto name or a JSON name. A parameter must not set a
field that the path or the body sets, set a value twice, or choose a second member of a oneof.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.config.query import Clash, Plus, QueryOptions
from gateway.transcoding.fields import (
    Encoder,
    FieldPath,
    FieldPathError,
    Position,
    encloser,
    field_encoder,
    resolve,
)
from gateway.transcoding.system_parameters import ParameterNames
from gateway.transcoding.text_forms import shown
from gateway.transcoding.text_values import has_members, value_reader
from gateway.transcoding.wire import StatusError, invalid_argument, length_delimited

_MALFORMED = re.compile("%(?![0-9A-Fa-f]{2})")
_MAP_ENTRY = re.compile(r"([^\[\]]+)\[(.*)\]", re.DOTALL)
_MAX_DEPTH = 32
_REMEMBERED = 128
_REMEMBERED_DEPTH = 5
_SHOWN_NAME = 100


@dataclass(frozen=True, slots=True)
class _Parameter:
    path: FieldPath
    encode: Encoder
    key: tuple[object, ...] | None
    """The value that may be set only once, or None for a list."""
    choices: tuple[tuple[tuple[Position, str], int], ...]


class QueryBinder:
    """Binds the query of one binding's requests to wire bytes.

    `bound` are the path variables; `body` is the target of the body: a field, "*" for the whole
    message (then no parameter is allowed), or None. The names of `system_parameters` are not
    fields; with `ignores_case`, names of enum values are compared without their case.
    """

    def __init__(
        self,
        message: Descriptor,
        *,
        bound: Sequence[FieldPath] = (),
        body: FieldDescriptor | str | None = None,
        options: QueryOptions,
        system_parameters: ParameterNames | None = None,
        ignores_case: bool = False,
    ) -> None:
        self._ignores_case = ignores_case
        self._message = message
        self._system_parameters = system_parameters
        self._bound = bound
        self._body = body
        self._options = options
        self._keeps_plus = options.plus is Plus.KEEP
        self.merges = options.clash is Clash.MERGE and body is not None
        """True if parameters may be for fields of the body; see `bind_around`."""
        taken = [choice for path in bound for choice in path.choices()]
        if isinstance(body, FieldDescriptor):
            taken += FieldPath((body,)).choices()
        self._taken = dict(taken)
        # Cache resolved names, but only names that exist, with limits in number and depth; a full
        # cache is cleared. So no client can use up memory or keep others' names out.
        self._known: dict[str, _Parameter] = {}

    def bind(self, query: str) -> bytes:
        """Returns the wire bytes of the fields that `query` (without `?`) sets.

        Raises:
            StatusError: INVALID_ARGUMENT that names the parameter.
        """
        if not query:
            return b""
        wire: list[bytes] = []
        seen: set[tuple[object, ...]] = set()
        chosen: dict[tuple[Position, str], int] | None = None
        for name, value in self._pairs(query):
            parameter = self._known.get(name) or self._parameter(name)
            if parameter is None:
                continue
            if parameter.key is not None:
                if parameter.key in seen:
                    raise _given_twice(name)
                seen.add(parameter.key)
            if parameter.choices:
                chosen = self._taken.copy() if chosen is None else chosen
                _choose(name, parameter, chosen)
            wire.append(parameter.encode(value))
        return b"".join(wire)

    def bind_around(self, query: str) -> tuple[bytes, bytes]:
        """Returns the wire bytes that `query` sets, for before and after those of the body.

        By protobuf's merge rule, values before the body's count if the body has none, and lists
        after the body's add to them.

        Raises:
            StatusError: INVALID_ARGUMENT that names the parameter.
        """
        self.bind(query)  # rejects what is invalid only as a whole
        around: tuple[list[str], list[str]] = ([], [])
        pieces = [piece for piece in query.split("&") if piece]
        for piece, (name, _) in zip(pieces, self._pairs(query), strict=True):
            parameter = self._parameter(name)
            around[parameter is not None and parameter.key is None].append(piece)
        return self.bind("&".join(around[0])), self.bind("&".join(around[1]))

    def explain(self, query: str) -> list[tuple[str, str, FieldPath]]:
        """Returns each parameter that sets a field: its name, its value, and the field."""
        pairs = [(name, value, self._parameter(name)) for name, value in self._pairs(query)]
        return [(name, value, found.path) for name, value, found in pairs if found is not None]

    def _pairs(self, query: str) -> list[tuple[str, str]]:
        pieces = [piece for piece in query.split("&") if piece]
        if len(pieces) > self._options.max_parameters:
            limit = self._options.max_parameters
            raise invalid_argument("", f"more than {limit} query parameters")
        pairs: list[tuple[str, str]] = []
        for piece in pieces:
            name, _, value = piece.partition("=")
            if "%" in piece or "+" in piece or not piece.isascii():
                if self._keeps_plus:
                    name, value = name.replace("+", "%2B"), value.replace("+", "%2B")
                name = _decode(name, "query")
                value = _decode(value, name)
            pairs.append((name, value))
        return pairs

    def _parameter(self, name: str) -> _Parameter | None:
        """The parameter called `name`, or None if it is unknown and may be ignored."""
        if name.count(".") >= _MAX_DEPTH:
            raise invalid_argument(_clipped(name), f"has more than {_MAX_DEPTH} steps")
        if self._system_parameters is not None and self._system_parameters.claims(name):
            return None
        entry = _MAP_ENTRY.fullmatch(name)
        path = self._resolve(name) if entry is None else self._map(entry[1])
        if path is None:
            self._refuse_unknown(name)
            return None
        if self._is_set_elsewhere(name, path):
            return None
        if _is_map(path.leaf):
            return self._map_entry(name, path, entry[2] if entry else None)
        parameter = self._value(name, path)
        if len(path.fields) <= _REMEMBERED_DEPTH:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[name] = parameter
        return parameter

    def _resolve(self, name: str) -> FieldPath | None:
        """The field of this name, or the map in the path of a name such as `labels.key`."""
        try:
            return resolve(self._message, name, json_names=True)
        except FieldPathError as error:
            return error.reached if error.reached and _is_map(error.reached.leaf) else None

    def _map(self, name: str) -> FieldPath | None:
        try:
            path = resolve(self._message, name, json_names=True)
        except FieldPathError:
            return None
        return path if _is_map(path.leaf) else None

    def _refuse_unknown(self, name: str) -> None:
        if self._system_parameters is not None and name in self._system_parameters.meanings:
            return
        if self._options.ignores(name):
            return
        raise invalid_argument(_clipped(name), "no such query parameter")

    def _is_set_elsewhere(self, name: str, path: FieldPath) -> bool:
        """True if the path or the body sets this field, and the settings ignore the parameter."""
        is_bound = any(path.overlaps(bound) for bound in self._bound)
        if is_bound:
            reason = "is set by the path of the URL"
        elif isinstance(self._body, str):
            reason = "belongs in the body, which has all fields"
        elif self._body is not None and path.fields[0].number == self._body.number:
            reason = f"belongs in the body, which is {self._body.json_name}"
        else:
            return False
        if self.merges and not is_bound:
            return False
        if self._options.clash is Clash.REJECT:
            raise invalid_argument(_clipped(name), reason)
        return True

    def _value(self, name: str, path: FieldPath) -> _Parameter:
        if value_reader(path.leaf) is None:
            raise invalid_argument(name, _not_one_text(name, path.leaf))
        encode = self._encoder(path, name)
        key = None if path.leaf.is_repeated else path.numbers
        return _Parameter(path, encode, key, tuple(path.choices()))

    def _encoder(self, path: FieldPath, name: str) -> Encoder:
        return field_encoder(
            path,
            name,
            numeric_bools=self._options.numeric_bools,
            ignores_case=self._ignores_case,
        )

    def _map_entry(self, name: str, path: FieldPath, key: str | None) -> _Parameter:
        name = _clipped(name)
        if not self._options.maps:
            raise invalid_argument(name, "a map cannot be set by query parameters")
        if key is None:
            raise invalid_argument(name, f"is a map: write {path.leaf.json_name}[key]=value")
        encode_key, encode = _map_encoder(path, name, self._encoder)
        key_wire = encode_key(key)
        return _Parameter(
            path,
            lambda text: encode(key_wire, text),
            (*path.numbers, key_wire),
            tuple(path.choices()),
        )


def _choose(name: str, parameter: _Parameter, chosen: dict[tuple[Position, str], int]) -> None:
    for oneof, member in parameter.choices:
        if chosen.setdefault(oneof, member) != member:
            raise invalid_argument(
                _clipped(name), f"another member of the oneof {oneof[1]} is set already"
            )


def _given_twice(name: str) -> StatusError:
    return invalid_argument(_clipped(name), "is given twice, but holds one value")


def _decode(raw: str, name: str) -> str:
    """Decodes as in HTML forms: `+` is a space (WHATWG URL, application/x-www-form-urlencoded)."""
    if "%" not in raw and "+" not in raw and raw.isascii():
        return raw
    if _MALFORMED.search(raw):
        raise invalid_argument(_clipped(name), "a % must be followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(raw.replace("+", " ")).decode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise invalid_argument(_clipped(name), "is not UTF-8 text once percent-decoded") from None


def _clipped(name: str) -> str:
    """A name from a client, made safe for an error message."""
    return shown(name, _SHOWN_NAME)[1:-1]


def _is_map(field: FieldDescriptor) -> bool:
    message = field.message_type
    return field.is_repeated and message is not None and message.GetOptions().map_entry


def _not_one_text(name: str, field: FieldDescriptor) -> str:
    message = field.message_type
    if field.is_repeated:
        return "a list of messages cannot be set by query parameters"
    if message is None or not has_members(message):
        return "cannot be set by query parameters"
    first = message.fields[0].json_name if message.fields else "field"
    return f"is a message: set its fields, such as {name}.{first}"


def _map_encoder(
    path: FieldPath, name: str, encoder: Callable[[FieldPath, str], Encoder]
) -> tuple[Encoder, Callable[[bytes, str], bytes]]:
    """Makes the encoder of a key, and that of an entry from an encoded key and the value's text."""
    entry = path.leaf.message_type
    if entry is None or value_reader(entry.fields_by_name["value"]) is None:
        raise _no_scalar_map(name)
    number = path.leaf.number
    encode_key = field_encoder(FieldPath((entry.fields_by_name["key"],)), name)
    value_field = FieldPath((entry.fields_by_name["value"],))
    encode_value = encoder(value_field, name)
    enclose = encloser(path.fields[:-1]) or bytes

    def encode(key_wire: bytes, text: str) -> bytes:
        return enclose(length_delimited(number, key_wire + encode_value(text)))

    return encode_key, encode


def _no_scalar_map(name: str) -> StatusError:
    return invalid_argument(name, "a map of messages cannot be set by query parameters")
