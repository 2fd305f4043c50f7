"""Statistics that workers bring: checked, scored once for the static ranker, and kept under their key."""

from kernel_methods.evidence import Evidence
from kernel_methods.kernels import pooled_features
from registry.blobs import BlobKeeper
from registry.errors import ConflictError, InvalidInputError
from registry.judging import usual_scores
from registry.manifest import FeatureMap
from registry.names import Digest
from registry.plans import statistics_key
from registry.ports import Begin, BlobStore, UnitOfWork
from registry.records import KeptStatistics, PublishedModule
from registry.work import ModuleFailure, ModuleStatistics, ScoreResult, ScoreWork


class StatisticsService:
    """The rules about statistics: of the module and task they say they are, and gone with their dataset."""

    def __init__(self, begin: Begin, blobs: BlobStore, keeper: BlobKeeper) -> None:
        """Everything it needs from outside."""
        self._begin, self._blobs, self._keeper = begin, blobs, keeper

    def check(self, share: ScoreWork, result: ScoreResult) -> tuple[KeptStatistics, ...]:
        """What a worker brought, ready to be recorded in the step that ends the job.

        Raises:
            InvalidInputError: a module is missing or was not asked for, or statistics are not those of the
                module and the task.
            ConflictError: a module was deleted meanwhile.
        """
        chains = {chain[-1]: chain for chain in share.chains}
        parts: list[ModuleStatistics | ModuleFailure] = [*result.statistics, *result.failures]
        brought = {part.module: part for part in parts}
        if chains.keys() != brought.keys() or len(brought) < len(parts):
            raise InvalidInputError(
                f"{len(result.statistics)} statistics and {len(result.failures)} failures were brought for "
                f"{len(chains)} modules; bring one of the two for each module that the work names"
            )
        return tuple(self._checked(share, chain, brought[module]) for module, chain in chains.items())

    def record(self, work: UnitOfWork, share: ScoreWork, kept: tuple[KeptStatistics, ...]) -> None:
        """Record checked statistics. Raises ConflictError when their dataset was deleted meanwhile."""
        for statistics in kept:
            if statistics.blob is not None:
                self._keeper.require(work, statistics.blob)
        if work.datasets.get(share.task.dataset, owner=None) is None:
            raise ConflictError(f"the dataset {share.task.dataset} was deleted meanwhile")
        for statistics in kept:
            work.statistics.add(statistics)

    def discard(self, result: ScoreResult) -> None:
        """Delete the bytes of statistics that were not taken."""
        for statistics in result.statistics:
            self._keeper.discard(statistics.blob)

    def _checked(
        self, share: ScoreWork, chain: tuple[Digest, ...], made: ModuleStatistics | ModuleFailure
    ) -> KeptStatistics:
        """One module's statistics, read and compared with what they must be."""
        kept = KeptStatistics(
            key=statistics_key(chain, share),
            module=made.module,
            data=share.task.dataset,
            labels=tuple(share.task.classes),
            blob=None,
            milliseconds=0.0,
            scores={},
        )
        if isinstance(made, ModuleFailure):
            return kept.model_copy(update={"failure": made.reason})
        module, feature_map = self._module(chain[-1])
        evidence = self._read(made.blob)
        _check_shape(evidence, features=pooled_features(module.gives.shape, feature_map.pooling), share=share)
        scores = usual_scores(evidence, feature_map)
        return kept.model_copy(update={"blob": made.blob, "milliseconds": made.milliseconds, "scores": scores})

    def _module(self, digest: Digest) -> tuple[PublishedModule, FeatureMap]:
        with self._begin() as work:
            found = work.modules.by_digest(digest)
        if not found:
            raise ConflictError(f"the module {digest} was deleted meanwhile")
        if found[0].feature_map is None:
            raise InvalidInputError(f"{found[0].ref} has no feature map, so it has no statistics")
        return found[0], found[0].feature_map

    def _read(self, blob: Digest) -> Evidence:
        """What a blob holds. Raises InvalidInputError, NotFoundError."""
        data = self._blobs.get(blob)
        try:
            return Evidence.from_bytes(data, limit_bytes=len(data))
        except ValueError as error:
            raise InvalidInputError(f"{blob} does not hold statistics: {error}") from error


def _check_shape(evidence: Evidence, *, features: int, share: ScoreWork) -> None:
    """Raises InvalidInputError unless every shard has the task's classes and the module's features."""
    classes = len(share.task.classes)
    for shard in evidence.shards:
        if (shard.classes, shard.dimensions) != (classes, features):
            raise InvalidInputError(
                f"statistics have {shard.classes} classes and {shard.dimensions} features, "
                f"but the task has {classes} and the module {features}"
            )
