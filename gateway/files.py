"""Reads small files named in settings: certificates and keys."""

import errno
import os
import ssl
import stat
from collections.abc import Iterable
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


class ChangedFiles:
    """Some files, and whether they have changed since the last look."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Notes the state of the files as they are now."""
        self._files = tuple(files)
        self._seen = self._look()

    def have_changed(self) -> bool:
        """True if a file was written, replaced or removed since the last call."""
        before, self._seen = self._seen, self._look()
        return self._seen != before

    def _look(self) -> list[object]:
        return [state_of(file) for file in self._files]


def server_side_context(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """Returns a context for the server side of TLS 1.2 or newer, with this certificate.

    Raises:
        OSError, ValueError: see `load_certificate_chain`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # RFC 9325 section 3.5: renegotiation costs the server more than the client.
    context.options |= ssl.OP_NO_RENEGOTIATION
    load_certificate_chain(context, cert_file, key_file)
    return context


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
