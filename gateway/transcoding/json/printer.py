"""Wire bytes to JSON, through a message of the JSON library: what nearly each reply passes."""

from collections.abc import Callable, Sequence
from typing import Any

Decode = Callable[[bytes], Any]
"""Makes the library's message of wire bytes."""


class Printing:
    """How the library is to print."""

    __slots__ = ("numbers", "proto_names", "registry", "unset")

    def __init__(self, registry: object, *, unset: bool, numbers: bool, proto_names: bool) -> None:
        self.registry = registry
        """Knows what an Any may hold."""
        self.unset = unset
        self.numbers = numbers
        self.proto_names = proto_names


def printer(
    decode: Decode,
    how: Printing,
    steps: Sequence[Callable[[str], str]],
    rescue: Callable[[bytes], str],
) -> Callable[[bytes], bytes]:
    """What prints messages and passes the text through `steps`.

    `rescue` is given the bytes that do not print: it prints them otherwise, or raises the reason.
    """
    registry, unset, numbers, proto_names = how.registry, how.unset, how.numbers, how.proto_names

    def write(wire: bytes) -> bytes:
        try:
            text: str = decode(wire).to_json(
                registry=registry,
                always_emit_implicit=unset,
                print_enums_as_ints=numbers,
                use_proto_field_name=proto_names,
            )
        except Exception:  # noqa: BLE001 # the library's words are not for clients
            text = rescue(wire)
        for step in steps:
            text = step(text)
        return text.encode()

    return write
