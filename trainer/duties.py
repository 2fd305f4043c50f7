"""What each kind of work asks of a worker: fetch what it needs, do it, upload what comes of it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import assert_never

import structlog

from client.cache import digest_of_file
from client.zoo import Zoo
from registry.dataset_file import LabelledImages
from registry.errors import (
    CorruptBlobError,
    InvalidInputError,
    JobFailedError,
    NotFoundError,
    SettingsError,
    WrongDigestError,
)
from registry.module_file import PipelinePart
from registry.names import Digest, ModuleName
from registry.recipes import TrainingRecipe
from registry.settings import Settings
from registry.work import (
    JobResult,
    JointResult,
    JointWork,
    ModuleFailure,
    ModuleStatistics,
    ModuleVerdict,
    NewModule,
    PredictResult,
    PredictWork,
    ScoreHereWork,
    ScoreResult,
    ScoreWork,
    TrainResult,
    TrainWork,
    VerifyResult,
    VerifyWork,
    Work,
)
from trainer.chains import sort_chains
from trainer.checkpoints import Saved
from trainer.courier import Courier
from trainer.data import TrainingData
from trainer.devices import choose_placement
from trainer.joint import Joining
from trainer.lease import Lease
from trainer.loaded import LoadedModule, load_module
from trainer.noising import NoisePromise, with_noise
from trainer.patience import patiently
from trainer.prediction import predict
from trainer.progress import Tracker
from trainer.reading import read_images, read_task, read_training_data
from trainer.run import train
from trainer.scoring import forwards, score
from trainer.shelf import Shelf
from trainer.verification import fault_of, verdict_on

log = structlog.get_logger()

MODULES_KEPT = 64

UNUSABLE = (InvalidInputError, NotFoundError, WrongDigestError, CorruptBlobError, SettingsError)
"""A module's file is not there, or is not a module that can be built with what is installed here."""


