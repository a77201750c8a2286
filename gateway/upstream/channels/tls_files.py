"""The files of TLS towards back ends, looked at before anything is opened with them."""

import ssl

from gateway.config.model import TlsClient
from gateway.files import load_certificate_chain, read_file


def check_tls_files(tls: TlsClient) -> None:
    """Sees that every file is what its setting says, whichever client is to use it.

    Raises:
        OSError: one cannot be read; it names the file.
        ValueError: one holds something else; the text says which, and what is expected.
    """
    for file in (tls.ca_file, tls.cert_file, tls.key_file):
        if file is not None:
            read_file(file)  # its error names the file, the one of the ssl module does not
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca_file is not None:
        try:
            context.load_verify_locations(tls.ca_file)
        except ssl.SSLError:
            raise ValueError(f"ca_file: {tls.ca_file}: holds no certificate in PEM") from None
    if tls.cert_file is not None and tls.key_file is not None:
        load_certificate_chain(context, tls.cert_file, tls.key_file)
