"""The doctor finds every kind of damage, says nothing of what is whole, and puts right what it can."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from registry.errors import NotFoundError
from registry.names import ModuleRef
from storage.care.blob_checks import WORDS
from storage.care.doctor import Doctor, require_database
from storage.care.record_checks import check_queries, check_verifications
from storage.folder_blobs import blob_path
from storage.records.blobs import REFERRING
from storage.wiring import open_blobs, open_zoo
from tests.numpy_worker import OWNER, quadrant_module, quadrant_zip
from tests.storage.care.full_zoo import DIGITS, engine_of, fill, ranking_of, settings_on


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    """The home of a zoo on SQLite that has everything, to be copied."""
    home = tmp_path_factory.mktemp("filled")
    with settings_on("sqlite", home, None) as settings:
        fill(settings)
    return home


@pytest.fixture
def settings(filled, tmp_path):
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    with settings_on("sqlite", tmp_path, None) as settings:
        yield settings


def examine(settings, **options):
    """One examination."""
    with engine_of(settings) as engine:
        return Doctor(engine, open_blobs(settings), settings.home / "quarantine").examine(**options)


def change(settings, *statements):
    """Change the database behind the zoo's back."""
    with engine_of(settings) as engine, engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def kinds(report):
    """What was found."""
    return {problem.kind for problem in report.problems}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nothing_is_wrong_with_a_zoo_that_is_whole(kind, tmp_path, request):
    with settings_on(kind, tmp_path, request) as settings:
        fill(settings)
        report = examine(settings)
    assert report.problems == ()
    assert report.clean
    assert report.blobs == 4 + 1 + 1 + 1  # modules, data, statistics, checkpoint
    assert (report.unreferred, report.records > 20) == (0, True)


REPAIRED = {
    "a version that searches do not show": ("UPDATE modules SET newest = 1 WHERE name = 'digits'", "wrong_newest"),
    "a module that is missing from searches": ("UPDATE versions SET superseded = true", "wrong_newest"),
    "a version that others have superseded": ("UPDATE versions SET superseded = false", "wrong_newest"),
    "words that are missing": ("DELETE FROM version_words", "record_differs"),
    "words of a version that is not found": ("UPDATE version_words SET superseded = NOT superseded", "record_differs"),
    "a question that is nobody's": ("DELETE FROM query_data", "record_differs"),
    "a question whose plan cannot be read": (
        "UPDATE queries SET record = json_set(record, '$.plan', 'nonsense')",
        "unreadable_record",
    ),
    "a pipeline that nobody may know of": ("DELETE FROM pipeline_namespaces", "record_differs"),
    "a number that would be given again": (
        "UPDATE modules SET last_version = 1 WHERE name = 'digits'",
        "wrong_counter",
    ),
    "a serial that would be given again": ("UPDATE counters SET last = 1", "wrong_counter"),
    "a standing that nothing explains": ("UPDATE module_standings SET standing = standing + 1", "wrong_standing"),
    "a standing that is missing": ("DELETE FROM module_standings", "wrong_standing"),
    "statistics that cannot be read": ("UPDATE kept_statistics SET record = '{}'", "unreadable_record"),
    "statistics of another module": ("UPDATE kept_statistics SET module = 'sha256:x'", "record_differs"),
    "a question that cannot be read": ("UPDATE queries SET record = 'nonsense'", "unreadable_record"),
    "a question that is not hidden with its candidates": ("DELETE FROM query_namespaces", "record_differs"),
    "a running question that no job's end reaches": (
        "UPDATE queries SET status = 'running', "
        "record = json_set(record, '$.status', 'running', '$.answer', NULL, '$.jobs', json('[1]'))",
        "record_differs",
    ),
    "somebody who waits for what has ended": ("UPDATE query_askers SET state = 'waiting'", "record_differs"),
    "a verdict that cannot be read": ("UPDATE verifications SET record = '[]'", "unreadable_record"),
    "versions that are not found as verified": ("UPDATE versions SET verified = NOT verified", "record_differs"),
    "a pipeline that is not found by its modules": ("DELETE FROM pipeline_modules", "record_differs"),
    "a running job without a lease": (
        "UPDATE jobs SET lease_expires_at = NULL WHERE status = 'running'",
        "wrong_lease",
    ),
    "an open job that cannot be read": ("UPDATE jobs SET work = '{}' WHERE status = 'running'", "unreadable_record"),
    "a job that ended at no time": ("UPDATE jobs SET finished_at = NULL", "wrong_state"),
}


@pytest.mark.parametrize("what", REPAIRED)
def test_it_finds_and_repairs(settings, what):
    statement, kind = REPAIRED[what]
    change(settings, statement)
    report = examine(settings)
    assert kind in kinds(report)
    assert not report.clean
    assert all("--repair" in problem.remedy for problem in report.problems)
    assert examine(settings).problems == report.problems, "an examination alone changes nothing"
    assert examine(settings, repair=True).clean
    assert examine(settings).problems == ()


