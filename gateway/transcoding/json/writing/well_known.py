"""The messages that have a JSON form of their own (protobuf.dev, "ProtoJSON Format").

Timestamp, Duration, FieldMask, Any and Value have drafts here. Wrappers, Struct and ListValue are
written as their only field.
"""

import re
from typing import Final, cast

from gateway.transcoding.field_masks import MAX_PATHS, spell_path
from gateway.transcoding.json.writing.drafts import (
    Budget,
    Draft,
    Field,
    Items,
    Plan,
    PlanSource,
    UnprintableError,
)
from gateway.transcoding.json.writing.scalars import octets, quote
from gateway.transcoding.repeats import repeated
from gateway.transcoding.text_forms import shown
from gateway.transcoding.wire import MAX_DEPTH, MalformedError, read_size, read_varint

_TIMESTAMP_FIRST_S: Final = -62_135_596_800  # 0001-01-01T00:00:00Z
_TIMESTAMP_LAST_S: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
_DURATION_MOST_S: Final = 315_576_000_000
_SECOND_NS: Final = 1_000_000_000
_DAY_S: Final = 86_400
_TWO_DIGITS: Final = [f"{number:02}" for number in range(100)]
_STRING_VALUE: Final = 26
"""The tag of the member `string_value` of a google.protobuf.Value."""
_STEP_BYTES: Final = 2
"""The least size of one step of a field mask's path; each step counts as a value."""
_PLAIN_STEP: Final = r"[a-z][a-z0-9]*+(?:_[a-z][a-z0-9]*+)*+"
_PLAIN_PATH: Final = re.compile(_PLAIN_STEP + repeated(rf"\.{_PLAIN_STEP}"))
"""A path that needs no care: names of lowercase words with digits."""


class _TimeDraft(Draft):
    """The JSON of a message of seconds and nanoseconds."""

    def __init__(self, plan: Plan, budget: Budget) -> None:
        super().__init__(plan, budget)
        self.seconds = 0
        self.nanos = 0


class _TimeField(Field):
    """`seconds`, or `nanos`."""

    def __init__(self, *, is_nanos: bool) -> None:
        super().__init__()
        self._is_nanos = is_nanos

    def take(self, draft: Draft, wire: bytes, at: int, end: int, depth: int) -> int:  # noqa: ARG002 - as in Field
        """Reads a number, which replaces the one before."""
        times = cast("_TimeDraft", draft)
        value, at = read_varint(wire, at, end)
        if self._is_nanos:
            value &= (1 << 32) - 1
            times.nanos = value - (1 << 32) if value >> 31 else value
        else:
            times.seconds = value - (1 << 64) if value >> 63 else value
        return at

    def described(self) -> tuple[object, ...]:
        return ("nanos",) if self._is_nanos else ("seconds",)


class _TimestampDraft(_TimeDraft):
    def text(self) -> str:
        """Returns the time in UTC (RFC 3339) with 0, 3, 6 or 9 decimals."""
        seconds, nanos = self.seconds, self.nanos
        if not (_TIMESTAMP_FIRST_S <= seconds <= _TIMESTAMP_LAST_S and 0 <= nanos < _SECOND_NS):
            raise UnprintableError("google.protobuf.Timestamp is outside the years 1 to 9999")
        days = seconds // _DAY_S
        rest = seconds - days * _DAY_S
        two = _TWO_DIGITS
        clock = f"{two[rest // 3600]}:{two[rest // 60 % 60]}:{two[rest % 60]}"
        return f'"{_date(days)}T{clock}{_decimals(nanos)}Z"'


class _DurationDraft(_TimeDraft):
    def text(self) -> str:
        """Returns the seconds with 0, 3, 6 or 9 decimals and an s."""
        seconds, nanos = self.seconds, self.nanos
        is_mixed = (seconds > 0 and nanos < 0) or (seconds < 0 and nanos > 0)
        if abs(seconds) > _DURATION_MOST_S or abs(nanos) >= _SECOND_NS or is_mixed:
            raise UnprintableError(
                "google.protobuf.Duration is out of range or has parts of different signs"
            )
        sign = "-" if seconds < 0 or nanos < 0 else ""
        return f'"{sign}{abs(seconds)}{_decimals(abs(nanos))}s"'


