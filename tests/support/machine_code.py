"""Alternatives of a test that cannot differ where the gateway is machine code.

`make test-compiled` runs tests of `make test` once more, and looks for one thing: that a compiled
module does what it does as Python. A test with several event loops, stores or kinds of channels
tests what surrounds a compiled module, so there one of them is enough: the others pass through the
same machine code, and how they differ is code that is not compiled.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TypeVar

T = TypeVar("T")


def _is_tested() -> bool:
    module = find_spec("gateway.call")  # compiled if any module is
    return module is not None and not str(module.origin).endswith(".py")


def alternatives(first: T, *others: T) -> Sequence[T]:
    """All of these; of machine code only the first, which its users have most."""
    return [first] if _is_tested() else [first, *others]