WRONG_AT_FIRST = {
    "somebody waits for a question that is asked again": (
        "UPDATE query_askers SET state = 'waiting'",
        "UPDATE queries SET status = 'running'",
        "SELECT count(*) FROM query_askers WHERE state = 'waiting'",
    ),
    "a question goes": ("DELETE FROM query_namespaces", "DELETE FROM queries", "SELECT 1 + count(*) FROM queries"),
    "a verdict is put right": (
        "UPDATE verifications SET state = 'refused'",
        "UPDATE verifications SET state = 'verified'",
        "SELECT count(*) FROM verifications",
    ),
}


@pytest.mark.parametrize("what", WRONG_AT_FIRST)
def test_a_repair_looks_again(settings, what):
    wrong, meanwhile, count = WRONG_AT_FIRST[what]
    change(settings, wrong)
    with engine_of(settings) as engine:
        with Session(engine) as session:
            found = [*check_queries(session), *check_verifications(session)]
        change(settings, meanwhile)
        repairs = [each.repair for each in found if each.repair is not None]
        assert repairs
        for repair in repairs:
            with Session(engine) as session, session.begin():
                repair(session)
        with engine.connect() as connection:
            assert connection.execute(text(count)).scalar_one() > 0


LEFT_ALONE = {
    "a version that cannot be read": ("UPDATE versions SET record = '{}' WHERE version = 2", "unreadable_record"),
    "a version of another digest": ("UPDATE versions SET below = 'sha256:x' WHERE version = 2", "record_differs"),
    "a verified version of no digest": ("UPDATE versions SET digest = 'sha256:x' WHERE version = 2", "record_differs"),
    "a dataset that cannot be read": ("UPDATE datasets SET record = '{}'", "unreadable_record"),
    "a task that cannot be read": ("UPDATE tasks SET record = '{}'", "unreadable_record"),
    "a pipeline that cannot be read": ("UPDATE pipelines SET record = '{}'", "unreadable_record"),
    "an alias that its history does not know": ("DELETE FROM alias_moves WHERE revision = 2", "wrong_alias"),
}


@pytest.mark.parametrize("what", LEFT_ALONE)
def test_it_finds_and_leaves_to_its_owner(settings, what):
    statement, kind = LEFT_ALONE[what]
    change(settings, statement)
    report = examine(settings, repair=True)
    assert kind in kinds(report)
    assert not report.clean
    assert any("zoo restore" in problem.remedy for problem in report.problems if problem.kind == kind)


def test_a_reference_to_a_row_that_is_not_there_is_found(settings):
    with closing(sqlite3.connect(settings.home / "zoo.sqlite3", isolation_level=None)) as careless:
        careless.execute("UPDATE aliases SET version = 99")
    assert "broken_reference" in kinds(examine(settings))


def test_a_record_that_is_not_what_its_file_says_is_found(settings):
    change(settings, 'UPDATE versions SET record = replace(record, \'"activation":"relu"\', \'"activation":"none"\')')
    found = kinds(examine(settings))
    assert found & {"manifest_differs", "unreadable_record"}


def damage(settings, digest):
    """Change one byte of a blob."""
    path = blob_path(settings.home / "blobs", digest)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def digest_of_version(settings, version):
    """The digest of a version of the module with three."""
    zoo = open_zoo(settings)
    digest = zoo.modules.get(ModuleRef.parse(f"{DIGITS}@{version}")).digest
    zoo.close()
    return digest


def test_a_damaged_module_is_set_aside_and_healed_by_an_upload(settings):
    digest = digest_of_version(settings, 1)
    damage(settings, digest)
    report = examine(settings)
    assert kinds(report) == {"damaged_blob"}
    assert "module ada/digits@1" in report.problems[0].detail
    repaired = examine(settings, repair=True)
    assert not repaired.clean
    assert "upload the same file again" in repaired.problems[0].remedy
    assert (settings.home / "quarantine" / digest.removeprefix("sha256:")).exists()
    assert kinds(examine(settings)) == {"missing_blob"}
    zoo = open_zoo(settings)
    zoo.blobs.put(quadrant_module())
    zoo.close()
    assert examine(settings).problems == ()


@pytest.mark.parametrize("how", ["damage", "lose"])
def test_lost_statistics_and_checkpoints_are_let_go_and_made_anew(settings, how):
    with engine_of(settings) as engine, engine.connect() as connection:
        blobs = [row[0] for row in connection.execute(text("SELECT blob FROM kept_statistics"))]
        blobs += [row[0] for row in connection.execute(text("SELECT checkpoint FROM jobs WHERE checkpoint != ''"))]
        data = connection.execute(text("SELECT digest FROM datasets")).scalar()
    zoo = open_zoo(settings)
    before = ranking_of(zoo, data)
    for blob in blobs:
        damage(settings, blob) if how == "damage" else zoo.blobs.delete(blob)
    assert len(examine(settings).problems) == len(blobs) == 2
    report = examine(settings, repair=True)
    assert (report.clean, len(report.problems)) == (True, 2)
    assert examine(settings).problems == ()
    assert ranking_of(zoo, data) == before
    zoo.close()


