"""A worker waits for what passes, and is told of everything else."""

import pytest

from registry.errors import BusyError, InvalidInputError, StorageFullError
from trainer.patience import patiently


@pytest.mark.parametrize("error", [BusyError("later"), StorageFullError("no room")])
def test_what_passes_is_waited_for(error, monkeypatch):
    monkeypatch.setattr("trainer.patience.FIRST_PAUSE_SECONDS", 0.0)
    answers = [error, error, None]

    def ask():
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return "done"

    assert patiently(ask, should_stop=lambda: False) == "done"


def test_what_does_not_pass_is_told():
    def ask():
        raise InvalidInputError("wrong")

    with pytest.raises(InvalidInputError):
        patiently(ask, should_stop=lambda: False)
