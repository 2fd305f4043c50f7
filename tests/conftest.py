"""Servers that many tests share, started once, when the first test needs them."""

import os
from collections.abc import Iterator

import pytest

from tests.object_store import ObjectStore, named_store, running_store


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    named = os.environ.get("ZOO_TEST_S3")
    if named:
        yield named_store(named)
        return
    with running_store(tmp_path_factory.mktemp("object-store")) as store:
        yield store
