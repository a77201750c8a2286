"""Parses path templates, in the grammar of google/api/http.proto.

    Template = "/" [ Segments [ Verb ] ] ;
    Segments = Segment { "/" Segment } ;
    Segment  = "*" | "**" | LITERAL | Variable ;
    Variable = "{" FieldPath [ "=" Segments ] "}" ;
    FieldPath = IDENT { "." IDENT } ;
    Verb     = ":" LITERAL ;

`/` alone, which the grammar of http.proto does not have, is the root. `**` matches any number of
segments, even none, and is the last segment of a template. Published APIs also have it before other
segments; one such `**` is accepted, and reported by `Template.deep_inside`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes


@dataclass(frozen=True, slots=True)
class Literal:
    """Matches one segment that is equal to this text after percent-decoding."""

    text: str

    def __str__(self) -> str:
        return quote(self.text, safe="-._~!$&'()+,;=@")


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Matches exactly one path segment."""

    def __str__(self) -> str:
        return "*"


@dataclass(frozen=True, slots=True)
class DeepWildcard:
    """Matches any number of path segments, even none."""

    def __str__(self) -> str:
        return "**"


Segment = Literal | Wildcard | DeepWildcard


@dataclass(frozen=True, slots=True)
class Variable:
    """A field path, and the segments that it captures, from `start` up to `end`."""

    field_path: str
    start: int
    end: int
    many_segments: bool
    """True if its pattern has several segments or `**`, so that `%2F` stays encoded."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed path template: flat segments, the variables over them, and the verb."""

    segments: tuple[Segment, ...]
    variables: tuple[Variable, ...]
    verb: str = ""

    @property
    def deep_at(self) -> int | None:
        """The index of the `**`, or None."""
        return next((i for i, s in enumerate(self.segments) if isinstance(s, DeepWildcard)), None)

    @property
    def deep_inside(self) -> bool:
        """True if other segments follow the `**`, which is outside the grammar."""
        return any(isinstance(segment, DeepWildcard) for segment in self.segments[:-1])

    def path_with(self, value: str) -> str | None:
        """Returns the path whose only variable captures `value`; None if none does."""
        if len(self.variables) != 1:
            return None
        variable, texts = self.variables[0], value.split("/")
        before, after = self.segments[: variable.start], self.segments[variable.end :]
        pattern = self.segments[variable.start : variable.end]
        if not all(isinstance(segment, Literal) for segment in (*before, *after)):
            return None
        if not _takes(pattern, texts) or any(text in ("", ".", "..") for text in texts):
            return None
        parts = [*before, *map(Literal, texts), *after]
        return f"/{'/'.join(map(str, parts))}{self._verb_text()}"

    def _verb_text(self) -> str:
        return f":{Literal(self.verb)}" if self.verb else ""

    def __str__(self) -> str:
        parts: list[str] = []
        position = 0
        for variable in self.variables:
            parts += map(str, self.segments[position : variable.start])
            pattern = "/".join(map(str, self.segments[variable.start : variable.end]))
            path = variable.field_path
            parts.append(f"{{{path}}}" if pattern == "*" else f"{{{path}={pattern}}}")
            position = variable.end
        parts += map(str, self.segments[position:])
        return f"/{'/'.join(parts)}{self._verb_text()}"


def _takes(pattern: Sequence[Segment], texts: Sequence[str]) -> bool:
    """True if the segments of a pattern match these decoded ones."""
    if not pattern:
        return not texts
    first, rest = pattern[0], pattern[1:]
    if isinstance(first, DeepWildcard):
        least = len(rest)  # a template has one `**`, so each other segment takes one text
        at = len(texts) - least
        return at >= 0 and _takes(rest, texts[at:])
    if not texts or (isinstance(first, Literal) and first.text != texts[0]):
        return False
    return _takes(rest, texts[1:])


class TemplateError(ValueError):
    """A template is not valid in the grammar; the text has the column and what was expected."""


def parse_template(text: str) -> Template:
    """Parses `text` to a template.

    Raises:
        TemplateError: `text` is not valid in the grammar above.
    """
    return _Parser(text).template()


_WILDCARD, _DEEP_WILDCARD = Wildcard(), DeepWildcard()
_LITERAL = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()+,;=@]|%[0-9A-Fa-f]{2}|[^\x00-\x7f])+")
_FIELD_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


class _Parser:
    """A recursive descent parser, with one method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._segments: list[Segment] = []
        self._variables: list[Variable] = []

    def template(self) -> Template:
        self._expect("/", "a template starts with /")
        if self._text == "/":
            return Template((), ())
        self._parse_segments(inside_variable=False)
        verb = self._literal("a verb after the colon") if self._take(":") else ""
        if self._at < len(self._text):
            raise self._error(f"unexpected {self._text[self._at]!r}")
        return Template(tuple(self._segments), tuple(self._variables), verb)

    def _parse_segments(self, *, inside_variable: bool) -> None:
        self._segment(inside_variable=inside_variable)
        while self._take("/"):
            self._segment(inside_variable=inside_variable)

    def _segment(self, *, inside_variable: bool) -> None:
        if self._take("**"):
            if any(isinstance(segment, DeepWildcard) for segment in self._segments):
                raise self._error("a template can have only one **", back=2)
            self._segments.append(_DEEP_WILDCARD)
        elif self._take("*"):
            self._segments.append(_WILDCARD)
        elif not self._take("{"):
            self._segments.append(self._literal_segment())
        elif inside_variable:
            raise self._error("a variable cannot be inside another", back=1)
        else:
            self._variable()

    def _literal_segment(self) -> Literal:
        start = self._at
        text = self._literal("a segment: a literal, *, ** or {field}")
        if text in (".", ".."):
            # Reject it: the router rejects dot segments in paths (RFC 3986 section 5.2.4).
            raise self._error("the segments . and .. are never served", back=self._at - start)
        return Literal(text)

    def _variable(self) -> None:
        start = len(self._segments)
        path = self._field_path()
        if any(variable.field_path == path for variable in self._variables):
            raise self._error(f"the variable {path} appears twice", back=len(path))
        if self._take("="):
            self._parse_segments(inside_variable=True)
        else:
            self._segments.append(_WILDCARD)
        self._expect("}", f"expected }} to close the variable {path}")
        end = len(self._segments)
        many = end - start > 1 or isinstance(self._segments[start], DeepWildcard)
        self._variables.append(Variable(path, start, end, many))

    def _field_path(self) -> str:
        found = _FIELD_PATH.match(self._text, self._at)
        if found is None:
            raise self._error("expected a field path such as name or book.name")
        self._at = found.end()
        return found[0]

    def _literal(self, wanted: str) -> str:
        found = _LITERAL.match(self._text, self._at)
        if found is None:
            raise self._error(f"expected {wanted}")
        try:
            # Keep the literal decoded: two spellings of one literal are one route.
            text = unquote_to_bytes(found[0]).decode("utf-8")
        except UnicodeError:
            raise self._error("a percent-encoded literal is not UTF-8") from None
        self._at = found.end()
        return text

    def _take(self, token: str) -> bool:
        if self._text.startswith(token, self._at):
            self._at += len(token)
            return True
        return False

    def _expect(self, token: str, reason: str) -> None:
        if not self._take(token):
            raise self._error(reason)

    def _error(self, reason: str, *, back: int = 0) -> TemplateError:
        return TemplateError(f"{self._text!r}, column {self._at + 1 - back}: {reason}")
