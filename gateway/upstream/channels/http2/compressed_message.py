"""A message that came compressed, and has not been looked at yet.

In a module of its own, for what derives from a built-in type is not compiled.
"""


class CompressedMessage(bytes):
    """A message as it came: compressed."""

    __slots__ = ()
