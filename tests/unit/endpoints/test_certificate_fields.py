"""The fields of certificates, compared with those that the library cryptography reads."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.endpoints.admin.certificate_fields import certificate_fields


def certificate(until: datetime, *names: tuple[x509.ObjectIdentifier, str]) -> bytes:
    """A certificate with this end and subject, as DER."""
    key = ed25519.Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(kind, text) for kind, text in names])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(until - timedelta(days=400))
        .not_valid_after(until)
        .sign(key, None)
    )
    return built.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "until",
    [
        datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2049, 1, 1, tzinfo=UTC),
        datetime(2150, 6, 1, 12, 30, tzinfo=UTC),
    ],
)
def test_the_end_is_read_with_two_digits_of_the_year_and_with_four(until: datetime) -> None:
    assert certificate_fields(certificate(until)).not_after == until


def test_the_subject_has_short_names_in_the_order_of_the_certificate() -> None:
    names = [
        (NameOID.COUNTRY_NAME, "DE"),
        (NameOID.ORGANIZATION_NAME, "Bücher & <b>Söhne</b>"),
        (NameOID.EMAIL_ADDRESS, "someone@example.com"),
        (NameOID.COMMON_NAME, "api.example.com"),
    ]
    found = certificate_fields(certificate(datetime(2030, 1, 1, tzinfo=UTC), *names))
    assert found.subject == "C=DE, O=Bücher & <b>Söhne</b>, CN=api.example.com"


def test_a_long_subject_is_cut() -> None:
    names = [(NameOID.ORGANIZATIONAL_UNIT_NAME, "x" * 60) for _ in range(100)]
    found = certificate_fields(certificate(datetime(2030, 1, 1, tzinfo=UTC), *names))
    assert len(found.subject) == 500


def refused(der: bytes) -> bool:
    """True if this is refused as no certificate; anything else that is raised fails the test."""
    try:
        certificate_fields(der)
    except ValueError as error:
        return str(error) == "expected a certificate in DER"
    return False


def test_the_beginning_of_a_certificate_is_none() -> None:
    whole = certificate(datetime(2030, 1, 1, tzinfo=UTC), (NameOID.COMMON_NAME, "a"))
    assert not refused(whole)
    assert all(refused(whole[:length]) for length in range(len(whole)))


def test_changed_bytes_raise_nothing_else() -> None:
    whole = certificate(datetime(2030, 1, 1, tzinfo=UTC), (NameOID.COMMON_NAME, "a"))
    for at in range(len(whole)):
        for value in (0x00, 0x7F, 0x80, 0xFF):
            refused(whole[:at] + bytes([value]) + whole[at + 1 :])
