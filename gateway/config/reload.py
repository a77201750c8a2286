"""Settings of the reload: new settings are put in force while the gateway serves."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from gateway.config.sections import Seconds, Section


class Refuse(StrEnum):
    """The changes because of which a reload is refused."""

    NEVER = "never"
    BREAKING = "breaking"
    REMOVED_ROUTES = "removed-routes"


class ReloadOptions(Section):
    """The reload by SIGHUP, by the admin listener, by `gateway reload`, or by a change of files."""

    watch: bool = False
    """Reload when the settings file, a descriptor set, a service config, a secret named by `file:`,
    a certificate for a back end or the key that signs statements has changed: two to three seconds
    later, once it stays as it is."""
    reflection_s: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    """With `reflect`, ask the back ends again about every so often what they serve, and reload when
    their descriptors have changed, comments aside; unset to ask only at a reload."""
    refuse: Refuse = Refuse.NEVER
    """Refuse a reload whose changes break clients: breaking (what `gateway diff` says is breaking),
    removed-routes, or never. The value in the new settings counts."""
    keep_s: Seconds = 900.0
    """The time in which requests and streams that are in progress may finish with the settings
    before the reload; then they end, requests with 503 and streams with their error record. The
    next reload but one ends them earlier."""

    def refusal(self, changes: Sequence[str]) -> str:
        """Returns the reasons why these settings refuse the changes that they would bring, one line
        each (as in `ReloadReport.changes`); empty if they do not."""
        forbidden = {
            Refuse.NEVER: (),
            Refuse.BREAKING: ("! breaking ",),
            Refuse.REMOVED_ROUTES: ("- ",),
        }[self.refuse]
        found = [line for line in changes if line.startswith(forbidden)]
        return "\n".join(f"reload.refuse: {self.refuse}: {line}" for line in found)
