"""The files of TLS towards back ends, looked at before anything is opened with them."""

import ssl

from gateway.config.model import TlsClient
from gateway.files import read_file


def check_tls_files(tls: TlsClient) -> None:
    """Sees that every file is what its setting says, whichever client is to use it.

    Raises:
        OSError: one cannot be read; it names the file.
        ValueError: one holds something else; the text says which, and what is expected.
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
    if tls.cert_file is None or tls.key_file is None:
        return
    try:
        # Asked for a password, there is none: nobody sits at a prompt.
        context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: "")
    except ssl.SSLError as error:
        # Not always a text, whatever its type says.
        reason: object = getattr(error, "reason", None)
        if reason == "KEY_VALUES_MISMATCH":
            raise ValueError(
                f"key_file: {tls.key_file}: is not the key of {tls.cert_file}"
            ) from None
        raise ValueError(
            f"cert_file: expected certificates as PEM in {tls.cert_file} and their key, "
            f"without a password, in {tls.key_file}"
        ) from None
