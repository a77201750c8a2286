"""The settings that the admin listener shows: secrets are hidden, all else can be read."""

from gateway.config.model import Config
from gateway.endpoints.admin.shown_settings import shown_settings


def test_a_section_named_after_secrets_can_be_read() -> None:
    shown = shown_settings(Config.model_validate({"auth": {"tokens": {"access_ttl_s": 60}}}))
    assert shown["auth"]["tokens"]["access_ttl_s"] == 60
    assert shown["auth"]["tokens"]["failures"] == 10


def test_secrets_are_hidden() -> None:
    custom = {"use": "any:thing", "options": {"pin": 1234, "deep": {"words": ["secret"]}}}
    shown = shown_settings(Config.model_validate({"interceptors": [custom]}))
    assert shown["interceptors"][0]["options"] == {"pin": "***", "deep": {"words": ["***"]}}
