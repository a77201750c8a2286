from collections.abc import Callable
from typing import Self

CONTRACT: int

class Plans:
    def __new__(cls, source: object) -> Self: ...

class Writer:
    def __new__(
        cls, plans: Plans, plan: int, *, pretty: bool, only: tuple[int, str] | None = None
    ) -> Self: ...
    __call__: Callable[[bytes], bytes]
