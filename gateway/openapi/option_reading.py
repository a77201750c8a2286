"""Reads options that only the descriptors of the API know: the gateway has no code for them."""

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass


def option_reader(
    pool: DescriptorPool, options: str, extension: str
) -> Callable[[bytes], Any] | None:
    """A function that reads an option from encoded options; None if the schema does not import it.

    `options` is the full name of the type of options, `extension` that of the option. The library
    reads options without the extensions of other pools, but keeps them as bytes.
    """
    try:
        field = pool.FindExtensionByName(extension)
        message = GetMessageClass(pool.FindMessageTypeByName(options))
    except KeyError:
        return None

    def read(encoded: bytes) -> Any:
        read: Any = message.FromString(encoded)
        return read.Extensions[field] if read.HasExtension(field) else None

    return read
