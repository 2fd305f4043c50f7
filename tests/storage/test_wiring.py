"""The zoo on a real database and a real folder."""

import shutil

import pytest
from sqlalchemy import create_engine, text

from registry.errors import BusyError, StorageError
from registry.records import ModuleSearch
from registry.settings import Settings
from storage.wiring import open_zoo


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "new" / "home")


def test_a_zoo_opens_where_nothing_is(settings):
    zoo = open_zoo(settings)
    zoo.check_ready()
    page = zoo.modules.search(ModuleSearch(), limit=10, cursor=None, facets=True)
    assert page.items == ()


def test_two_zoos_on_one_home_see_the_same(settings):
    digest = open_zoo(settings).blobs.put(b"weights")
    assert open_zoo(settings).blobs.get(digest) == b"weights"


def test_a_database_at_another_revision_is_not_ready(settings):
    zoo = open_zoo(settings)
    engine = create_engine(settings.database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    engine.dispose()
    with pytest.raises(BusyError, match="revision older"):
        zoo.check_ready()


def test_a_zoo_without_its_blobs_is_not_ready_and_tells_no_path(settings):
    zoo = open_zoo(settings)
    shutil.rmtree(settings.home / "blobs")
    with pytest.raises(BusyError, match=r"the blob store cannot be used: .*see that it is there") as refusal:
        zoo.check_ready()
    assert str(settings.home) not in refusal.value.detail


def test_a_home_that_cannot_be_made_is_told_by_its_path(settings):
    settings.home.parent.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="home cannot be used"):
        open_zoo(settings)
