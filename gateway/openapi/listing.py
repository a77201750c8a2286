"""A plain list of the operations, for readers without JavaScript."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.openapi.comments import Texts
from gateway.schema.catalog import Schema, files_of
from gateway.transcoding.binding import Binding


class ListedOperation(NamedTuple):
    """One line of the list."""

    http_method: str
    path: str
    summary: str


def list_operations(schema: Schema, bindings: Sequence[Binding]) -> Sequence[ListedOperation]:
    """Lists the operations of `bindings`, each with the summary of its method."""
    files = files_of(dict.fromkeys(binding.method for binding in bindings))
    texts = Texts(schema.comments.read(file.name for file in files))
    return [
        ListedOperation(
            *(binding.http_method, str(binding.template)),
            str(texts.summarize({}, binding.method.full_name)["summary"]),
        )
        for binding in bindings
    ]
