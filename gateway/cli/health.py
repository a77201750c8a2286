"""`gateway health`: one question to the admin listener.

Container platforms run it every few seconds, so the usual forms of the command run without the
parser of the command line: that imports more than the whole probe (edge rule: under 0.2 s).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.cli.admin_client import AdminError, admin_client

PATHS: Final = {"ready": "/readyz", "live": "/livez", "started": "/startupz"}
"""The probe of each state."""
_STATES: Final = {"--live": "live", "--started": "started"}
_OPTIONS: Final = ("--config", "--admin")


def check_health(state: str, config: Path | None, admin: str | None) -> None:
    """Prints the state if the gateway has it.

    Raises:
        AdminError: it has not, or does not answer.
    """
    status, text = admin_client(config, admin).get(PATHS[state])
    if status != 200:
        raise AdminError(f"not {state}: {text.strip()}")
    print(state)


def is_plain_probe(arguments: Sequence[str]) -> bool:
    """True if `probe` can run these arguments of `gateway`: no help, no errors, no short forms."""
    if arguments[:1] != ["health"] or len(arguments) > 6:
        return False
    rest = list(arguments[1:])
    while rest:
        option = rest.pop(0)
        if option in _OPTIONS and rest and not rest[0].startswith("-"):
            rest.pop(0)
        elif option not in _STATES:
            return False
    return True


def probe(arguments: Sequence[str]) -> None:
    """Runs `gateway health` with arguments that `is_plain_probe` accepts."""
    given = dict.fromkeys(("--live", "--started"), False)
    values: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        option = rest.pop(0)
        if option in _STATES:
            given[option] = True
        else:
            values[option] = rest.pop(0)
    state = next((state for option, state in _STATES.items() if given[option]), "ready")
    config = values.get("--config")
    check_health(state, None if config is None else Path(config), values.get("--admin"))
