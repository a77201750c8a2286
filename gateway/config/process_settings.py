"""The settings of a process, which a reload cannot change by composing another site."""

from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from gateway.config.model import Config

OF_PROCESS: Final = (
    *("listen", "tls", "workers", "admin", "health", "metrics", "tracing", "log"),
    *("reload", "supervisor"),
)
_OF_SITE: Final = {
    "log.level",
    "reload.keep_s",
    "reload.reflection_s",
    "reload.refuse",
    "supervisor.give_up",
    "supervisor.hang_s",
    "supervisor.max_memory_mb",
    "supervisor.start_s",
}
"""The members of these sections that every reload changes."""
_MOVABLE: Final = ("listen", "tls.", "admin.", "reload.watch")
"""The beginnings of the names that one process changes by itself."""
_AT_START: Final = "supervisor.always"
_ADDRESSES: Final = {"listen", "admin.listen", "health.path"}


def process_changes(running: Config, wanted: Config) -> dict[str, str]:
    """Returns the settings of the process that differ, by name, each with a line that shows it.

    The line is `~ listen 127.0.0.1:8080 -> 127.0.0.1:8081`; only the name of what may be secret.
    `supervisor.always` is not among them: a supervisor that runs stays.
    """
    return {
        path: f"~ {path}{_shown(path, before, after)}"
        for name in OF_PROCESS
        for path, before, after in _changed(name, getattr(running, name), getattr(wanted, name))
        if path not in _OF_SITE and path != _AT_START
    }


def why_not_in_one_process(changes: Sequence[str], running: Config, wanted: Config) -> str:
    """Returns the reason why one process without a supervisor cannot change these settings.

    `changes` are the names that `process_changes` has found. Empty if it can change all of them:
    the addresses, and the members of `tls`, but not whether there is TLS, which metrics and traces
    show as the scheme.
    """
    names = [one for one in changes if not one.startswith(_MOVABLE)]
    if wanted.supervisor.always and not running.supervisor.always:
        names.append(_AT_START)
    if not names:
        return ""
    return (
        f"{', '.join(names)}: one process cannot change this while it serves: restart the gateway; "
        f"with {_AT_START} or several workers, a reload can"
    )


def _shown(path: str, before: object, after: object) -> str:
    kinds = (bool, int, float, Path, Enum, type(None))
    if path not in _ADDRESSES and not (isinstance(before, kinds) and isinstance(after, kinds)):
        return ""
    return f" {_text(before)} -> {_text(after)}"


def _text(value: object) -> str:
    if value is None:
        return "unset"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _changed(name: str, running: object, wanted: object) -> Iterator[tuple[str, object, object]]:
    """Yields the settings that differ, down to the members of a section: name, before, after."""
    if running == wanted:
        return
    if isinstance(running, BaseModel) and isinstance(wanted, BaseModel):
        for field in type(running).model_fields:
            before, after = getattr(running, field), getattr(wanted, field)
            yield from _changed(f"{name}.{field}", before, after)
    else:
        yield name, running, wanted
