import io
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from client.cache import digest_of_bytes
from client.zoo import Zoo
from registry.errors import JobFailedError, NotFoundError, ZooError
from registry.module_file import module_bytes
from registry.names import Digest
from registry.recipes import TaskSpec
from registry.records import Job, JobStatus
from registry.work import PredictWork, ScoreWork, TrainWork, VerifyWork, Work
from tests.api.serving import Service, serving
from tests.trainer.examples import digits, ignore, never, recipe
from tests.trainer.serving import digits_file, digits_recipe
from trainer.duties import Duties
from trainer.lease import Lease
from trainer.run import TrainedNetwork, train

MISSING = Digest("sha256:" + "0" * 64)


@dataclass(frozen=True)
class Bench:
    """A worker's duties, what its zoo has, and the folders it may leave something in."""

    zoo: Zoo
    cache: Path
    spare: Path
    dataset: Digest
    network: TrainedNetwork

    @property
    def first(self) -> Digest:
        return self.network.modules[0].digest

    def do(self, work: Work, duties: Duties | None = None) -> object:
        job = Job(id=1, status=JobStatus.RUNNING, work=work, attempt=1, created_at=datetime.now(UTC))
        return (duties or Duties(self.zoo)).do(work, Lease(self.zoo.jobs, job, stop=threading.Event()))

    def score(self, *chains: tuple[Digest, ...], dataset: Digest | None = None) -> ScoreWork:
        task = TaskSpec(dataset=dataset or self.dataset, classes={"low": ("0", "1"), "high": ("2", "3")})
        return ScoreWork(task=task, chains=chains, examples=40)

    def files(self) -> set[str]:
        """Names of all files the worker keeps."""
        return {path.name for folder in (self.cache, self.spare) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo")) as running:
        yield running


@pytest.fixture(scope="module")
def network() -> TrainedNetwork:
    return train(recipe(modules=2, epochs=1), digits(), report=ignore, should_stop=never)


@pytest.fixture
def bench(service, network, tmp_path, monkeypatch) -> Iterator[Bench]:
    spare = tmp_path / "spare"
    spare.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spare))
    with Zoo(str(service.http.base_url), cache=tmp_path / "cache") as zoo:
        for module in network.modules:
            zoo.blobs.put(module.file)
        dataset = zoo.blobs.put(digits_file())
        yield Bench(zoo, tmp_path / "cache", spare, dataset, network)


def name_of(digest: Digest) -> str:
    return digest.removeprefix("sha256:")


def overflowing(bench: Bench) -> Digest:
    """A hidden module with finite weights whose outputs are not finite."""
    module = bench.network.modules[1]
    return bench.zoo.blobs.put(
        module_bytes(module.manifest, {name: values * 1e37 for name, values in module.tensors.items()})
    )


def test_every_wanted_module_is_either_scored_or_told_why_not(bench):
    bad, rubbish = overflowing(bench), bench.zoo.blobs.put(b"no module at all")
    first, hidden, output = (module.digest for module in bench.network.modules)
    chains = [(first,), (first, hidden), (first, bad), (first, rubbish), (first, MISSING), (first, hidden, output)]
    result = bench.do(bench.score(*chains))
    assert [made.module for made in result.statistics] == [first, hidden]
    reasons = {failed.module: failed.reason for failed in result.failures}
    assert reasons.keys() == {bad, rubbish, MISSING, output}
    assert len(result.failures) == 4
    assert "not finite" in reasons[bad]
    assert "not a module file" in reasons[rubbish]
    assert name_of(MISSING) in reasons[MISSING]
    assert "no feature map" in reasons[output]


def test_no_data_are_fetched_when_nothing_can_be_scored(bench):
    result = bench.do(bench.score((MISSING,), dataset=digest_of_bytes(b"data that are nowhere")))
    assert result.statistics == ()
    assert [failed.module for failed in result.failures] == [MISSING]


def test_data_that_are_nowhere_fail_the_work(bench):
    with pytest.raises(NotFoundError):
        bench.do(bench.score((bench.first,), dataset=digest_of_bytes(b"data that are nowhere")))


def test_modules_stay_with_the_worker_and_data_do_not(bench):
    bench.do(bench.score((bench.first,)))
    bench.do(PredictWork(modules=tuple(m.digest for m in bench.network.modules), images=bench.zoo.blobs.put(image())))
    bench.do(TrainWork(name="ada/low", recipe=digits_recipe(bench.dataset, epochs=1)))
    assert bench.files() == {name_of(module.digest) for module in bench.network.modules}


def test_data_go_from_the_worker_when_the_work_fails_too(bench):
    broken = bench.zoo.blobs.put(b"no dataset")
    for work in (bench.score((bench.first,), dataset=broken), PredictWork(modules=(bench.first,) * 2, images=broken)):
        with pytest.raises(ZooError):
            bench.do(work)
    assert bench.files() == {name_of(bench.first)}


def test_removed_data_are_not_scored_again_from_memory(bench, service):
    data = bench.zoo.blobs.put(digits_file(examples=100))
    duties = Duties(bench.zoo)
    bench.do(bench.score((bench.first,), dataset=data), duties)
    service.zoo.blobs.delete(data)
    with pytest.raises(NotFoundError):
        bench.do(bench.score((bench.first,), dataset=data), duties)


def test_a_pipeline_is_called_by_the_name_without_its_namespace(bench):
    result = bench.do(TrainWork(name="ada/low", recipe=digits_recipe(bench.dataset, epochs=1)))
    assert result.pipeline == "low"
    assert [made.name for made in result.modules] == ["ada/low-input", "ada/low-output"]


def test_trained_modules_are_verified_before_they_are_uploaded(bench, monkeypatch):
    work = TrainWork(name="ada/low", recipe=digits_recipe(bench.dataset, epochs=1))
    assert all(made.verified for made in bench.do(work).modules)
    monkeypatch.setattr("trainer.duties.fault_of", lambda part: "it is odd")
    with pytest.raises(JobFailedError, match="the trained input module cannot be published: it is odd"):
        bench.do(work)


@pytest.mark.parametrize(("make", "refused"), [(lambda bench: bench.first, False), (overflowing, True)])
def test_a_look_at_a_module_gives_a_verdict(bench, make, refused):
    module = make(bench)
    verdict = bench.do(VerifyWork(module=module)).verdict
    assert (verdict.module, verdict.refused is not None) == (module, refused)


def test_a_module_that_cannot_be_had_fails_the_look_and_is_not_refused(bench):
    with pytest.raises(NotFoundError):
        bench.do(VerifyWork(module=MISSING))


def test_what_nobody_verified_is_verified_before_it_is_scored(bench):
    bad, (first, hidden, _) = overflowing(bench), (module.digest for module in bench.network.modules)
    asked = bench.score((first, hidden), (first, bad), (first, MISSING))
    result = bench.do(asked.model_copy(update={"verify": (hidden, bad, MISSING)}))
    assert {verdict.module: verdict.refused is None for verdict in result.verdicts} == {hidden: True, bad: False}
    assert [made.module for made in result.statistics] == [hidden]
    reasons = {failed.module: failed.reason for failed in result.failures}
    assert "refused: its outputs" in reasons[bad]
    assert name_of(MISSING) in reasons[MISSING]


def image() -> bytes:
    file = io.BytesIO()
    Image.fromarray(digits().images[0, :, :, 0]).save(file, format="PNG")
    return file.getvalue()
