"""Warnings of `gateway check` about annotations for other generators of OpenAPI."""

from gateway.openapi.annotations import read_annotations
from gateway.schema.catalog import Schema, Source, files_of
from gateway.transcoding.binding import Diagnostic, Severity


def annotation_warnings(schema: Schema) -> list[Diagnostic]:
    """A warning for each element with an annotation of which the OpenAPI document leaves out parts.

    The gateway serves what its rules and settings say, whatever an annotation says of it.
    """
    found = read_annotations(schema.pool, schema.services, files_of(schema.methods.values()))
    return [
        Diagnostic(
            Severity.WARNING,
            f"the OpenAPI document leaves out what the annotation says of {', '.join(one.parts)}",
            Source(one.file),
            *(one.element, "", ""),
        )
        for one in found.left_out
    ]
