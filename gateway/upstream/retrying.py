"""The repeats of calls that a back end has failed (gRFC A6): which, when, and how many at once.

Pure, with the random source as an argument.
"""

import re
from dataclasses import dataclass
from random import Random
from typing import Final

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo

from gateway.config.retries import RetryPolicy
from gateway.upstream.channels.failures import (
    BackendError,
    Code,
    ConnectionLost,
    LateAttempt,
    StatusError,
)
from gateway.upstream.repeats import NotRepeated
from gateway.upstream.throttle import Budget, Throttle

__all__ = ["Budget", "Hedging", "Retrying", "Throttle"]

_JITTER = 0.2
_MILLISECONDS = re.compile(r"0|[1-9][0-9]{0,9}")
_LOST: Final = (ConnectionLost, LateAttempt)


class Retrying:
    """The policy of one upstream, and its budget.

    With `here`, a call is repeated on the same endpoint if there is no other; with `takes_any`,
    also if its method does not say that it may be. `budget` may be that of other policies too.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        random: Random,
        *,
        here: bool,
        throttle: Throttle | None = None,
        budget: Budget | None = None,
        takes_any: bool = False,
    ) -> None:
        self._policy = policy
        self._budget = Budget() if budget is None else budget
        self.takes_any = takes_any
        self.throttle = throttle
        self._random = random
        self.here = here
        # By number, because to find a member of an enum in a set takes Python code.
        self._covers = [code.name in policy.retryable_status_codes for code in Code]

    def covers(self, error: StatusError) -> bool:
        """True if another attempt may succeed after `error`."""
        return self._covers[error.code] or isinstance(error, _LOST)

    def pause_s(self, error: StatusError, attempts: int, pushed: int) -> float | NotRepeated:
        """Seconds until the next attempt after `error`, or the reason why there is none.

        `attempts` have been made, and `pushed` of them were timed by the back end: its pushback
        starts the back-off anew (A6). No pause after a lost connection, which is seen at once, nor
        after a late attempt, which has taken longer than a pause.
        """
        if attempts >= self._policy.max_attempts:
            return NotRepeated.ATTEMPTS
        if self.forbids(error):
            return NotRepeated.PUSHBACK
        if self.throttle is not None and not self.throttle.allows:
            return NotRepeated.THROTTLE
        if isinstance(error, _LOST):
            return 0.0
        wanted_s = self.pushback_s(error)
        if wanted_s is not None:
            return wanted_s
        return max(self._backoff_s(attempts - 1 - pushed), _retry_delay_s(error))

    @staticmethod
    def pushback_s(error: StatusError) -> float | None:
        """Seconds after which the back end wants the next attempt; None if it does not say."""
        pushback = error.pushback_ms if isinstance(error, BackendError) else None
        if pushback is None or not _MILLISECONDS.fullmatch(pushback):
            return None
        return int(pushback) / 1000

    @staticmethod
    def forbids(error: StatusError) -> bool:
        """True if the back end says that the call must not be repeated."""
        pushback = error.pushback_ms if isinstance(error, BackendError) else None
        return pushback is not None and not _MILLISECONDS.fullmatch(pushback)

    def begin(self, in_flight: int) -> bool:
        """Takes a repeat from the budget, at so many calls under way; false if it is used up.

        The budget is Envoy's: a share of the calls under way, but always a few.
        """
        policy = self._policy
        if self._budget.under_way >= max(
            policy.budget_min, in_flight * policy.budget_percent / 100
        ):
            return False
        self._budget.under_way += 1
        return True

    def end(self) -> None:
        """Gives a repeat back to the budget."""
        self._budget.under_way -= 1

    def _backoff_s(self, repeats: int) -> float:
        policy = self._policy
        backoff_s = policy.initial_backoff_s * policy.backoff_multiplier ** max(0, repeats)
        jitter = self._random.uniform(1 - _JITTER, 1 + _JITTER)
        return min(backoff_s, policy.max_backoff_s) * jitter


@dataclass(frozen=True, slots=True)
class Hedging:
    """The policy by which calls of one upstream are sent to several endpoints."""

    max_attempts: int
    delay_s: float
    """Seconds between two attempts; 0 for all at once."""
    limits: Retrying
    """Knows the statuses that are not fatal, the budget, and the throttle."""


def _retry_delay_s(error: StatusError) -> float:
    """The delay of a RetryInfo detail; 0 if there is none."""
    for detail in error.details:
        if detail.Is(RetryInfo.DESCRIPTOR):
            try:
                delay = RetryInfo.FromString(detail.value).retry_delay
            except DecodeError:
                return 0.0
            return float(delay.seconds + delay.nanos / 1e9)
    return 0.0
