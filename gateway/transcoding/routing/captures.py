"""Reads a template's variables from the raw segments of a path; compiled once per template."""

from collections.abc import Callable
from operator import itemgetter

from gateway.transcoding.routing.percent import decode, decode_keeping_slashes
from gateway.transcoding.routing.template import Template, Variable

Decode = Callable[[str, str], str]
"""Decodes raw text of the field that an error names."""

Captures = Callable[[list[str]], tuple[str, ...]]
"""Reads a template's variables from the raw segments; the first segment is always empty."""


def compile_captures(
    template: Template, decode_many: Decode = decode_keeping_slashes, *, fully_decode: bool
) -> Captures:
    """Makes the reader of the variables of `template`, decoded as http.proto says.

    `decode_many` decodes a variable of several segments; `fully_decode` wins over it.

    The reader raises `StatusError` for a segment that cannot be decoded.
    """
    readers = [
        _compile_variable(template, variable, decode_many, fully_decode=fully_decode)
        for variable in template.variables
    ]
    if not readers:
        return lambda _segments: ()
    if len(readers) == 1:
        only = readers[0]
        return lambda segments: (only(segments),)
    if len(readers) == 2:
        first, second = readers  # unrolled, since a loop costs as much as both readings
        return lambda segments: (first(segments), second(segments))
    return lambda segments: tuple([read(segments) for read in readers])


def plain_captures(template: Template) -> Captures | None:
    """Makes the reader of several variables of a segment each, without escapes, in one call; None
    for other templates."""
    variables = template.variables
    if len(variables) < 2 or any(variable.many_segments for variable in variables):
        return None
    return itemgetter(*[variable.start + 1 for variable in variables])


def only_span(template: Template) -> tuple[int, int]:
    """Returns the bounds of the segments that, joined, are the text of the only variable.

    (0, 0) for a template with no variable, several, or a `**`.
    """
    if len(template.variables) != 1 or template.deep_at is not None:
        return 0, 0
    return template.variables[0].start + 1, template.variables[0].end + 1


def _compile_variable(
    template: Template, variable: Variable, decode_many: Decode, *, fully_decode: bool
) -> Callable[[list[str]], str]:
    deep = template.deep_at
    if deep is not None and variable.end > deep:
        return _compile_shifting(template, variable, deep, decode_many, fully_decode=fully_decode)
    start, end, name = variable.start + 1, variable.end + 1, variable.field_path
    if not variable.many_segments:
        return _read_one(start, name)
    if not fully_decode:
        return _read_many(start, end, name, decode_many)
    return lambda segments: "/".join([decode_keeping_slashes(s, name) for s in segments[start:end]])


def _read_one(number: int, name: str) -> Callable[[list[str]], str]:
    def read(segments: list[str]) -> str:
        raw = segments[number]
        return decode(raw, name) if "%" in raw else raw

    return read


def _read_many(start: int, end: int, name: str, decode_many: Decode) -> Callable[[list[str]], str]:
    def read(segments: list[str]) -> str:
        raw = "/".join(segments[start:end])
        return decode_many(raw, name) if "%" in raw else raw

    return read


def _compile_shifting(
    template: Template,
    variable: Variable,
    deep: int,
    decode_many: Decode,
    *,
    fully_decode: bool,
) -> Callable[[list[str]], str]:
    """Makes the reader of a variable over or after a `**`: its end depends on the path's length."""
    name, size = variable.field_path, len(template.segments) + 1
    after_deep = variable.start > deep
    start, end = variable.start + 1, variable.end + 1

    def bounds(segments: list[str]) -> tuple[int, int]:
        grown = len(segments) - size
        return start + (grown if after_deep else 0), end + grown

    def read(segments: list[str]) -> str:
        first, last = bounds(segments)
        raw = "/".join(segments[first:last])
        if "%" not in raw:
            return raw
        return decode_many(raw, name) if variable.many_segments else decode(raw, name)

    def read_fully(segments: list[str]) -> str:
        # http.proto, Http.fully_decode_reserved_expansion: `%2F` stays only where `*` matched it.
        first, last = bounds(segments)
        inside = range(deep + 1, deep + 2 + len(segments) - size)
        return "/".join(
            (decode if i in inside else decode_keeping_slashes)(segments[i], name)
            for i in range(first, last)
        )

    return read_fully if fully_decode and variable.many_segments else read