class _TimePlan(Plan):
    """The plan of Timestamp, or of Duration."""

    def __init__(self, name: str, *, is_duration: bool) -> None:
        super().__init__(name, form="duration" if is_duration else "timestamp")
        self._is_duration = is_duration
        self.add(8, _TimeField(is_nanos=False))
        self.add(16, _TimeField(is_nanos=True))

    def start(self, budget: Budget) -> Draft:
        kind = _DurationDraft if self._is_duration else _TimestampDraft
        return kind(self, budget)


class _MaskDraft(Draft):
    """The JSON of a FieldMask: its paths in lowerCamelCase with commas between them."""

    def __init__(self, plan: Plan, budget: Budget) -> None:
        super().__init__(plan, budget)
        self._paths = Items()
        self._count = 0
        self._flaw = ""

    def add(self, path: str) -> None:
        """Adds a path as it is spelled on the wire."""
        self._count += 1
        if self._flaw:
            return
        spelled: str | None
        if _PLAIN_PATH.fullmatch(path):
            spelled = _camel_case(path) if "_" in path else path
        elif self._count > MAX_PATHS:
            spelled = None
            self._flaw = f"has more than {MAX_PATHS} paths, and JSON cannot spell some as they are"
        else:
            spelled = spell_path(path)
        if spelled is not None:
            self._paths.add(spelled)
        elif not self._flaw:
            self._flaw = f"holds the path {shown(path)}, which lowerCamelCase cannot spell"

    def text(self) -> str:
        if self._flaw:
            raise UnprintableError(f"google.protobuf.FieldMask {self._flaw}")
        return quote(octets(self._paths.joined().encode()))


