"""The settings that hold from the start of a gateway to its end; a reload keeps them."""

from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel

from gateway.config.model import Config

_FIXED: Final = (
    *("listen", "tls", "workers", "admin", "health", "metrics", "tracing", "log"),
    *("reload", "supervisor"),
)
_NOT_FIXED: Final = {
    "log.level",
    "reload.keep_s",
    "reload.reflection_s",
    "reload.refuse",
    "supervisor.give_up",
    "supervisor.hang_s",
    "supervisor.max_memory_mb",
    "supervisor.start_s",
}
"""The members of these sections that a reload changes."""


def keep_fixed(running: Config, wanted: Config) -> tuple[Config, tuple[str, ...]]:
    """Returns `wanted` with the fixed settings of `running`, and a warning if they differ."""
    kept: dict[str, object] = {name: getattr(running, name) for name in _FIXED}
    kept["log"] = running.log.model_copy(update={"level": wanted.log.level})
    watch, always = running.reload.watch, running.supervisor.always
    kept["reload"] = wanted.reload.model_copy(update={"watch": watch})
    kept["supervisor"] = wanted.supervisor.model_copy(update={"always": always})
    names = [one for name in _FIXED for one in _changed(name, kept[name], getattr(wanted, name))]
    if not names:
        return wanted, ()
    warning = f"warning: {', '.join(names)}: a reload cannot change this; restart the gateway"
    origins = {path: one for path, one in wanted.origins.items() if not _is_fixed(path)}
    origins |= {path: one for path, one in running.origins.items() if _is_fixed(path)}
    return wanted.model_copy(update=kept).with_origins(origins), (warning,)


def _is_fixed(path: str) -> bool:
    return path.partition(".")[0] in _FIXED and path not in _NOT_FIXED


def _changed(name: str, running: object, wanted: object) -> Iterator[str]:
    """Yields the names of the settings that differ, down to the members of a section."""
    if running == wanted:
        return
    if isinstance(running, BaseModel) and isinstance(wanted, BaseModel):
        for field in type(running).model_fields:
            if getattr(running, field) != getattr(wanted, field):
                yield f"{name}.{field}"
    else:
        yield name
