"""The name and the fields of an event in the program's log."""

Value = str | int | float | bool | None
"""The value of a field."""


def about(event: str, **fields: Value) -> dict[str, object]:
    """Returns the `extra` of a log record.

    For example: `logger.info("...", extra=about("gateway.started", ...))`.

    In the name of a field, two underscores stand for a dot: `server__address`.
    """
    named = {name.replace("__", "."): value for name, value in fields.items()}
    return {"gateway_event": event, "gateway_fields": named}