def test_a_damaged_dataset_waits_for_its_owner(settings):
    zoo = open_zoo(settings)
    digest = zoo.datasets.list(owner=None, limit=1, cursor=None).items[0].digest
    damage(settings, digest)
    assert not examine(settings, repair=True).clean
    zoo.blobs.put(quadrant_zip(8))
    zoo.close()
    assert examine(settings).problems == ()


def test_damaged_bytes_that_nothing_refers_to_are_only_set_aside(settings):
    digest = open_blobs(settings).put(b"orphan")
    damage(settings, digest)
    assert examine(settings).unreferred == 1
    assert examine(settings, repair=True).clean
    assert examine(settings).problems == ()


def test_bytes_that_are_healed_while_they_are_set_aside_stay(settings, monkeypatch):
    digest = digest_of_version(settings, 1)
    damage(settings, digest)
    blobs = open_blobs(settings)
    holding, healed = Doctor._holding, []

    def heal_then_hold(self, change):
        if not healed and (settings.home / "quarantine").exists():
            healed.append(blobs.put(quadrant_module()))
        holding(self, change)

    monkeypatch.setattr(Doctor, "_holding", heal_then_hold)
    assert examine(settings, repair=True).clean
    assert healed == [digest]
    assert blobs.get(digest) == quadrant_module()


def test_bytes_that_cannot_be_read_are_told_beside_the_rest(settings):
    orphan = open_blobs(settings).put(b"orphan")
    unreadable = blob_path(settings.home / "blobs", orphan)
    unreadable.unlink()
    unreadable.mkdir()
    change(settings, "UPDATE counters SET last = 1")
    report = examine(settings, repair=True)
    assert {(problem.kind, problem.repaired) for problem in report.problems} == {
        ("damaged_blob", False),
        ("wrong_counter", True),
    }
    assert "could not be repaired" in report.problems[-1].detail
    assert "then run `zoo doctor --repair` again" in report.problems[-1].remedy


def test_a_question_that_lost_its_data_is_found_by_it_again(settings):
    with engine_of(settings) as engine, engine.connect() as connection:
        query = connection.execute(text("SELECT id FROM queries")).scalar()
    change(settings, "DELETE FROM query_data")
    zoo = open_zoo(settings)
    (problem,) = examine(settings, repair=True).problems
    assert "not found by the datasets" in problem.detail
    assert examine(settings).problems == ()
    assert zoo.queries.state(query, owner=OWNER).answer is not None
    with pytest.raises(NotFoundError):
        zoo.queries.state(query, owner="eve")
    zoo.close()


def test_a_lost_piece_takes_its_upload_along(settings):
    zoo = open_zoo(settings)
    upload = zoo.uploads.create(length=9, metadata="", owner="ada")
    receiver = zoo.uploads.receive(upload.id, owner="ada", offset=0)
    receiver.write(b"half")
    receiver.finish()
    for blob in zoo.blobs.listing():
        if blob.size_bytes == len(b"half"):
            zoo.blobs.delete(blob.digest)
    found = examine(settings, repair=True).problems
    assert [(problem.kind, problem.repaired) for problem in found] == [("missing_blob", True)]
    assert f"upload {upload.id} refers to it" in found[0].detail
    with pytest.raises(NotFoundError):
        zoo.uploads.get(upload.id, owner="ada")
    zoo.close()


def test_a_lost_module_of_a_pipeline_is_told_with_the_pipeline(settings):
    digest = digest_of_version(settings, 1)
    blob_path(settings.home / "blobs", digest).unlink()
    (found,) = examine(settings, repair=True).problems
    assert "module ada/digits@1, pipeline pipeline-" in found.detail
    assert not found.repaired


def test_everything_that_names_bytes_has_words():
    assert {column.parent.class_ for column, _ in REFERRING} == WORDS.keys()


def test_a_database_of_another_revision_is_not_judged(settings):
    change(settings, "UPDATE alembic_version SET version_num = '0001'")
    assert kinds(examine(settings)) == {"wrong_revision"}


def test_a_damaged_database_file_is_told(settings):
    file = settings.home / "zoo.sqlite3"
    data = bytearray(file.read_bytes())
    for start in range(8192, len(data) - 4096, 8192):
        data[start : start + 2048] = b"\xff" * 2048
    file.write_bytes(data)
    assert "damaged_database" in kinds(examine(settings))


def test_where_no_zoo_is_none_is_made(tmp_path):
    with settings_on("sqlite", tmp_path / "none", None) as settings:
        with pytest.raises(Exception, match="there is no zoo"):
            require_database(settings)
        assert not settings.home.exists()
