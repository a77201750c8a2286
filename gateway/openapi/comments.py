"""Comments of .proto files as texts of the document."""

import re

Json = dict[str, object]
"""A part of the document."""

_INTERNAL = re.compile(r"\(--.*?--\)", re.DOTALL)
"""Comments for the authors of the API alone (AIP-192, "Internal comments")."""
_TOOL_LINE = re.compile(r"^[ \t]*(?:buf:lint:|@exclude\b).*$", re.MULTILINE)
_REFERENCE = re.compile(r"\[([^\[\]\n]+)\]\[[\w.]*\]")
"""A reference to another element of the protos: `[Book][library.v1.Book]` (AIP-192)."""
_LINE_ENDING = re.compile(r"[ \t]+\n")
_LONGEST_SUMMARY = 120


def clean(comment: str) -> str:
    """Returns a comment without its indentation, references, and lines for tools."""
    # Most comments have none of these, and a large API has a hundred thousand comments.
    comment = comment.strip()
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
    return comment.strip()


class Texts:
    """The texts of elements, by their full names in the protos."""

    def __init__(self, comments: dict[str, str]) -> None:
        self._comments = comments

    def release(self) -> None:
        """Gives up the comments, one by one."""
        while self._comments:
            self._comments.popitem()

    def of(self, full_name: str) -> str:
        """The comment of an element; empty if it has none."""
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
        first, _, rest = self.of(full_name).partition("\n\n")
        summary = " ".join(first.split())
        if len(summary) > _LONGEST_SUMMARY:
            summary, rest = "", self.of(full_name)
        part["summary"] = summary or full_name.rpartition(".")[2]
        text = "\n\n".join(filter(None, (rest.strip(), *more)))
        if text:
            part["description"] = text
        return part
