"""The time that each call may take: as its client asks, within the limits of its method."""

from gateway.config.deadlines import DeadlineOptions
from gateway.config.selectors import matches
from gateway.schema.catalog import Method
from gateway.transcoding.metadata import parse_timeout_s


class Deadlines:
    """The time limits of the calls of each method; decided once for each method."""

    def __init__(self, options: DeadlineOptions) -> None:
        self._options = options
        self._known: dict[Method, tuple[float, float]] = {}

    def timeout_s(self, method: Method, asked: str | None) -> float:
        """Seconds that one call may take; `asked` is its Grpc-Timeout header.

        Raises:
            StatusError: INVALID_ARGUMENT for a malformed header.
        """
        limits = self._known.get(method)
        if limits is None:
            limits = self._known[method] = self._limits(method.full_name)
        if asked is None:
            return limits[0]
        return min(parse_timeout_s(asked), limits[1])

    def default_s(self, method: Method) -> float | None:
        """Seconds that a call may take whose client asks for no time; None for no limit.

        Only streams can have none: they may have no end.
        """
        if not method.streams:
            return self.timeout_s(method, None)
        timeout_s = None
        for rule in self._options.methods:
            if rule.default_s is not None and matches(rule.selector, method.full_name):
                timeout_s = rule.default_s
        return timeout_s

    def idle_s(self, method: Method) -> float | None:
        """Seconds that a stream of this method may go without a message; None for no limit."""
        if not method.streams:
            return None
        idle_s = self._options.stream_idle_s
        for rule in self._options.methods:
            if rule.idle_s is not None and matches(rule.selector, method.full_name):
                idle_s = rule.idle_s
        return idle_s

    def _limits(self, name: str) -> tuple[float, float]:
        default_s, ceiling_s = self._options.default_s, self._options.ceiling_s
        for rule in self._options.methods:
            if matches(rule.selector, name):
                default_s = rule.default_s or default_s
                ceiling_s = rule.ceiling_s or ceiling_s
        return min(default_s, ceiling_s), ceiling_s
