"""Formats routes for people: as a table if it fits, else as paragraphs."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap

from gateway.cli.messages import visible

_HEADS = ("HTTP", "template", "RPC", "kind", "body", "response body", "policy")
_GAP = "  "
_INDENT = " " * 8
"""The width of the longest common HTTP method and a blank."""


def route_lines(rows: Sequence[Mapping[str, str]], columns: int) -> Iterator[str]:
    """Yields the lines that show routes in so many columns.

    Routes form a table if it fits, else paragraphs. Templates and names are never cut.
    """
    cells = [tuple(visible(value) for value in row.values()) for row in rows]
    widths = [max(map(len, column)) for column in zip(_HEADS, *cells, strict=True)]
    if sum(widths) + len(_GAP) * (len(widths) - 1) <= columns:
        for line in (_HEADS, *cells):
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            yield _GAP.join(padded).rstrip()
        return
    for cell in cells:
        yield from _paragraph(cell, columns)


def _paragraph(cells: Sequence[str], columns: int) -> Iterator[str]:
    http_method, template, rpc, kind, body, response_body, policy = cells
    first = f"{http_method:7} {template}"
    if len(first) <= columns:
        yield first
    else:
        yield http_method
        yield f"  {template}"
    yield f"{_INDENT if len(_INDENT + rpc) <= columns else '  '}{rpc}"
    words = [kind, f"body {body}" if body else "", f"answers {response_body}", policy]
    if not response_body:
        words[2] = ""
    more = ", ".join(filter(None, words))
    yield from wrap(
        more, columns, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False
    )
