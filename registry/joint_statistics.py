"""Joint statistics that workers bring: checked as those of one module are, and kept under their own key."""

from collections.abc import Sequence

from kernel_methods.joint import JointLayout
from kernel_methods.kernels import pooled_features
from registry.blobs import BlobKeeper
from registry.errors import ConflictError, InvalidInputError
from registry.names import Digest
from registry.ports import Begin, BlobStore, UnitOfWork
from registry.records import KeptStatistics, PublishedModule
from registry.set_plans import failure_key, joint_key
from registry.statistics import check_shape, check_verdicts, largest_bytes, read_evidence, record_kept
from registry.work import JointResult, JointWork, ModuleFailure


class JointStatisticsService:
    """The rules about joint statistics: of the modules they say they are, and gone with their dataset."""

    def __init__(self, begin: Begin, blobs: BlobStore, keeper: BlobKeeper) -> None:
        """Everything it needs from outside."""
        self._begin, self._blobs, self._keeper = begin, blobs, keeper

    def check(self, share: JointWork, result: JointResult) -> tuple[KeptStatistics, ...]:
        """What a worker brought, ready to be recorded: the joint statistics, if any, and which modules failed.

        What failed because a module is refused, or because nobody could look at it, is not kept as a failure: another
        look may find otherwise.

        Raises:
            InvalidInputError: a module is missing or was not asked for, is not verified though the work asks for
                that, or statistics are not those of the modules and the task.
            ConflictError: a module was deleted meanwhile.
        """
        sound = _sound_chains(share, result)
        barred = check_verdicts(share.apart, result.verdicts, scored=set(result.modules))
        chains = {chain[-1]: chain for chain in share.chains}
        failed = [each for each in result.failures if barred.isdisjoint(chains[each.module])]
        kept = tuple(_failure(share, chains[each.module], each) for each in failed)
        if result.blob is None:
            return kept
        return (*kept, self._checked(share.model_copy(update={"chains": sound}), result, result.blob))

    def record(self, work: UnitOfWork, share: JointWork, kept: Sequence[KeptStatistics]) -> None:
        """Record checked statistics. Raises ConflictError when their dataset was deleted meanwhile."""
        record_kept(work, self._keeper, kept, dataset=share.task.dataset)

    def discard(self, result: JointResult) -> None:
        """Delete the bytes of statistics that were not taken."""
        if result.blob is not None:
            self._keeper.discard_for_all(result.blob)

    def _checked(self, sound: JointWork, result: JointResult, blob: Digest) -> KeptStatistics:
        """The joint statistics of the chains that ran, read and compared with what they must be."""
        layout = JointLayout(tuple(features_of(self._module(chain[-1])) for chain in sound.chains))
        apart = sound.apart
        evidence = read_evidence(self._blobs, blob, limit_bytes=largest_bytes(apart, features=layout.dimensions))
        check_shape(evidence, features=layout.dimensions, share=apart)
        if evidence.beside is not None:
            raise InvalidInputError("joint statistics hold something beside them that was not asked for")
        key = joint_key(sound)
        kept = _kept(sound, key=key, module=key)
        examples = sum(shard.examples for shard in evidence.shards)
        return kept.model_copy(update={"blob": blob, "milliseconds": result.milliseconds, "examples": examples})

    def _module(self, digest: Digest) -> PublishedModule:
        with self._begin() as work:
            found = work.modules.by_digest(digest)
        if not found:
            raise ConflictError(f"the module {digest} was deleted meanwhile")
        return found[0]


def features_of(module: PublishedModule) -> int:
    """How many features a module has. Raises InvalidInputError for one without a feature map."""
    if module.feature_map is None:
        raise InvalidInputError(f"{module.ref} has no feature map, so it has no statistics")
    return pooled_features(module.gives.shape, module.feature_map.pooling)


def _sound_chains(share: JointWork, result: JointResult) -> tuple[tuple[Digest, ...], ...]:
    """The chains that ran, in the order of the work. Raises InvalidInputError unless each module is told of once."""
    asked = [chain[-1] for chain in share.chains]
    failed = [each.module for each in result.failures]
    if sorted([*result.modules, *failed]) != sorted(asked):
        raise InvalidInputError(
            f"{len(result.modules)} modules and {len(failed)} failures were brought for {len(asked)} modules; bring "
            "one of the two for each module that the work names"
        )
    sound = tuple(chain for chain in share.chains if chain[-1] in result.modules)
    if tuple(chain[-1] for chain in sound) != result.modules:
        raise InvalidInputError("the modules of joint statistics are not in the order of the work")
    return sound


def _failure(share: JointWork, chain: Sequence[Digest], failure: ModuleFailure) -> KeptStatistics:
    """That a module cannot be scored on these examples, as whoever scores it by itself would find."""
    kept = _kept(share, key=failure_key(share, chain), module=failure.module)
    return kept.model_copy(update={"failure": failure.reason})


def _kept(share: JointWork, *, key: Digest, module: Digest) -> KeptStatistics:
    return KeptStatistics(
        key=key,
        module=module,
        data=share.task.dataset,
        labels=tuple(share.task.classes),
        blob=None,
        milliseconds=0.0,
        scores={},
    )
