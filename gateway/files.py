"""Reads small files named in settings: certificates and keys."""

import errno
import os
import ssl
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


def state_of(path: Path) -> object:
    """Returns a value that changes when a file is written or replaced; None if it is missing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def load_certificate_chain(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    """Loads a certificate chain and its key, both PEM, for one side of TLS.

    Raises:
        OSError: a file cannot be read.
        ValueError: they hold something else; the message begins with the setting, cert_file or
            key_file.
    """
    try:
        # The empty password makes an encrypted key fail: otherwise OpenSSL would prompt for one.
        context.load_cert_chain(cert_file, key_file, password=lambda: "")
    except ssl.SSLError as error:
        # It can be None, against its declared type.
        reason: object = getattr(error, "reason", None)
        if reason == "KEY_VALUES_MISMATCH":
            raise ValueError(f"key_file: {key_file}: is not the key of {cert_file}") from None
        raise ValueError(
            f"cert_file: expected certificates as PEM in {cert_file} and their key, "
            f"without a password, in {key_file}"
        ) from None
