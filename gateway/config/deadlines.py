"""Settings of deadlines."""

from gateway.config.sections import Seconds, Section, Selector


class DeadlineRule(Section):
    """Deadlines of selected methods."""

    selector: Selector
    """The methods it applies to: a full name, `package.*`, `package.Service.*`, or `*`."""
    default_s: Seconds | None = None
    """The deadline when the caller states none."""
    ceiling_s: Seconds | None = None
    """The longest deadline a caller can ask for."""
    idle_s: Seconds | None = None
    """The longest time that a stream may be without a message in either direction."""


class DeadlineOptions(Section):
    """Deadlines of calls; the last rule that selects a method counts."""

    default_s: Seconds = 30.0
    """The deadline when the caller states none."""
    ceiling_s: Seconds = 300.0
    """The longest deadline a caller can ask for."""
    stream_idle_s: Seconds | None = None
    """The longest time that a stream may be without a message in either direction; unset for no
    limit."""
    methods: tuple[DeadlineRule, ...] = ()
    """Exceptions by method."""
