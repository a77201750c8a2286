"""The name and the fields of an event that the program logs."""

Value = str | int | float | bool | None
"""The value of a field."""


def about(event: str, **fields: Value) -> dict[str, object]:
    """The `extra` of a log record: `logger.info("...", extra=about("gateway.started", ...))`.

    In the name of a field, two underscores stand for a dot: `server__address`.
    """
    named = {name.replace("__", "."): value for name, value in fields.items()}
    return {"gateway_event": event, "gateway_fields": named}
