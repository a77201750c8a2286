"""Splits a request body of JSON texts one after another (RFC 7464 calls them a text sequence).

White space between the texts is optional where brackets or quotes end them. Such bodies are what
grpc-gateway's clients send for a stream of requests, as `application/json`.
"""

from gateway.transcoding.streams.deframing import ArrayItems, invalid_argument


class JsonTexts(ArrayItems):
    """Splits JSON texts one after another; a body that is one array is split to its elements."""

    _in_array = False

    def _start(self) -> bool:
        character = self._next_character()
        self._in_array = character == "["
        if self._in_array:
            return super()._start()
        if character:
            self._step = self._element
        return bool(character)

    def _element(self) -> bool:
        """At the start of a text, or before the end of the body."""
        if self._in_array:
            return super()._element()
        return self._open_next("a JSON text")

    def _after_element(self) -> bool:
        """After a text."""
        if self._in_array:
            return super()._after_element()
        self._step = self._element
        return True

    def _end_of_body(self) -> bytes | None:
        if self._in_array:
            return super()._end_of_body()
        if self._step == self._scalar:
            return bytes(memoryview(self._buffer)[self._begin :])
        if self._step not in (self._start, self._element):
            raise invalid_argument("", "the body ends within a JSON text")
        return None
