"""Statistics that workers bring: checked, scored once for the static ranker, and kept under their key."""

from collections.abc import Collection, Sequence

from kernel_methods.evidence import Evidence
from kernel_methods.kernels import pooled_features
from kernel_methods.packing import LONGEST_HEADER_BYTES
from kernel_methods.shuffles import shuffle_count
from registry.blobs import BlobKeeper
from registry.errors import ConflictError, InvalidInputError
from registry.judging import usual_scores
from registry.manifest import FeatureMap
from registry.measured_panel import check_asked, most_bytes_beside
from registry.names import Digest
from registry.plans import keys_brought, statistics_key
from registry.ports import Begin, BlobStore, UnitOfWork
from registry.rankings import FEWEST_EXAMPLES
from registry.records import KeptStatistics, PublishedModule
from registry.work import ModuleFailure, ModuleStatistics, ModuleVerdict, ScoreHereWork, ScoreResult, ScoreWork


class StatisticsService:
    """The rules about statistics: of the module and task they say they are, and gone with their dataset."""

    def __init__(self, begin: Begin, blobs: BlobStore, keeper: BlobKeeper) -> None:
        """Everything it needs from outside."""
        self._begin, self._blobs, self._keeper = begin, blobs, keeper

    def check(self, share: ScoreWork, result: ScoreResult) -> tuple[KeptStatistics, ...]:
        """What a worker brought, ready to be recorded in the step that ends the job.

        What failed because a module is refused, or because nobody could look at it, is not kept as a failure: another
        look may find otherwise.

        Raises:
            InvalidInputError: a module is missing or was not asked for, is not verified though the work asks for
                that, or statistics are not those of the module and the task.
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
        scored = {statistics.module for statistics in result.statistics}
        barred = check_verdicts(share, result.verdicts, scored=scored)
        told = {module: chain for module, chain in chains.items() if barred.isdisjoint(chain)}
        checked = [(chain, self._checked(share, chain, brought[module])) for module, chain in told.items()]
        keys = keys_brought(share)
        return tuple(kept.model_copy(update={"key": key(chain)}) for chain, kept in checked for key in keys)

    def record(self, work: UnitOfWork, share: ScoreWork, kept: tuple[KeptStatistics, ...]) -> None:
        """Record checked statistics. Raises ConflictError when their dataset was deleted meanwhile."""
        record_kept(work, self._keeper, kept, dataset=share.task.dataset)

    def discard(self, result: ScoreResult) -> None:
        """Delete the bytes of statistics whose dataset is gone."""
        for statistics in result.statistics:
            self._keeper.discard_for_all(statistics.blob)

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
        features = pooled_features(module.gives.shape, feature_map.pooling)
        evidence = read_evidence(self._blobs, made.blob, limit_bytes=largest_bytes(share, features=features))
        check_shape(evidence, features=features, share=share)
        if evidence.beside is not None:
            check_asked(evidence.beside, share, source_labels=self._source_labels(share.heads.get(made.module)))
        # What nobody can check may not change what others are told of the module.
        scores = {} if isinstance(share, ScoreHereWork) else usual_scores(evidence, feature_map)
        examples = sum(shard.examples for shard in evidence.shards)
        brought = {"blob": made.blob, "milliseconds": made.milliseconds, "examples": examples, "scores": scores}
        return kept.model_copy(update=brought)

    def _module(self, digest: Digest) -> tuple[PublishedModule, FeatureMap]:
        with self._begin() as work:
            found = work.modules.by_digest(digest)
        if not found:
            raise ConflictError(f"the module {digest} was deleted meanwhile")
        if found[0].feature_map is None:
            raise InvalidInputError(f"{found[0].ref} has no feature map, so it has no statistics")
        return found[0], found[0].feature_map

    def _source_labels(self, head: Digest | None) -> int | None:
        """How many labels a source head has; None without one. Raises ConflictError where it was deleted meanwhile."""
        if head is None:
            return None
        with self._begin() as work:
            found = work.modules.by_digest(head)
        if not found:
            raise ConflictError(f"the source head {head} was deleted meanwhile")
        return len(found[0].labels or ())


def read_evidence(blobs: BlobStore, blob: Digest, *, limit_bytes: int) -> Evidence:
    """What a blob holds; one that is too large is not read at all. Raises InvalidInputError, NotFoundError."""
    size = blobs.info(blob).size_bytes
    if size > limit_bytes:
        raise InvalidInputError(
            f"{blob} does not hold statistics: it has {size} bytes, "
            f"those of this module and task have at most {limit_bytes}"
        )
    data = blobs.get(blob)
    try:
        return Evidence.from_bytes(data, limit_bytes=limit_bytes)
    except ValueError as error:
        raise InvalidInputError(f"{blob} does not hold statistics: {error}") from error


def record_kept(work: UnitOfWork, keeper: BlobKeeper, kept: Sequence[KeptStatistics], *, dataset: Digest) -> None:
    """Record checked statistics of a dataset. Raises ConflictError when it was deleted meanwhile."""
    for statistics in kept:
        if statistics.blob is not None:
            keeper.require(work, statistics.blob)
    if work.datasets.get(dataset, owner=None) is None:
        raise ConflictError(f"the dataset {dataset} was deleted meanwhile")
    for statistics in kept:
        work.statistics.add(statistics)


def largest_bytes(share: ScoreWork, *, features: int) -> int:
    """The most bytes that one module's statistics on a task can have: every shard, as many shuffles as are kept, and
    what is asked for beside them.

    Args:
        share: its task's classes and its shards count.
        features: width d of the module's feature map.
    """
    classes = len(share.task.classes)
    of_shard = 2 * classes + classes * features + features * (features + 1) // 2
    of_shuffle = classes * (features + 1)
    shuffles = shuffle_count(classes=classes, dimensions=features)
    usual = 8 + LONGEST_HEADER_BYTES + 8 * (share.shards * of_shard + shuffles * of_shuffle)
    return usual + most_bytes_beside(share, features=features)


def check_verdicts(share: ScoreWork, brought: Sequence[ModuleVerdict], *, scored: Collection[Digest]) -> set[Digest]:
    """The modules that the work asks to verify and that no verdict allows.

    Args:
        share: the work.
        brought: verdicts that came of it.
        scored: modules of which statistics came.

    Raises:
        InvalidInputError: a verdict was not asked for, or is not the only one on its module, or statistics are of a
            module that is not allowed, or stands on one.
    """
    verdicts: dict[Digest, ModuleVerdict] = {verdict.module: verdict for verdict in brought}
    asked = set(share.verify)
    if not verdicts.keys() <= asked or len(verdicts) < len(brought):
        raise InvalidInputError(
            f"{len(brought)} verdicts were brought, but the work asks for none on other modules than "
            f"{sorted(asked)}, and for one on each"
        )
    refused = {module for module, verdict in verdicts.items() if verdict.refused is not None}
    barred = refused | (asked - verdicts.keys())
    for chain in share.chains:
        if chain[-1] in scored and not barred.isdisjoint(chain):
            wrong = next(module for module in chain if module in barred)
            raise InvalidInputError(
                f"statistics of {chain[-1]} were brought, but {wrong} is not verified; bring a verdict that allows it"
            )
    return barred


def check_shape(evidence: Evidence, *, features: int, share: ScoreWork) -> None:
    """Raises InvalidInputError unless statistics are such as the work asks for.

    They are of no more examples than it is on, in the shards that so many are dealt into (those of further examples
    are added to them one by one), each with the task's classes and the module's features.
    """
    examples, most = sum(shard.examples for shard in evidence.shards), share.examples - share.start
    if not FEWEST_EXAMPLES <= examples <= most:
        raise InvalidInputError(
            f"statistics are of {examples} examples, but the work asks for {FEWEST_EXAMPLES} to {most}"
        )
    if len(evidence.shards) != share.shards_of(examples):
        raise InvalidInputError(
            f"statistics of {examples} examples are in {len(evidence.shards)} shards, but the work asks for "
            f"{share.shards_of(examples)}; deal examples into as many as it says, with two in each at least"
        )
    classes = len(share.task.classes)
    for shard in evidence.shards:
        if (shard.classes, shard.dimensions) != (classes, features):
            raise InvalidInputError(
                f"statistics have {shard.classes} classes and {shard.dimensions} features, "
                f"but the task has {classes} and the module {features}"
            )
