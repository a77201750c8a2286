"""Prints wire bytes as JSON through the JSON library; nearly every reply passes here."""

from collections.abc import Callable, Sequence
from typing import Any

Decode = Callable[[bytes], Any]
"""Decodes wire bytes to the library's message."""


class Printing:
    """Options for the library's printer."""

    __slots__ = ("numbers", "proto_names", "registry", "unset")

    def __init__(self, registry: object, *, unset: bool, numbers: bool, proto_names: bool) -> None:
        self.registry = registry
        """Resolves the types that an Any may hold."""
        self.unset = unset
        self.numbers = numbers
        self.proto_names = proto_names


def printer(
    decode: Decode,
    options: Printing,
    steps: Sequence[Callable[[str], str]],
    rescue: Callable[[bytes], str],
) -> Callable[[bytes], bytes]:
    """Makes the function that prints messages and passes the text through `steps`.

    `rescue` gets bytes that the library cannot print: it prints them in another way, or raises the
    reason.
    """
    registry, unset = options.registry, options.unset
    numbers, proto_names = options.numbers, options.proto_names

    def write(wire: bytes) -> bytes:
        try:
            text: str = decode(wire).to_json(
                registry=registry,
                always_emit_implicit=unset,
                print_enums_as_ints=numbers,
                use_proto_field_name=proto_names,
            )
        except Exception:  # noqa: BLE001 # the library's text is not for clients
            text = rescue(wire)
        for step in steps:
            text = step(text)
        return text.encode()

    return write
