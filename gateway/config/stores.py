"""Settings of all stores that are reached over a network."""

from gateway.config.sections import Seconds, Section


class StoreOptions(Section):
    """The time limit of stores that are reached over a network."""

    timeout_s: Seconds = 0.25
    """The time that a request waits for such a store. After five failures in a row the store is not
    asked until a probe, twice a second, has reached it: requests that need it fail at once."""
