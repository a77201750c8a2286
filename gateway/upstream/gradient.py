"""A limit on calls under way that follows the time they take; pure, with the times as arguments.

It is the algorithm Gradient2 of Netflix's concurrency-limits.
"""

from typing import Final

from gateway.config.overload import AdaptiveOptions

_WINDOW_S: Final = 1.0
_LEAST_SAMPLES: Final = 10
_WARM_UP: Final = 10
"""The windows after which the usual time is no longer their plain mean."""
_LEAST_GRADIENT, _MOST_GRADIENT = 0.5, 1.0
_MOST_RATIO, _DECAY = 2.0, 0.95
"""A usual time above so many times that of a window is too old: it falls by this factor."""


class Gradient:
    """The limit, recalculated at the end of each window of a second or more and ten samples.

    The gradient is the ratio of the usual time of a call, over many windows, to that in the last
    one: below 1, calls queue at the back end, and the limit falls with it.
    """

    def __init__(self, options: AdaptiveOptions, now_s: float) -> None:
        self._options = options
        self._limit = float(options.initial)
        self._usual_s = 0.0
        self._windows = 0
        self._began_s = now_s
        self._samples = 0
        self._sum_s = 0.0
        self._most_in_flight = 0

    @property
    def limit(self) -> int:
        """The most calls under way."""
        return int(self._limit)

    def sample(self, now_s: float, took_s: float, in_flight: int) -> None:
        """Takes the time of one call, and the number of calls under way when it ended."""
        self._samples += 1
        self._sum_s += took_s
        self._most_in_flight = max(self._most_in_flight, in_flight)
        if now_s - self._began_s >= _WINDOW_S and self._samples >= _LEAST_SAMPLES:
            self._update(self._sum_s / self._samples)
            self._begin(now_s)

    def _begin(self, now_s: float) -> None:
        self._began_s = now_s
        self._samples = 0
        self._sum_s = 0.0
        self._most_in_flight = 0

    def _update(self, took_s: float) -> None:
        """Ends a window in which calls took `took_s` on average."""
        options = self._options
        took_s = max(took_s, 1e-9)  # a clock may stand still
        self._windows += 1
        factor = 1 / self._windows if self._windows <= _WARM_UP else 2 / (options.long_window + 1)
        self._usual_s += (took_s - self._usual_s) * factor
        usual_s = self._usual_s
        if usual_s / took_s > _MOST_RATIO:
            # After a slow time: otherwise the limit would stay too high for long.
            self._usual_s *= _DECAY
        if self._most_in_flight < self._limit / 2:
            return  # so few calls say nothing about the limit
        gradient = options.tolerance * usual_s / took_s
        gradient = max(_LEAST_GRADIENT, min(_MOST_GRADIENT, gradient))
        wanted = self._limit * gradient + options.queue
        limit = self._limit * (1 - options.smoothing) + wanted * options.smoothing
        self._limit = max(float(options.min), min(float(options.max), limit))
