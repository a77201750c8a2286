"""The sources of settings: which of them has set each value."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.config.kinds import shown
from gateway.config.wording import Layer
from gateway.config.yaml_text import Steps


def origins(layers: Sequence[Layer], settings: Mapping[str, Any]) -> dict[str, str]:
    """Returns the source of each value of `settings`, which are merged from `layers`, by its path.

    A source is a file with the line, `environment`, `flags` or another name of a layer. A list is
    one value. Values that no layer has are defaults and are left out.
    """
    return {
        shown(steps): next(
            layer.where(steps) for layer in reversed(layers) if layer.reach(steps) == len(steps)
        )
        for steps in _values(settings, ())
    }


def _values(settings: Mapping[str, Any], above: Steps) -> Iterator[Steps]:
    """Yields the path of each value that is no section, or an empty one."""
    for key, value in settings.items():
        steps = (*above, key)
        if isinstance(value, Mapping) and value:
            yield from _values(value, steps)
        else:
            yield steps
