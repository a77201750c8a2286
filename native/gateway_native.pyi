from collections.abc import Callable
from typing import Self

CONTRACT: int

class Histograms:
    def __new__(cls, cells: memoryview[float], edges: list[list[float]]) -> Self: ...
    def observe(self, places: tuple[int, ...], *values: float) -> None: ...

class Plans:
    def __new__(cls, source: object) -> Self: ...

class Writer:
    def __new__(
        cls, plans: Plans, plan: int, *, pretty: bool, only: tuple[int, str] | None = None
    ) -> Self: ...
    __call__: Callable[[bytes], bytes]

class ReadPlans:
    def __new__(cls, source: object) -> Self: ...

class Reader:
    def __new__(cls, plans: ReadPlans, plan: int, depth: int) -> Self: ...
    __call__: Callable[[bytes], bytes | None]
