"""A message that came compressed, and has not been decompressed yet.

It has a module of its own because mypyc does not compile a class derived from a built-in type.
"""


class CompressedMessage(bytes):
    """A message as it came: compressed."""

    __slots__ = ()
