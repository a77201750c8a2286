"""Settings that new processes could not go on with."""

import pytest

from gateway.config.model import Config
from gateway.process.worker_count import check_kept
from gateway.status import StartUpError

KEYED = {"policies": [{"selector": "books.v1.Library.CreateBook", "idempotency": {}}]}
REDIS = "redis://127.0.0.1:6379/0"


def test_tokens_in_memory_keep_other_processes_from_starting() -> None:
    with pytest.raises(StartUpError, match=r"auth\.store"):
        check_kept(Config.model_validate({"auth": {"store": "memory:"}}))


def test_idempotency_keys_in_memory_keep_other_processes_from_starting() -> None:
    with pytest.raises(StartUpError, match=r"idempotency\.store"):
        check_kept(Config.model_validate(KEYED))


@pytest.mark.parametrize(
    "settings", [{}, KEYED | {"idempotency": {"store": REDIS}}, KEYED | {"auth": {"store": REDIS}}]
)
def test_other_processes_may_start_if_nothing_is_lost(settings: dict[str, object]) -> None:
    check_kept(Config.model_validate(settings))
