"""A JSON number that is kept as it is spelled.

It is not compiled: a native class cannot derive from `str`.
"""


class Number(str):
    """A JSON number with a fraction, an exponent or very many digits; or minus zero."""

    __slots__ = ()
