"""The certificates that the admin listener finds in the files of the settings."""

from pathlib import Path

from gateway.config.model import Config
from gateway.endpoints.admin.certificates import shown_certificates
from tests.support.tls import Files


def test_certificates_of_all_files_are_shown_and_no_key(tmp_path: Path) -> None:
    files = Files(tmp_path)
    upstream = {"target": "localhost:1", "tls": {"ca_file": str(tmp_path / "missing")}}
    config = Config.model_validate({"tls": files.trusting(), "upstreams": {"library": upstream}})
    own, clients, missing = shown_certificates(config)
    assert (own["setting"], own["file"]) == ("tls.cert_file", str(files.cert))
    assert own["subject"].startswith("O=trustme")
    assert clients["setting"] == "tls.client_ca_file"
    assert (missing["setting"], missing["error"]) == (
        "upstreams.library.tls.ca_file",
        "cannot be read: No such file or directory",
    )


def test_a_file_with_something_else_is_named(tmp_path: Path) -> None:
    files = Files(tmp_path)
    config = Config.model_validate({"tls": files.settings()})
    files.cert.write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", encoding="ascii"
    )
    (shown,) = shown_certificates(config)
    assert shown["error"] == "expected certificates as PEM"
    files.cert.write_text("nothing", encoding="ascii")
    assert shown_certificates(config) == [shown]


def test_a_file_of_many_authorities_is_cut(tmp_path: Path) -> None:
    files = Files(tmp_path)
    config = Config.model_validate({"tls": files.settings()})
    files.cert.write_bytes(files.cert.read_bytes() * 30)
    assert len(shown_certificates(config)) == 20
