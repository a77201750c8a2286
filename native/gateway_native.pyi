from collections.abc import Callable
from typing import Self

CONTRACT: int

class TraceIds:
    def __new__(cls, bound: int) -> Self: ...
    def begin(self) -> bytes: ...
    def go_on(self, traceparent: str, obeys: bool) -> bytes | None: ...

def is_usual_tracestate(text: str) -> bool: ...
def access_line(
    at_s: float,
    about: str,
    path: str,
    duration_s: float,
    request_bytes: int,
    response_bytes: int,
    client: str,
    peer: str,
    agent: str,
    request_id: str,
    traceparent: str,
    own: bytes | None,
    rest: str,
    /,
) -> bytes | None: ...

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
