"""A message that came compressed, and has not been looked at yet."""


class Packed(bytes):
    """A message as it came: compressed."""

    __slots__ = ()
