"""Many publish versions of one module at once, over HTTP, on both databases: no gap, no number twice, no 5xx."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.publishing import all_versions, client, publish_many, served, watched
from tests.postgres import Postgres

FEW = pytest.param(16, 8, id="16x8")
MANY = pytest.param(64, 50, id="64x50", marks=[pytest.mark.slow, pytest.mark.timeout(1800)])


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A service on a fresh database."""
    if request.param == "sqlite":
        with served(tmp_path, f"sqlite:///{tmp_path / 'zoo.sqlite3'}") as address:
            yield address
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with postgres.database() as database, served(tmp_path, database) as address:
        yield address


@pytest.mark.parametrize(("publishers", "each"), [FEW, MANY])
def test_versions_are_given_without_gap_or_duplicate_and_readers_see_them_whole(
    url: str, publishers: int, each: int
) -> None:
    every = list(range(1, publishers * each + 1))
    with watched(url, readers=2) as looks:
        given = publish_many(url, publishers=publishers, each=each)
    assert sorted(given) == every
    assert looks() > 0
    with client(url) as http:
        found = all_versions(http)
    assert sorted(found) == every
    assert len(set(found.values())) == len(every)
