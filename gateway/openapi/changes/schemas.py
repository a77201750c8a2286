"""Compares schemas of messages, with all that they refer to."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.openapi.changes.values import (
    Findings,
    Part,
    Side,
    Spot,
    choices,
    compare_conditions,
    compare_values,
    in_words,
    plain,
    same_type,
    sentences,
)
from gateway.schema.places import Elements

__all__ = ["Findings", "Part", "SchemaChanges", "Side", "Spot"]

_DEEPEST: Final = 100
"""The depth of schemas inside each other that is compared."""
_USES: Final = {
    Side.REQUEST: ("readOnly", ("writable", "accepted"), ("read-only", "set by the server only")),
    Side.RESPONSE: ("writeOnly", ("readable", "returned"), ("write-only", "never returned")),
}
"""The keyword for a field of one direction alone, and the ends of rules without it and with it."""
_ENDINGS: Final = ("Input", "Update", "Body")
"""The endings of components that are a second schema of a message (`openapi/schemas.py`)."""


class SchemaChanges:
    """Compares the schemas of two documents; each pair of components is compared once a side."""

    def __init__(
        self, old: Part, new: Part, elements: tuple[Elements, Elements], found: Findings
    ) -> None:
        self._old: Part = old.get("components", {}).get("schemas", {})
        self._new: Part = new.get("components", {}).get("schemas", {})
        self._elements = elements
        self._found = found
        self._seen: set[tuple[str, str, Side]] = set()

    def compare(self, old: Part, new: Part, side: Side, spot: Spot, depth: int = 0) -> None:
        """Compares a schema of the old document with that in its place in the new one.

        Args:
            old: the schema of before.
            new: the schema of now.
            side: the direction in which the values are sent.
            spot: the part of the API that has the schema.
            depth: the number of schemas around it.
        """
        if depth > _DEEPEST:
            return
        self._compare_use(old, new, side, spot)
        self.compare_rules(old, new, side, spot)
        old, new = plain(old), plain(new)
        before, after = _target(old), _target(new)
        if before and after:
            if (before, after, side) in self._seen:
                return
            self._seen.add((before, after, side))
        old = self._old.get(before, {}) if before else old
        new = self._new.get(after, {}) if after else new
        if "anyOf" in old or "anyOf" in new:
            self._compare_choices(old, new, side, spot, depth)
        elif same_type(old, new, side, self._found, spot):
            if before and after and "enum" in old and "enum" in new:
                self._compare_values_numbers((before, after), old, spot)
            if side is Side.REQUEST and "enum" in old and "enum" in new:
                old, new = self._accepted((before, after), (old, new))
            compare_values(old, new, side, self._found, spot)
            message = self._message(before) if before else spot.element
            self._compare_fields(old, new, side, spot._replace(element=message), depth)
            self._compare_parts(old, new, side, spot, depth)

    def _accepted(self, names: tuple[str, str], parts: tuple[Part, Part]) -> tuple[Part, Part]:
        """Two enums with all names that requests can have; a document has the first of a number.

        Where only one of them is known from protos, it has the further names of the other.
        """
        old, new = (
            [
                alias
                for value in part["enum"]
                if (element := elements.get(f"{name}.{value}"))
                for alias in element.aliases
            ]
            for name, part, elements in zip(names, parts, self._elements, strict=True)
        )
        before, after = parts
        if not all(self._elements):
            old = [one for one in old if one in after["enum"]]
            new = [one for one in new if one in before["enum"]]
        return (
            {**before, "enum": [*before["enum"], *old]},
            {**after, "enum": [*after["enum"], *new]},
        )

    def _compare_choices(self, old: Part, new: Part, side: Side, spot: Spot, depth: int) -> None:
        """Compares what the messages of a stream can be: replies, or the error at its end."""
        before, after = old.get("anyOf", ()), new.get("anyOf", ())
        if len(before) != len(after):
            self._found.add(f"{side}-type-changed", spot, "type changed")
            return
        # The error is the same for the whole API, and compared once (changes/documents.py).
        self.compare(before[0], after[0], side, spot, depth + 1)

    def compare_rules(self, old: Part, new: Part, side: Side, spot: Spot) -> None:
        """Compares the rules that descriptions state, because no keyword has their sense."""
        compare_conditions(sentences(old), sentences(new), side, self._found, spot)

    def _compare_use(self, old: Part, new: Part, side: Side, spot: Spot) -> None:
        if new.get("deprecated") and not old.get("deprecated"):
            self._found.add("deprecated", spot, "deprecated")
        word, without, with_ = _USES[side]
        if old.get(word, False) != new.get(word, False):
            rule, change = with_ if new.get(word) else without
            self._found.add(f"{side}-property-became-{rule}", spot, f"is now {change}")

    def _compare_oneofs(self, old: Part, new: Part, spot: Spot) -> None:
        """Compares which fields of a request cannot be set together, or one of which must be."""
        before, after = choices(old), choices(new)
        known = old.get("properties", {}).keys()
        for names, is_needed in after.items():
            mine = names & known
            apart = [one for one in mine if not any(mine <= {one} | group for group in before)]
            listed = ", ".join(sorted(mine))
            if len(mine) > 1 and apart:
                text = f"only one of {listed} can be set now"
                self._found.add("request-properties-became-exclusive", spot, text)
            if is_needed and not any(was for group, was in before.items() if group & names):
                text = f"one of {listed} must be set now"
                self._found.add("request-choice-became-required", spot, text)

    def _compare_parts(self, old: Part, new: Part, side: Side, spot: Spot, depth: int) -> None:
        """Compares the items of arrays, and the names and values of maps."""
        if "items" in old and "items" in new:
            self.compare(old["items"], new["items"], side, spot.within("items"), depth + 1)
        before, after = old.get("additionalProperties"), new.get("additionalProperties")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            self.compare(before, after, side, spot.within("values"), depth + 1)
        keys, new_keys = old.get("propertyNames", {}), new.get("propertyNames", {})
        if keys.get("pattern") != new_keys.get("pattern"):
            self._found.add(f"{side}-type-changed", spot, "type of the keys changed")
        else:
            compare_values(keys, new_keys, side, self._found, spot.within("keys"))
        if side is Side.REQUEST and (before is False) != (after is False):
            change = "refused" if after is False else "allowed"
            text = f"unknown fields are {change}"
            self._found.add(f"request-unknown-fields-{change}", spot, text)

    def _compare_fields(self, old: Part, new: Part, side: Side, spot: Spot, depth: int) -> None:
        """Compares the fields of a message, whose full name is the element of `spot`."""
        before: Mapping[str, Any] = old.get("properties", {})
        after: Mapping[str, Any] = new.get("properties", {})
        needed_before, needed = set(old.get("required", ())), set(new.get("required", ()))
        renamed = self._renamed(before, after, spot.element)
        if side is Side.REQUEST:
            self._compare_oneofs(old, new, spot)
        for name, part in before.items():
            inner = _field(spot, name)
            if name in renamed:
                self._found.add(f"{side}-property-renamed", inner, f"renamed to {renamed[name]}")
            elif name not in after:
                self._found.add(f"{side}-property-removed", inner, "removed")
            else:
                if (name in needed) != (name in needed_before):
                    what = "required" if name in needed else "optional"
                    self._found.add(f"{side}-property-became-{what}", inner, f"is now {what}")
                self.compare(part, after[name], side, inner, depth + 1)
                self._compare_numbers(side, inner)
        for name, part in after.items():
            if name not in before and name not in renamed.values():
                kind = "required-" if side is Side.REQUEST and name in needed else ""
                rule = f"{side}-property-{kind}added"
                self._found.add(rule, _field(spot, name), f"added, {in_words(part)}")

    def _compare_numbers(self, side: Side, spot: Spot) -> None:
        """Compares what counts in Protobuf alone; a type that has changed is reported already."""
        old, new = (elements.get(spot.element) for elements in self._elements)
        if not old or not new:
            return
        if old.number != new.number:
            text = f"has the number {new.number}, before {old.number}"
            self._found.add("property-number-changed", spot, text)
        if old.encoding != new.encoding and not self._found.has(f"{side}-type-changed", spot):
            text = f"is encoded as {new.encoding}, before as {old.encoding}"
            self._found.add("property-encoding-changed", spot, text)

    def _compare_values_numbers(self, names: tuple[str, str], old: Part, spot: Spot) -> None:
        for value in old["enum"]:
            was, now = (
                elements.get(f"{name}.{value}")
                for name, elements in zip(names, self._elements, strict=True)
            )
            if was and now and was.number != now.number:
                text = f"value {value!r} has the number {now.number}, before {was.number}"
                self._found.add("enum-number-changed", spot, text)

    def _renamed(self, before: Part, after: Part, message: str) -> Mapping[str, str]:
        """The new names of fields that have kept their number and not their name."""
        old, new = self._elements
        added = {
            found.number: name
            for name in after
            if name not in before and (found := new.get(f"{message}.{name}"))
        }
        return {
            name: added[found.number]
            for name in before
            if name not in after
            and (found := old.get(f"{message}.{name}"))
            and found.number in added
        }

    def _message(self, component: str) -> str:
        """The full name of the message that a component describes."""
        known = self._elements[0] or self._elements[1]
        if component in known:
            return component
        name, _, number = component.rpartition("_")
        name = name if number.isdecimal() else component
        for ending in _ENDINGS:
            plain = name.removesuffix(ending)
            if plain in known:
                return plain
        return component


def _field(spot: Spot, name: str) -> Spot:
    element = f"{spot.element}.{name}"
    return spot._replace(element=element, subject=element)


def _target(part: Part) -> str:
    return str(part.get("$ref", "")).rpartition("/")[2]
