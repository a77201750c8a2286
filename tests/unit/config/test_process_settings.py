"""The settings that a reload changes only with other processes."""

from pathlib import Path

from gateway.config.model import Config
from gateway.config.process_settings import OF_PROCESS, process_changes, why_not_in_one_process


def config(**settings: object) -> Config:
    return Config.model_validate(settings)


def test_each_difference_is_named_and_shown_unless_it_may_be_secret() -> None:
    before = config(workers=1, tracing={"otlp": "http://a.example"})
    after = config(
        listen="127.0.0.1:9",
        workers=2,
        tls={"cert_file": "a", "key_file": "b"},
        health={"path": "/healthz"},
        metrics={"public": True},
        tracing={"otlp": "http://b.example"},
        log={"level": "debug"},
        reload={"watch": True, "keep_s": 1},
        supervisor={"hang_s": 7},
    )
    assert list(process_changes(before, after).values()) == [
        "~ listen 127.0.0.1:8080 -> 127.0.0.1:9",
        "~ tls",
        "~ workers 1 -> 2",
        "~ health.path unset -> /healthz",
        "~ metrics.public false -> true",
        "~ tracing.otlp",
        "~ reload.watch false -> true",
    ]
    assert process_changes(after, after) == {}


def test_a_supervisor_comes_and_goes_only_with_a_start() -> None:
    one, supervised = config(), config(supervisor={"always": True})
    assert process_changes(one, supervised) == process_changes(supervised, one) == {}
    assert why_not_in_one_process([], one, supervised).startswith("supervisor.always: one process")
    assert not why_not_in_one_process([], one, one)


def test_the_documentation_names_these_settings() -> None:
    text = Path("docs/operations.md").read_text()
    told = text.partition("* **Settings of the process**")[2].partition("\n* ")[0]
    assert [one for one in OF_PROCESS if f"`{one}`" not in told and f"`{one}." not in told] == []
