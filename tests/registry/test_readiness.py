"""Readiness names what cannot be used, in bounded time, and asks no part more often than is of use."""

import threading
import time

import pytest

from registry.errors import BusyError, StorageError
from registry.readiness import Readiness


def fine() -> None:
    """A part that can be used."""


def broken() -> None:
    raise StorageError("it is on fire")


def test_what_can_be_used_is_ready():
    Readiness({"database": fine, "blob store": fine}).check()


def test_every_part_that_cannot_be_used_is_named():
    def denied() -> None:
        raise PermissionError(13, "Permission denied", "/a/path/that/is/nobody's/business")

    def surprised() -> None:
        raise RuntimeError("a value of ours")

    parts = {"database": broken, "blob store": denied, "clock": surprised, "rest": fine}
    with pytest.raises(BusyError) as refusal:
        Readiness(parts).check()
    assert {fault.pointer: fault.code for fault in refusal.value.faults} == {
        "/database": "unusable",
        "/blob store": "unusable",
        "/clock": "unusable",
    }
    assert "it is on fire" in refusal.value.detail
    assert "Permission denied" in refusal.value.detail
    assert "nobody" not in refusal.value.detail
    assert "a value of ours" not in refusal.value.detail


def test_a_part_that_hangs_is_named_in_time_and_asked_no_second_time():
    back, asked = threading.Event(), []

    def hangs() -> None:
        asked.append(1)
        back.wait(20)

    readiness = Readiness({"database": hangs, "blob store": fine}, patience_seconds=0.2)
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(BusyError, match="the database did not answer within") as refusal:
            readiness.check()
        assert [fault.pointer for fault in refusal.value.faults] == ["/database"]
    assert time.monotonic() - began < 5
    assert len(asked) == 1
    back.set()


def test_who_polls_quickly_asks_once():
    asked = []
    readiness = Readiness({"database": lambda: asked.append(1)})
    for _ in range(100):
        readiness.check()
    assert len(asked) == 1
