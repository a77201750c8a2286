"""Strict ProtoJSON: finds every error in a JSON tree for a message type.

The rules are those of protobuf.dev, "ProtoJSON Format". Where they allow a choice, the strict one
applies, so that no digit or character of a request is lost silently. A number that only needs
another spelling is rewritten; unknown members are removed if they are to be ignored.

The check of each message type is made once, when the type is first used.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoding.json.report import At, Check, Report, kind_of
from gateway.transcoding.json.text import Tree
from gateway.transcoding.json.type_copies import WRAPPERS, entry_fields, parts_of
from gateway.transcoding.json.values import (
    LEFT_OUT,
    SCALARS,
    SPECIAL,
    check_list,
    check_map,
    enum_check,
    map_key,
)


@dataclass(frozen=True, slots=True)
class _Member:
    """A field as an object's member, with its `oneof`, if any."""

    name: str
    check: Check
    oneof: str | None
    takes_null: bool


class Checker:
    """Makes the check of each message type; `find` resolves the types in an Any.

    Unknown members are rejected, except those with a name in `ignored`. None ignores all, and also
    unknown names of enum values: the field counts as absent, as protobuf's conformance suite
    requires.
    """

    def __init__(
        self, find: Callable[[str], Descriptor | None], ignored: Collection[str] | None
    ) -> None:
        self._find = find
        self._ignored = ignored
        self._checks: dict[str, Check] = {}

    def message(self, message: Descriptor) -> Check:
        """Returns the check of a whole message."""
        name = message.full_name
        if name not in self._checks:
            self._checks[name] = self._message_check(message)
        return self._checks[name]

    def field(self, of: FieldDescriptor) -> Check:
        """Makes the check of a list, a map, or one value in a field; null unsets the field."""
        one = self._value(of)
        entry = entry_fields(of)
        if entry is not None:
            key, value = entry
            return partial(check_map, map_key(key), self._value(value))
        return partial(check_list, one) if of.is_repeated else one

    def field_or_null(self, of: FieldDescriptor) -> Check:
        """Makes the check of a field that accepts null, which also replaces ignored values."""
        check = self.field(of)

        def check_or_null(tree: Tree, at: At, report: Report) -> Tree:
            checked = None if tree is None else check(tree, at, report)
            return None if checked is LEFT_OUT else checked

        return check_or_null

    def _value(self, of: FieldDescriptor) -> Check:
        if of.message_type is not None:
            return self.message(of.message_type)
        if of.enum_type is not None:
            return enum_check(of.enum_type, ignore=self._ignored is None)
        return SCALARS[of.type]

    def _message_check(self, message: Descriptor) -> Check:
        special = SPECIAL.get(message.full_name)
        if special is not None:
            return special
        if message.full_name == "google.protobuf.Any":
            return self._check_any
        if message.full_name in WRAPPERS:
            return self._value(message.fields_by_name["value"])
        members: dict[str, _Member] = {}

        def check(tree: Tree, at: At, report: Report) -> Tree:
            if not members:  # made on first use, because message types can be recursive
                members.update(self._members(message))
            return self._check_object(members, tree, at, report)

        return check

    def _members(self, message: Descriptor) -> Iterable[tuple[str, _Member]]:
        for part in parts_of(message):
            name = f"[{part.full_name}]" if part.is_extension else part.json_name
            oneof = part.containing_oneof
            choice = oneof.name if oneof is not None and len(oneof.fields) > 1 else None
            member = _Member(name, self.field(part), choice, takes_null(part))
            if not part.is_extension:
                yield part.name, member
            yield name, member

    def _check_object(
        self, members: dict[str, _Member], tree: Tree, at: At, report: Report
    ) -> Tree:
        if type(tree) is not tuple:
            report.add(at, f"expected an object, got {kind_of(tree)}")
            return tree
        kept: list[tuple[str, Tree]] = []
        chosen: dict[str, str] = {}
        for key, item in tree:
            member = members.get(key)
            if member is None:
                self._unknown(key, at, report)
            elif item is None and not member.takes_null:
                kept.append((key, None))
            else:
                here = (at, member.name)
                checked = member.check(item, here, report)
                if checked is not LEFT_OUT:
                    if member.oneof is not None:
                        _choose(member, chosen, here, report)
                    kept.append((key, checked))
        return tuple(kept)

    def _unknown(self, key: str, at: At, report: Report) -> None:
        if self._ignored is None or key in self._ignored:
            report.changed = True
        else:
            report.add((at, key), "no such field")

    def _check_any(self, tree: Tree, at: At, report: Report) -> Tree:
        if type(tree) is not tuple:
            report.add(at, f"expected an object with @type, got {kind_of(tree)}")
            return tree
        if not tree:
            return tree
        rest = tuple(member for member in tree if member[0] != "@type")
        urls = [item for key, item in tree if key == "@type"]
        url = urls[-1] if urls else None
        message = self._find(url.rpartition("/")[2]) if type(url) is str and "/" in url else None
        if message is None:
            report.add((at, "@type"), "expected the URL of a known type, such as host/package.Type")
            return tree
        return (("@type", url), *self._any_members(message, rest, at, report))

    def _any_members(
        self, message: Descriptor, rest: tuple[tuple[str, Tree], ...], at: At, report: Report
    ) -> tuple[tuple[str, Tree], ...]:
        check = self.message(message)
        if not has_own_form(message):
            checked = check(rest, at, report)
            return checked if isinstance(checked, tuple) else ()
        for key, _ in rest:
            if key != "value":
                self._unknown(key, at, report)
        values = [item for key, item in rest if key == "value"]
        if not values:
            report.add((at, "value"), f"expected the value of the {message.full_name}")
            return ()
        return (("value", check(values[-1], (at, "value"), report)),)


def takes_null(field: FieldDescriptor) -> bool:
    """True if null is a value of this field and does not mean that it is absent."""
    if field.is_repeated:
        return False
    kind = field.message_type or field.enum_type
    return kind is not None and kind.full_name in (
        "google.protobuf.Value",
        "google.protobuf.NullValue",
    )


def has_own_form(message: Descriptor) -> bool:
    """True if the JSON of a message is not an object of its fields."""
    name = message.full_name
    return name in SPECIAL or name in WRAPPERS or name == "google.protobuf.Any"


def _choose(member: _Member, chosen: dict[str, str], at: At, report: Report) -> None:
    assert member.oneof is not None  # noqa: S101 # the caller's condition, for the type checker
    first = chosen.setdefault(member.oneof, member.name)
    if first != member.name:
        report.add(at, f"cannot be set together with {first}")
    elif member.oneof + "\0" in chosen:
        report.add(at, "set twice")
    chosen[member.oneof + "\0"] = ""
