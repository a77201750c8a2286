"""The two kinds of readers that a plan consists of.

A reader appends the wire bytes of a JSON value to a list, and returns their size. A size of 0 means
that the field counts as absent: it has no presence and its default value, it is an unknown name of
an enum that is to be ignored, or it is invalid, which the failures then say.
"""

from gateway.transcoding.json.reading.failures import Failures


class Value:
    """The reader of one value in a field; also of a whole list or map in it."""

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the field's wire bytes to `out`; returns their size in bytes.

        `depth` is the number of messages around the value.
        """
        raise NotImplementedError


class Plan:
    """The reader of a whole message, without the tag and length that a field gives it."""

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the message's wire bytes to `out`; returns their size in bytes.

        `depth` is the number of messages around this one.

        Raises:
            StatusError: INVALID_ARGUMENT if messages are nested deeper than protobuf allows.
        """
        raise NotImplementedError