class _PathsField(Field):
    def take(self, draft: Draft, wire: bytes, at: int, end: int, depth: int) -> int:  # noqa: ARG002 - as in Field
        at, stop = read_size(wire, at, end)
        draft.budget.spend((stop - at) // _STEP_BYTES)
        cast("_MaskDraft", draft).add(wire[at:stop].decode())
        return stop

    def described(self) -> tuple[object, ...]:
        return ("path",)


class _MaskPlan(Plan):
    """The plan of FieldMask."""

    def __init__(self, name: str) -> None:
        super().__init__(name, form="mask")
        self.add(10, _PathsField())

    def start(self, budget: Budget) -> Draft:
        return _MaskDraft(self, budget)


class _AnyDraft(Draft):
    """The JSON of an Any. Its message is read at the end, when its type is known."""

    def __init__(self, plan: Plan, budget: Budget, source: PlanSource) -> None:
        super().__init__(plan, budget)
        self._source = source
        self.url = ""
        # The message is where it came: nested Anys would otherwise be copied once a level.
        self.wire = b""
        self.at = 0
        self.end = 0
        self.depth = 0

    def text(self) -> str:
        """Returns an object with the URL in `@type`, and the members or the `value`."""
        if not self.url and self.at == self.end:
            return "{}"
        plan = self._source.named(self.url.rpartition("/")[2])
        if plan is None:
            raise UnprintableError(f"google.protobuf.Any holds the unknown type {shown(self.url)}")
        inner = plan.start(self.budget)
        try:
            inner.read(self.wire, self.at, self.end, self.depth + 1)
        except (MalformedError, UnicodeDecodeError):
            raise UnprintableError(f"google.protobuf.Any holds a malformed {plan.name}") from None
        opening = f'{{"@type":{quote(octets(self.url.encode()))}'
        if plan.has_own_form:
            return f'{opening},"value":{inner.text()}}}'
        return inner.text_after(opening)


class _AnyField(Field):
    """`type_url`, or `value`."""

    def __init__(self, *, is_url: bool) -> None:
        super().__init__()
        self._is_url = is_url

    def take(self, draft: Draft, wire: bytes, at: int, end: int, depth: int) -> int:
        """Reads a value, which replaces the one before."""
        holder = cast("_AnyDraft", draft)
        at, stop = read_size(wire, at, end)
        if self._is_url:
            holder.url = wire[at:stop].decode()
            return stop
        if depth >= MAX_DEPTH and at < stop:
            raise UnprintableError(f"it is nested deeper than {MAX_DEPTH} levels")
        holder.wire, holder.at, holder.end, holder.depth = wire, at, stop, depth
        return stop

    def described(self) -> tuple[object, ...]:
        return ("url",) if self._is_url else ("content",)


class AnyPlan(Plan):
    """The plan of google.protobuf.Any."""

    def __init__(self, name: str, source: PlanSource) -> None:
        super().__init__(name, form="any")
        self._source = source
        self.add(10, _AnyField(is_url=True))
        self.add(18, _AnyField(is_url=False))

    def start(self, budget: Budget) -> Draft:
        """Makes the draft of an Any."""
        return _AnyDraft(self, budget, self._source)


class ValueDraft(Draft):
    """The JSON of a google.protobuf.Value: that of the member that is set."""

    def text(self) -> str:
        """Returns the JSON of the value (google/protobuf/struct.proto)."""
        field = self.chosen[0]
        if field is None:
            raise UnprintableError("google.protobuf.Value has no value")
        text = self.value(field)
        if text[0] == '"' and field is not self.plan.few[_STRING_VALUE]:
            raise UnprintableError("google.protobuf.Value holds a number that is not finite")
        return text


class ValuePlan(Plan):
    """The plan of google.protobuf.Value."""

    def start(self, budget: Budget) -> Draft:
        """Makes the draft of a value."""
        return ValueDraft(self, budget)


class OnlyFieldDraft(Draft):
    """The JSON of a message that is written as its only field: a wrapper, Struct or ListValue."""

    def text(self) -> str:
        """Returns the JSON of the field."""
        self.finish()
        return self.parts[2]


class OnlyFieldPlan(Plan):
    """The plan of a message that is written as its only field."""

    def start(self, budget: Budget) -> Draft:
        """Makes the draft of such a message."""
        return OnlyFieldDraft(self, budget)


def own_plan(name: str, source: PlanSource) -> Plan | None:
    """Makes the plan of a well-known type that does not follow from its descriptor, else None."""
    if name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        return _TimePlan(name, is_duration=name == "google.protobuf.Duration")
    if name == "google.protobuf.FieldMask":
        return _MaskPlan(name)
    return AnyPlan(name, source) if name == "google.protobuf.Any" else None


def _decimals(nanos: int) -> str:
    """Returns the fraction of a second with 0, 3, 6 or 9 digits, and the point before it."""
    if not nanos:
        return ""
    digits = str(nanos + _SECOND_NS)[1:]
    if nanos % 1_000_000 == 0:
        return f".{digits[:3]}"
    return f".{digits[:6]}" if nanos % 1_000 == 0 else f".{digits}"


def _date(days: int) -> str:
    """Returns the date of a day, counted from 1970-01-01, in the proleptic Gregorian calendar."""
    # Years begin in March here, so that the day added in a leap year is the last one of a year;
    # four hundred years always have 146,097 days.
    days += 719_468  # from 0000-03-01
    era = days // 146_097
    day = days - era * 146_097
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    year += era * 400
    if month > 9:
        year += 1
        month -= 12
    two = _TWO_DIGITS
    return f"{two[year // 100]}{two[year % 100]}-{two[month + 3]}-{two[day + 1]}"


def _camel_case(path: str) -> str:
    """Spells a plain path in lowerCamelCase."""
    first, *words = path.split("_")
    return first + "".join([word[0].upper() + word[1:] for word in words])
