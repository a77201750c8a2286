"""Comments of .proto files as texts of the document."""

import re
from collections.abc import Mapping
from textwrap import dedent
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

Json = dict[str, object]
"""A part of the document."""

_INTERNAL = re.compile(r"\(--.*?--\)", re.DOTALL)
"""Comments for the authors of the API alone (AIP-192, "Internal comments")."""
_TOOL_LINE = re.compile(r"^[ \t]*(?:buf:lint:|@exclude\b).*\n?", re.MULTILINE)
_REFERENCE = re.compile(r"\[([^\[\]\n]+)\]\[[\w.]*\]")
"""A reference to another element of the protos: `[Book][library.v1.Book]` (AIP-192)."""
_LINE_ENDING = re.compile(r"[ \t]+\n")
_LONGEST_SUMMARY = 120


def clean(comment: str) -> str:
    """Returns a comment without its indentation, references, and lines for tools."""
    # Most comments have none of these, and a large API has a hundred thousand comments.
    comment = comment.removeprefix(" ").rstrip()
    if "(--" in comment:
        comment = _INTERNAL.sub("", comment)
    if "buf:lint:" in comment or "@exclude" in comment:
        comment = _TOOL_LINE.sub("", comment)
    if "][" in comment:
        comment = _REFERENCE.sub(r"\1", comment)
    if "\r" in comment:
        comment = comment.replace("\r\n", "\n")
    if "\n" in comment:
        comment = comment.replace("\n ", "\n")
        if " \n" in comment or "\t\n" in comment:
            comment = _LINE_ENDING.sub("\n", comment)
        return _flush(comment)
    return comment.strip()


def _flush(text: str) -> str:
    """Lines without blank ones around them; if the first has an indentation, without this."""
    text = text.strip("\n")
    return dedent(text).strip() if text.startswith(" ") else text.strip()


_NOTHING: Final[Json] = {}
_NO_ANNOTATIONS: Final[Mapping[str, Json]] = {}


class Texts:
    """The texts of elements, by their full names in the protos."""

    def __init__(
        self,
        comments: dict[str, str],
        annotations: Mapping[str, Json] = _NO_ANNOTATIONS,
        of_types: Mapping[Any, Json] = _NO_ANNOTATIONS,
    ) -> None:
        """`annotations` has what they say of each element; their descriptions replace comments.

        `of_types` has the same by the descriptors of messages, fields and enums.
        """
        self._comments = comments
        self._annotations = annotations
        self._of_types = of_types

    def annotation(self, full_name: str) -> Json:
        """The annotations of the element with this name; empty for none."""
        return self._annotations.get(full_name, _NOTHING)

    def words(self, element: Descriptor | FieldDescriptor | EnumDescriptor) -> Json:
        """The annotations of a message, field or enum; empty for none."""
        return self._of_types.get(element, _NOTHING) if self._of_types else _NOTHING

    def release(self) -> None:
        """Gives up the comments, one by one."""
        while self._comments:
            self._comments.popitem()

    def of(self, full_name: str) -> str:
        """The description of an element: its annotation, else its comment, else empty."""
        if self._annotations:
            stated = self._annotations.get(full_name, _NOTHING).get("description")
            if stated:
                return clean(str(stated))
        return self._comment(full_name)

    def _comment(self, full_name: str) -> str:
        found = self._comments.get(full_name)
        return clean(found) if found else ""

    def describe(self, part: Json, full_name: str, *more: str) -> Json:
        """Adds the comment of an element, and further sentences, to a part as its description."""
        text = self.of(full_name)
        if more:
            text = "\n\n".join(filter(None, (text, *more)))
        if text:
            part["description"] = text
        return part

    def summarize(self, part: Json, full_name: str, *more: str) -> Json:
        """Adds the comment of a method: its first paragraph as the summary, if it is short.

        Otherwise the summary is the name of the method: lists of operations show only summaries.
        """
        comment = self._comment(full_name)
        first, _, rest = comment.partition("\n\n")
        summary = " ".join(first.split()).replace("`", "")  # it is no Markdown
        if len(summary) > _LONGEST_SUMMARY:
            summary, rest = "", comment
        part["summary"] = summary or full_name.rpartition(".")[2]
        text = "\n\n".join(filter(None, (_flush(rest), *more)))
        if text:
            part["description"] = text
        return part
