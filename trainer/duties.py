"""What each kind of work asks of a worker: fetch what it needs, do it, upload what comes of it."""

import time
from pathlib import Path
from typing import assert_never

from client.zoo import Zoo
from registry.dataset_file import LabelledImages
from registry.names import Digest
from registry.work import (
    JobResult,
    ModuleStatistics,
    NewModule,
    PredictResult,
    PredictWork,
    ScoreResult,
    ScoreWork,
    TrainResult,
    TrainWork,
    Work,
)
from trainer.devices import choose_placement
from trainer.lease import Lease
from trainer.loaded import LoadedModule, load_module
from trainer.patience import patiently
from trainer.prediction import predict
from trainer.progress import Tracker
from trainer.reading import read_images, read_task, read_training_data
from trainer.run import train
from trainer.scoring import forwards, score
from trainer.shelf import Shelf

MODULES_KEPT = 64
TASKS_KEPT = 4

TaskKey = tuple[str, str, int, int]


class Duties:
    """Does work of every kind; keeps built modules and prepared tasks for the next job."""

    def __init__(self, zoo: Zoo) -> None:
        """Args: zoo: where bytes come from and go to."""
        self._zoo = zoo
        self._placement = choose_placement("float32")
        self._modules: Shelf[Digest, LoadedModule] = Shelf(MODULES_KEPT)
        self._tasks: Shelf[TaskKey, LabelledImages] = Shelf(TASKS_KEPT)

    def do(self, work: Work, lease: Lease) -> JobResult:
        """Do one piece of work. Raises Stopped when the lease is lost, ZooError when it cannot be done."""
        match work:
            case TrainWork():
                return self._train(work, lease)
            case ScoreWork():
                return self._score(work, lease)
            case PredictWork():
                return self._predict(work, lease)
            case _:
                assert_never(work)

    def _train(self, work: TrainWork, lease: Lease) -> TrainResult:
        """Train, upload every file; the zoo publishes them in the step that ends the job."""
        data = read_training_data(self._fetch(work.recipe.task.dataset, lease), work.recipe)
        network = train(work.recipe, data, report=lease.tell, should_stop=lease.should_stop)
        made = []
        for module in network.modules:
            lease.check()
            digest = self._put(module.file, lease)
            made.append(NewModule(name=f"{work.name}-{module.ending}", digest=digest))
        return TrainResult(modules=tuple(made), pipeline=work.name if network.complete else None)

    def _score(self, work: ScoreWork, lease: Lease) -> ScoreResult:
        """Score, upload every module's statistics."""
        modules = {digest: self._module(digest, lease) for chain in work.chains for digest in chain}
        data = self._task(work, modules[work.chains[0][0]], lease)
        total = forwards(work, modules, examples=len(data.labels))
        tracker = Tracker(total=total, report=lease.tell, should_stop=lease.should_stop)
        statistics = []
        for scored in score(work, data, modules, placement=self._placement, tracker=tracker):
            lease.check()
            blob = self._put(scored.packed, lease)
            statistics.append(ModuleStatistics(module=scored.module, blob=blob, milliseconds=scored.milliseconds))
        return ScoreResult(statistics=tuple(statistics))

    def _predict(self, work: PredictWork, lease: Lease) -> PredictResult:
        """Run a pipeline over images."""
        modules = [self._module(digest, lease) for digest in work.modules]
        lease.check()
        named = read_images(self._fetch(work.images, lease), modules[0].preprocessing)
        began = time.perf_counter()
        predictions = predict(modules, named.images, items=named.items, placement=self._placement)
        return PredictResult(predictions=predictions, milliseconds=round((time.perf_counter() - began) * 1000, 3))

    def _fetch(self, digest: Digest, lease: Lease) -> Path:
        return patiently(lambda: self._zoo.blobs.fetch(digest), should_stop=lease.should_stop)

    def _put(self, data: bytes, lease: Lease) -> Digest:
        return patiently(lambda: self._zoo.blobs.put(data), should_stop=lease.should_stop)

    def _module(self, digest: Digest, lease: Lease) -> LoadedModule:
        return self._modules.get(digest, lambda: load_module(self._fetch(digest, lease), placement=self._placement))

    def _task(self, work: ScoreWork, input_module: LoadedModule, lease: Lease) -> LabelledImages:
        """A task's images as an input module wants them; tasks of one dataset often come one after the other."""
        preprocessing = input_module.preprocessing
        return self._tasks.get(
            (work.task.model_dump_json(), preprocessing.model_dump_json(), work.examples, work.seed),
            lambda: read_task(self._fetch(work.task.dataset, lease), work, preprocessing=preprocessing),
        )
