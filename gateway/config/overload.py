"""Settings of the calls that an upstream takes at once."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.config.sections import Section

Calls = Annotated[int, Field(ge=1, le=1_000_000)]


class AdaptiveOptions(Section):
    """A limit on calls under way that follows the time they take (Netflix's Gradient2)."""

    initial: Calls = 20
    """The limit at start."""
    min: Calls = 20
    """The lowest limit."""
    max: Calls = 200
    """The highest limit."""
    smoothing: Annotated[float, Field(gt=0, le=1)] = 0.2
    """The share of each new limit that counts; the rest is that of the old one."""
    queue: Annotated[int, Field(ge=0, le=10_000)] = 4
    """Calls more than the back end seems to take: by them the limit grows."""
    long_window: Annotated[int, Field(ge=10, le=100_000)] = 600
    """The windows, of a second or more, over which the usual time of a call is averaged."""
    tolerance: Annotated[float, Field(ge=1, le=100)] = 1.5
    """The factor by which calls may be slower than usual before the limit falls."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"max: expected {self.min} (min) or more")
        if not self.min <= self.initial <= self.max:
            raise ValueError(f"initial: expected {self.min} (min) to {self.max} (max)")
        return self