class Duties:
    """Does work of every kind; keeps built modules for the next job, but nothing of anybody's data."""

    def __init__(
        self, zoo: Zoo, *, at_home: Mapping[Digest, Path] | None = None, promise: NoisePromise | None = None
    ) -> None:
        """Set up.

        Args:
            zoo: where bytes come from and go to.
            at_home: datasets whose bytes are here and go nowhere: nothing is done but to score on them.
            promise: the noise without which their statistics go nowhere either.
        """
        self._zoo, self._at_home, self._promise = zoo, at_home or {}, promise
        self._placement = choose_placement("float32")
        self._modules: Shelf[Digest, LoadedModule] = Shelf(MODULES_KEPT)

    def do(self, work: Work, lease: Lease) -> JobResult:
        """Do one piece of work. Raises Stopped when the lease is lost, ZooError when it cannot be done."""
        if self._at_home and not isinstance(work, ScoreHereWork):
            raise JobFailedError(f"beside images that stay at home nothing is done of the kind {work.kind}")
        match work:
            case TrainWork():
                return self._train(work, lease)
            case ScoreWork():
                return self._score(work, lease)
            case JointWork():
                return self._join(work, lease)
            case PredictWork():
                return self._predict(work, lease)
            case VerifyWork():
                return VerifyResult(verdict=self._verdict(work.module, lease))
            case _:
                assert_never(work)

    def _train(self, work: TrainWork, lease: Lease) -> TrainResult:
        """Train, verify every module, upload its file; the zoo publishes them in the step that ends the job."""
        data = self._training_data(work.recipe, lease)
        with Courier(self._zoo, lease) as courier:
            saved = Saved(courier.send, Settings.load().checkpoint_seconds, self._last_checkpoint(lease))
            network = train(work.recipe, data, report=lease.tell, should_stop=lease.should_stop, saved=saved)
        made = []
        for module in network.modules:
            lease.check()
            fault = fault_of(PipelinePart(module.manifest, module.tensors))
            if fault is not None:
                raise JobFailedError(f"the trained {module.ending} module cannot be published: {fault}")
            digest = self._put(module.file, lease)
            made.append(NewModule(name=f"{work.name}-{module.ending}", digest=digest, verified=True))
        pipeline = ModuleName.parse(work.name).name if network.complete else None
        return TrainResult(modules=tuple(made), pipeline=pipeline)

    def _training_data(self, recipe: TrainingRecipe, lease: Lease) -> TrainingData:
        """A recipe's images, with the table of pairs where it has one."""
        table = recipe.pairs.table if recipe.pairs is not None else None
        with self._borrowed(recipe.task.dataset, lease) as path:
            if table is None:
                return read_training_data(path, recipe)
            with self._borrowed(table, lease) as pairs:
                return read_training_data(path, recipe, pairs=pairs)

    def _last_checkpoint(self, lease: Lease) -> bytes | None:
        """Where the attempt before left off; None where there was none, or its bytes cannot be had."""
        if lease.checkpoint is None:
            return None
        try:
            with self._borrowed(lease.checkpoint, lease) as path:
                return path.read_bytes()
        except UNUSABLE as error:
            log.warning("checkpoint not to be had, the run starts anew", why=error.detail)
            return None

    def _score(self, work: ScoreWork, lease: Lease) -> ScoreResult:
        """Score what can be scored, upload its statistics, and say of every other module why it cannot.

        Modules that no worker has looked at are verified first; what is refused is not run over anybody's data.
        """
        verdicts, missing = self._verdicts(work, lease)
        refused = {verdict.module: f"refused: {verdict.refused}" for verdict in verdicts if verdict.refused}
        modules, broken = self._load(work, lease, leave_out={**refused, **missing})
        found = sort_chains(work, modules, broken=broken)
        if not found.sound:
            return ScoreResult(statistics=(), failures=found.failures, verdicts=verdicts)
        work = work.model_copy(update={"chains": found.sound})
        data = self._task(work, modules[work.chains[0][0]], lease)
        total = forwards(work, modules, examples=len(data.labels))
        tracker = Tracker(total=total, report=lease.tell, should_stop=lease.should_stop)
        statistics, failures = [], list(found.failures)
        for scored in score(work, data, modules, placement=self._placement, tracker=tracker):
            if isinstance(scored, ModuleFailure):
                failures.append(scored)
                continue
            lease.check()
            noise = work.noise if isinstance(work, ScoreHereWork) else None
            if self._promise is not None:
                self._promise.spend(noise)
            packed = scored.packed if noise is None else with_noise(scored.packed, noise)
            blob = self._put(packed, lease)
            statistics.append(ModuleStatistics(module=scored.module, blob=blob, milliseconds=scored.milliseconds))
        return ScoreResult(statistics=tuple(statistics), failures=tuple(failures), verdicts=verdicts)

    def _join(self, work: JointWork, lease: Lease) -> JointResult:
        """Run what can be run side by side, upload its statistics, and say of every other module why it cannot."""
        apart = work.apart
        verdicts, missing = self._verdicts(apart, lease)
        refused = {verdict.module: f"refused: {verdict.refused}" for verdict in verdicts if verdict.refused}
        modules, broken = self._load(apart, lease, leave_out={**refused, **missing})
        found = sort_chains(apart, modules, broken=broken)
        if len(found.sound) < 2:
            ends = tuple(chain[-1] for chain in found.sound)
            return JointResult(modules=ends, failures=found.failures, verdicts=verdicts)
        with self._borrowed(work.task.dataset, lease) as path:
            read = partial(read_task, path, apart)
            joining = Joining(apart.model_copy(update={"chains": found.sound}), read, modules, self._placement)
            joined = joining.run(report=lease.tell, should_stop=lease.should_stop)
        lease.check()
        return JointResult(
            modules=joined.modules,
            blob=None if joined.packed is None else self._put(joined.packed, lease),
            milliseconds=joined.milliseconds,
            failures=(*found.failures, *joined.failures),
            verdicts=verdicts,
        )

    def _verdicts(self, work: ScoreWork, lease: Lease) -> tuple[tuple[ModuleVerdict, ...], dict[Digest, str]]:
        """A verdict on each module that the work asks to verify, and why there is none of the others."""
        verdicts, missing = [], {}
        for digest in work.verify:
            try:
                verdicts.append(self._verdict(digest, lease))
            except UNUSABLE as error:
                missing[digest] = error.detail
        return tuple(verdicts), missing

    def _verdict(self, digest: Digest, lease: Lease) -> ModuleVerdict:
        """What a look at a module finds. Raises NotFoundError and its kin where its file cannot be had."""
        lease.check()
        return verdict_on(digest, self._fetch(digest, lease))

    def _load(
        self, work: ScoreWork, lease: Lease, *, leave_out: dict[Digest, str]
    ) -> tuple[dict[Digest, LoadedModule], dict[Digest, str]]:
        """Every module of the chains that can be built, and source heads, and why the others cannot."""
        modules: dict[Digest, LoadedModule] = {}
        broken = dict(leave_out)
        named = (digest for chain in (*work.chains, tuple(work.heads.values())) for digest in chain)
        for digest in dict.fromkeys(digest for digest in named if digest not in leave_out):
            lease.check()
            try:
                modules[digest] = self._module(digest, lease)
            except UNUSABLE as error:
                broken[digest] = error.detail
        return modules, broken

    def _predict(self, work: PredictWork, lease: Lease) -> PredictResult:
        """Run a pipeline over images."""
        modules = [self._module(digest, lease) for digest in work.modules]
        lease.check()
        with self._borrowed(work.images, lease) as path:
            named = read_images(path, modules[0].preprocessing)
        began = time.perf_counter()
        predictions = predict(modules, named.images, items=named.items, placement=self._placement)
        return PredictResult(predictions=predictions, milliseconds=round((time.perf_counter() - began) * 1000, 3))

    @contextmanager
    def _borrowed(self, digest: Digest, lease: Lease) -> Iterator[Path]:
        """A file of somebody's data, in a folder that goes when the block ends: whoever removes it may rely on that."""
        if digest in self._at_home:
            yield self._at_home[digest]
            _check_same(self._at_home[digest], digest)
            return
        with TemporaryDirectory(prefix="zoo-data-") as folder:
            yield patiently(
                lambda: self._zoo.blobs.download(digest, to=Path(folder)),
                should_stop=lease.should_stop,
            )

    def _put(self, data: bytes, lease: Lease) -> Digest:
        return patiently(lambda: self._zoo.blobs.put(data), should_stop=lease.should_stop)

    def _module(self, digest: Digest, lease: Lease) -> LoadedModule:
        """A module, from the shelf, from the cache of files, or from the zoo."""
        return self._modules.get(
            digest,
            lambda: load_module(self._fetch(digest, lease), placement=self._placement),
        )

    def _fetch(self, digest: Digest, lease: Lease) -> Path:
        """A module's file, from the cache or from the zoo."""
        return patiently(lambda: self._zoo.blobs.fetch(digest), should_stop=lease.should_stop)

    def _task(self, work: ScoreWork, input_module: LoadedModule, lease: Lease) -> LabelledImages:
        """A task's images as an input module wants them."""
        with self._borrowed(work.task.dataset, lease) as path:
            return read_task(path, work, preprocessing=input_module.preprocessing)


def _check_same(file: Path, digest: Digest) -> None:
    """Raises JobFailedError where a file is no longer what was stated: statistics must be of these very images."""
    if digest_of_file(file) != digest:
        raise JobFailedError(f"{file.name} was changed while modules ran on it; rank it again")
