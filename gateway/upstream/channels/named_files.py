"""Checks the files that the settings of an upstream name, and says when their content differs."""

import ssl
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from gateway.config.upstreams import TlsClient, Upstream
from gateway.files import load_certificate_chain, read_file, state_of


def check_tls_files(tls: TlsClient) -> None:
    """Checks that each file holds what its setting names, for either kind of channel.

    Raises:
        OSError: one cannot be read; it names the file.
        ValueError: one holds something else; the message names it, and what is expected.
    """
    for file in (tls.ca_file, tls.cert_file, tls.key_file):
        if file is not None:
            read_file(file)  # its error names the file, the ssl module's does not
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca_file is not None:
        try:
            context.load_verify_locations(tls.ca_file)
        except ssl.SSLError:
            raise ValueError(f"ca_file: {tls.ca_file}: holds no certificate in PEM") from None
    if tls.cert_file is not None and tls.key_file is not None:
        load_certificate_chain(context, tls.cert_file, tls.key_file)


def content_of(upstream: Upstream) -> tuple[object, ...]:
    """Returns a value that differs when one of the files has another content: those of `tls`, the
    authorities of the system where they count, and a service config.

    Of a file that cannot be read nothing is known; opening the channel refuses it.
    """
    return tuple(_contents(upstream))


def _contents(upstream: Upstream) -> Iterator[object]:
    files = [upstream.grpc_service_config]
    if upstream.tls is not None:
        files += [upstream.tls.ca_file, upstream.tls.cert_file, upstream.tls.key_file]
        if upstream.tls.ca_file is None:
            paths = ssl.get_default_verify_paths()
            yield from [state_of(Path(one)) for one in (paths.cafile, paths.capath) if one]
    for file in files:
        if isinstance(file, Path):
            digest = b""
            with suppress(OSError):
                digest = sha256(read_file(file)).digest()
            yield digest
