"""The parameters of an operation: those of its path, and the fields that its query can set.

The rules for queries are those of `transcoding/query.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.config.query import QueryOptions
from gateway.openapi.behavior import mark
from gateway.openapi.examples import add_checked_example, add_stated_example
from gateway.openapi.paths import OpenApiPath
from gateway.openapi.schemas import Json, Schemas, Texts, Use
from gateway.schema.field_behavior import behavior
from gateway.transcoding.binding import WHOLE, Binding, FieldPath
from gateway.transcoding.text_values import has_members, value_reader

_DEEPEST = 5
"""The longest field path that becomes a parameter; the gateway accepts longer ones."""
_MOST = 200
"""The number of parameters of one operation; the gateway accepts any field."""
_CUT = "The query can set more fields, by their paths, than are listed here."


@dataclass(frozen=True, slots=True)
class Parameters:
    """Makes the parameters of operations."""

    schemas: Schemas
    texts: Texts
    options: QueryOptions

    def of(self, binding: Binding, path: OpenApiPath) -> tuple[list[Json], str]:
        """The parameters of a binding, and a note if it has more than are listed."""
        found = self._of_path(path)
        if binding.body == WHOLE:
            return found, ""
        # Names that a service config gives to system parameters are never those of fields.
        taken = {one.url_query_parameter for one in binding.method.system_parameters}
        leaves = self._leaves(binding, binding.method.input, ())
        note = ""
        number = 0
        for leaf, schema in leaves:
            if number == _MOST:
                return found, _CUT
            if schema is None:
                note = _CUT
                continue
            part = self._of_query(leaf, schema)
            if part["name"] not in taken:
                found.append(part)
                number += 1
        return found, note

    def _of_path(self, path: OpenApiPath) -> list[Json]:
        found: list[Json] = []
        for parameter in path.parameters:
            part: Json = {"name": parameter.name, "in": "path", "required": True}
            notes = [f"A part of `{parameter.of}`."] if parameter.of else []
            if parameter.is_deep:
                part["x-wildcard"] = True
                notes.append(
                    "Any number of segments with `/` between them, which a client must not encode."
                )
            field = parameter.field
            if field is None or not self.schemas.visibility.shows_value(field.leaf):
                part["schema"] = {"type": "string"}
                part["description"] = " ".join(notes) or "One segment of the path."
            else:
                leaf = field.leaf
                part["schema"] = self.schemas.field(leaf, Use.REQUEST)
                notes += self.schemas.rules.of(leaf).notes
                self.texts.describe(part, leaf.full_name, *notes)
            if parameter.example and part["schema"].get("type") == "string":  # type: ignore[attr-defined]
                part["example"] = parameter.example
            found.append(part)
        return found

    def _of_query(self, path: FieldPath, schema: Json) -> Json:
        leaf, of = path.leaf, behavior(path.leaf)
        rules = self.schemas.rules.of(leaf)
        name = ".".join(self.schemas.name(field) for field in path.fields)
        part: Json = {"name": name, "in": "query"}
        if self.schemas.needs(leaf) and len(path.fields) == 1:
            part["required"] = True
        if of.is_deprecated:
            part["deprecated"] = True
        if _is_map(leaf):
            part |= {"style": "deepObject", "explode": True}
        elif leaf.is_repeated:
            part |= {"style": "form", "explode": True}
        mark(schema, of)
        words = self.texts.words(leaf)
        if words.get("deprecated"):
            part["deprecated"] = True
        add_stated_example(schema, leaf, words)
        add_checked_example(schema, leaf, rules.example)
        schema.pop("deprecated", None)
        part["schema"] = schema
        return self.texts.describe(part, leaf.full_name, *rules.notes)

    def _leaves(
        self, binding: Binding, message: Descriptor, above: tuple[FieldDescriptor, ...]
    ) -> Iterator[tuple[FieldPath, Json | None]]:
        """Yields the fields that a query can set, each with its schema.

        A message whose fields are not listed has none.
        """
        for field in self.schemas.fields(message):
            path = FieldPath((*above, field))
            is_body = not above and binding.body is not None and field == binding.body
            if is_body or field.is_extension:
                continue
            if any(path.numbers == bound.numbers for bound in binding.variables):
                continue
            inner = field.message_type
            if inner is not None and _is_map(field):
                value = inner.fields_by_name["value"]
                if self.options.maps and value_reader(value) is not None:
                    yield path, self.schemas.field(field, Use.REQUEST)
            elif value_reader(field) is not None:
                yield path, self.schemas.field(field, Use.REQUEST)
            elif inner is not None and not field.is_repeated and has_members(inner):
                is_recursive = inner == message or any(inner == one.message_type for one in above)
                if is_recursive or len(above) + 1 == _DEEPEST:
                    yield path, None
                else:
                    yield from self._leaves(binding, inner, (*above, field))


def _is_map(field: FieldDescriptor) -> bool:
    message = field.message_type
    return field.is_repeated and message is not None and message.GetOptions().map_entry
