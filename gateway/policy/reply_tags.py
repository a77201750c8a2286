"""The tags that policies give to stored replies, and drop: texts with values of the request.

For example `book:{name}` or `shelf:{book.shelf.id}`.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from gateway.policy.options import Method, PolicyError

_PART: Final = re.compile(r"\{([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\}|([!-z|~ ]+)", re.ASCII)
_NO_TEXT: Final = (
    FieldDescriptor.TYPE_BYTES,
    FieldDescriptor.TYPE_DOUBLE,
    FieldDescriptor.TYPE_FLOAT,
)

_Path = Sequence[FieldDescriptor]


class TagMaker:
    """Makes the tags of the calls of one method."""

    def __init__(self, method: Method, key: str, templates: Sequence[str]) -> None:
        """Compiles templates; `key` is that of the policy, for messages.

        Raises:
            PolicyError: a template is malformed, or its field cannot be written as text.
        """
        self._type = GetMessageClass(method.input)
        where = f"{method.full_name}: {key}"
        self._templates = [_compiled(method.input, text, where) for text in templates]

    def of(self, message: bytes) -> frozenset[str]:
        """Returns the tags of a request; those with an unset or empty value are left out."""
        if not self._templates:
            return frozenset()
        try:
            request = self._type.FromString(message)
        except DecodeError:
            return frozenset()
        made = [_filled(request, parts) for parts in self._templates]
        return frozenset([tag for tag in made if tag])


def _compiled(message: Descriptor, template: str, where: str) -> Sequence[str | _Path]:
    parts: list[str | _Path] = []
    at = 0
    while at < len(template):
        found = _PART.match(template, at)
        if found is None:
            raise PolicyError(
                f"{where}: {template!r}: expected printable ASCII, and fields in braces, such as "
                "book:{name}"
            )
        parts.append(found[2] or _fields(message, found[1], where))
        at = found.end()
    if not parts:
        raise PolicyError(f"{where}: a tag is empty; expected a text such as book:{{name}}")
    return parts


def _fields(message: Descriptor, path: str, where: str) -> _Path:
    fields: list[FieldDescriptor] = []
    inner: Descriptor | None = message
    for name in path.split("."):
        field = None if inner is None else inner.fields_by_name.get(name)
        if field is None:
            raise PolicyError(f"{where}: {message.full_name} has no field {path}")
        if field.is_repeated:
            raise PolicyError(f"{where}: {path}: a repeated field cannot be part of a tag")
        fields.append(field)
        inner = field.message_type
    if inner is not None or fields[-1].type in _NO_TEXT:
        raise PolicyError(f"{where}: {path}: expected a field of text, integer, bool or enum")
    return fields


def _filled(request: Message, parts: Sequence[str | _Path]) -> str:
    texts = [part if isinstance(part, str) else _value(request, part) for part in parts]
    return "".join(texts) if all(texts) else ""


def _value(request: Message, fields: _Path) -> str:
    value: Any = request
    for field in fields:
        value = getattr(value, field.name)
    last = fields[-1]
    if isinstance(value, bool):
        return "true" if value else "false"
    if last.enum_type is not None:
        named = last.enum_type.values_by_number.get(value)
        return str(value) if named is None else str(named.name)
    return str(value)
