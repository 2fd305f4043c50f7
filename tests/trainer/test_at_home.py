"""`zoo rank --here`: the same ranking as the server's, and a capture of the traffic that holds no image."""

import io
import json
import platform
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog
from PIL import Image
from typer.testing import CliRunner

from client.cli.app import application
from client.home_rankings import HomeRanking
from client.zoo import Zoo
from registry.errors import InvalidInputError, JobFailedError, ZooError
from registry.noise import Noise, SharedNoise
from registry.rankings import Ranking, RankingOptions, RankingQuestion
from registry.records import Job, JobStatus, Progress
from registry.work import PredictWork, ScoreHereWork
from tests.api.serving import Service, serving
from tests.numpy_worker import linear_module, publish, quadrant_module, quadrant_zip
from tests.trainer.examples import ignore
from tests.trainer.serving import working
from tests.trainer.tapping import tapped
from trainer.at_home import rank_at_home, statement_of
from trainer.noising import secret_normal
from trainer.worker import Lane

PER_CLASS = 30
MODULES = {"ada/seeing": quadrant_module(), "ada/blind": quadrant_module(blind=True), "ada/drawn": linear_module(1)}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo")) as running:
        for name, module in MODULES.items():
            publish(running.zoo, name, module)
        yield running


@pytest.fixture(scope="module")
def url(service: Service) -> str:
    return str(service.http.base_url).rstrip("/")


