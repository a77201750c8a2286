"""Checks the TLS files of an upstream before a channel is opened with them."""

import ssl

from gateway.config.upstreams import TlsClient
from gateway.files import load_certificate_chain, read_file


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
