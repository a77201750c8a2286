"""Reads options that only the descriptors of the API know: the gateway has no code for them."""

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass


def option_reader(
    pool: DescriptorPool, options: str, extension: str
) -> Callable[[Any], Any] | None:
    """A function that reads an option; None if the schema does not import its file.

    `options` is the full name of the type of options, `extension` that of the option.
    """
    try:
        field = pool.FindExtensionByName(extension)
        message = GetMessageClass(pool.FindMessageTypeByName(options))
    except KeyError:
        return None

    def read(given: Any) -> Any:
        # The library reads options without the extensions of other pools; they are kept as bytes.
        read: Any = message.FromString(given.SerializeToString())
        return read.Extensions[field] if read.HasExtension(field) else None

    return read