@pytest.fixture(autouse=True)
def _no_logs_of_the_service() -> Iterator[None]:
    """The service runs in this process, whose standard output is the command's."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@pytest.fixture
def zoo(url: str, tmp_path: Path) -> Iterator[Zoo]:
    with Zoo(url, cache=tmp_path / "cache") as client:
        yield client


@pytest.fixture
def data(tmp_path: Path, zoo: Zoo) -> Iterator[Path]:
    """A zip of images that the zoo knows nothing of, before and after."""
    file = tmp_path / "quadrants.zip"
    file.write_bytes(quadrant_zip(PER_CLASS, seed=7))
    yield file
    for dataset in zoo.datasets.list().items:
        zoo.datasets.delete(dataset.digest)


def request_of(zoo: Zoo, data: Path, **changes: object) -> HomeRanking:
    return HomeRanking(url=zoo.url, data=str(data), **changes)


def ranked_there(zoo: Zoo, data: Path, cache: Path) -> Ranking:
    """The ranking of a worker of the zoo; the dataset is gone again afterwards."""
    dataset = zoo.datasets.publish(data)
    with working(zoo.url, cache):
        ranking = zoo.queries.rank(RankingQuestion(task=dataset.digest))
    zoo.datasets.delete(dataset.digest)
    return ranking


def pieces_of(data: bytes) -> list[bytes]:
    """What none of must be sent: files of images, what is inside them, and rows of pixels as bytes or as floats."""
    found = []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            file = archive.read(name)
            pixels = np.asarray(Image.open(io.BytesIO(file)))
            inputs = ((pixels / np.float32(255) - np.float32(0.5)) / np.float32(0.5)).astype(np.float32)
            found += [file, file[file.index(b"IDAT") :][:40], name.encode()]
            found += [row.tobytes() for rows in (pixels, inputs) for row in rows]
    return found


def test_the_command_gives_the_ranking_of_the_server_and_sends_no_image(
    zoo: Zoo, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    there = ranked_there(zoo, data, tmp_path / "worker")
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    with tapped(zoo.url) as tap:
        arguments = ["rank", str(data), "--here", "--json", "--url", tap.url]
        done = CliRunner().invoke(application(arguments), arguments)
        assert done.exit_code == 0, done.output + capfd.readouterr().err
    here = Ranking.model_validate(json.loads(done.stdout))
    assert_same(here, there)
    assert b"POST /datasets" in tap.sent
    assert b"score-here" in tap.sent
    assert [piece for piece in pieces_of(data.read_bytes()) if piece in tap.sent] == []


def assert_same(here: Ranking, there: Ranking) -> None:
    assert [(row.rank, row.module.ref) for row in here.ranking] == [(row.rank, row.module.ref) for row in there.ranking]
    for mine, theirs in zip(here.ranking, there.ranking, strict=True):
        assert mine.score == pytest.approx(theirs.score, abs=1e-6)
        assert mine.interval == pytest.approx(theirs.interval, abs=1e-6)
        assert mine.chance == pytest.approx(theirs.chance, abs=1e-6)
        assert mine.panel == pytest.approx(theirs.panel, abs=1e-6)
    assert (here.decision, here.examples, here.classes) == (there.decision, there.examples, there.classes)


def test_the_tap_would_have_seen_an_image(zoo: Zoo, data: Path, tmp_path: Path) -> None:
    with tapped(zoo.url) as tap, Zoo(tap.url, cache=tmp_path / "other") as watched:
        watched.datasets.publish(data)
    assert [piece for piece in pieces_of(data.read_bytes())[:3] if piece not in tap.sent] == []


def test_merged_classes_and_options_are_those_of_the_question(zoo: Zoo, data: Path) -> None:
    seen: list[Progress] = []
    request = request_of(
        zoo,
        data,
        classes={"top": ("a", "b"), "low": ("c", "d")},
        options=RankingOptions(candidates=("ada/seeing@1",), examples=60, seed=3),
    )
    ranking = rank_at_home(zoo, request, report=seen.append)
    assert [row.module.ref for row in ranking.ranking] == ["ada/seeing@1"]
    assert (ranking.examples, ranking.seed, list(ranking.classes)) == (60, 3, ["top", "low"])
    assert seen[-1].done == seen[-1].total
    again = rank_at_home(zoo, request, report=ignore)
    assert again == ranking


def test_with_noise_every_score_says_so_and_the_statistics_are_other_ones(zoo: Zoo, data: Path) -> None:
    exact = rank_at_home(zoo, request_of(zoo, data), report=ignore)
    noisy = rank_at_home(zoo, request_of(zoo, data, noise=Noise(epsilon=50.0, delta=1e-3)), report=ignore)
    assert noisy.query != exact.query
    told = {row.module.ref for row in noisy.ranking} | {each.module.ref for each in noisy.not_scored}
    assert told == {f"{name}@1" for name in MODULES}
    assert noisy.ranking
    for row in noisy.ranking:
        assert any(warning.startswith("noise added: epsilon 50, delta 0.001") for warning in row.warnings)
    scores = {row.module.ref: row.score for row in exact.ranking}
    assert all(row.score != scores[row.module.ref] for row in noisy.ranking)
    same = rank_at_home(zoo, request_of(zoo, data, noise=Noise(epsilon=50.0, delta=1e-3)), report=ignore)
    assert same == noisy


@pytest.mark.parametrize("asked", ["no noise", "a prediction"])
def test_a_zoo_that_asks_for_something_else_than_was_promised_gets_nothing(
    zoo: Zoo, data: Path, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    claim = Lane._claim

    def claim_other(lane: Lane) -> Job | None:
        job = claim(lane)
        if job is None or not isinstance(job.work, ScoreHereWork):
            return job
        chain, dataset = job.work.chains[0], job.work.task.dataset
        prediction = PredictWork(modules=(*chain, *chain), images=dataset)
        bare = job.work.model_copy(update={"noise": None})
        return job.model_copy(update={"work": bare if asked == "no noise" else prediction})

    monkeypatch.setattr(Lane, "_claim", claim_other)
    monkeypatch.setattr("trainer.duties.Duties._put", lambda duties, packed, lease: sent.append(packed))
    with pytest.raises(ZooError, match="with noise None" if asked == "no noise" else "of the kind predict"):
        rank_at_home(zoo, request_of(zoo, data, noise=Noise(epsilon=50.0)), report=ignore)
    assert sent == []


def test_of_a_failure_the_zoo_learns_the_kind_and_no_name_of_this_machine(zoo: Zoo, data: Path) -> None:
    gone = data.with_name("secret-name.zip")
    shutil.copy(data, gone)
    told = pytest.raises(JobFailedError, match="secret-name")
    with tapped(zoo.url) as tap, Zoo(tap.url, cache=data.parent / "other") as watched, told:
        rank_at_home(watched, request_of(watched, gone), report=lambda _: gone.unlink(missing_ok=True))
    assert b"FileNotFoundError" in tap.sent
    assert [name for name in (b"secret-name", platform.node().encode()) if name in tap.sent] == []


def test_images_that_are_replaced_meanwhile_give_no_statistics(zoo: Zoo, data: Path, tmp_path: Path) -> None:
    other = quadrant_zip(PER_CLASS, seed=8)
    with pytest.raises(JobFailedError, match=r"quadrants\.zip was changed while modules ran on it"):
        rank_at_home(zoo, request_of(zoo, data), report=lambda _: data.write_bytes(other))


def test_noise_on_images_that_the_zoo_has_is_refused(zoo: Zoo, data: Path) -> None:
    zoo.datasets.publish(data)
    with pytest.raises(InvalidInputError, match="protect nobody"):
        rank_at_home(zoo, request_of(zoo, data, noise=Noise(epsilon=1.0)), report=ignore)


def test_a_question_that_is_interrupted_is_cancelled(zoo: Zoo, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.at_home.Lane.run", lambda lane: lane.stop.wait())

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rank_at_home(zoo, request_of(zoo, data), report=interrupt)
    left = [job.status for job in zoo.jobs.list(kind="score-here").items]
    assert left[0] is JobStatus.CANCELLED
    assert not {JobStatus.QUEUED, JobStatus.RUNNING} & set(left)


def test_a_statement_tells_counts_and_no_names_of_files(data: Path) -> None:
    statement = statement_of(data)
    assert dict(zip(statement.classes, statement.counts, strict=True)) == dict.fromkeys("abcd", PER_CLASS)
    assert (statement.shape, statement.same_shape, statement.format) == ((8, 8, 1), True, "zip")
    assert "png" not in statement.model_dump_json()


def test_secret_noise_is_standard_normal_and_never_the_same() -> None:
    one, other = secret_normal(20_000), secret_normal(20_000)
    assert abs(one.mean()) < 0.05
    assert one.std() == pytest.approx(1.0, abs=0.05)
    assert np.all(np.isfinite(one))
    assert not np.array_equal(one, other)
    assert SharedNoise(epsilon=1.0, modules=2).delta == 1e-6
