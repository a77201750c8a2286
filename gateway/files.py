"""Reads small files named in settings: certificates and keys."""

import errno
import os
import stat
from pathlib import Path

MAX_BYTES = 16 * 1024 * 1024
"""The size limit of a certificate or key file; all public authorities together take 0.2 MB."""


def read_file(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Returns the content of a regular file.

    Rejects anything else: opening a pipe without a writer would block the whole process for ever.

    Raises:
        OSError: the file cannot be read, is not a regular file, or is longer than `max_bytes`.
    """
    # O_NONBLOCK opens a pipe without waiting; for a regular file it changes nothing.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"it is longer than {max_bytes} bytes", str(path))
    return content
