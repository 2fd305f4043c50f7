"""Plans of questions about sets: which modules stand side by side, on which examples, and what is kept of that."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kernel_methods.joint import JointLayout
from kernel_methods.kernels import RankerName
from registry.errors import NotScorableError
from registry.frozen import Frozen
from registry.names import Digest, DigestField
from registry.plans import SHARDS, PlannedTask, statistics_key
from registry.ports import UnitOfWork
from registry.rankings import SCORER
from registry.recipes import TaskSpec
from registry.records import Dataset, Job, KeptStatistics, PublishedModule
from registry.verification import refusal
from registry.work import JointResult, JointWork

KIND = "sets"

MOST_FEATURES = 4096
"""Of all modules together: the second moment of one shard then takes 67 MB."""

MOST_HELD_BYTES = 1 << 31
"""What a worker holds of all features of all examples at once."""

SHARD_BYTES = 1 << 28
"""What the second moments of all shards may take; wide modules are dealt into fewer shards."""

FEWEST_SHARDS = 4


class SetCandidate(Frozen):
    """One module that may be in a set: the chain that leads to it, and how many features it has."""

    ref: str
    chain: tuple[DigestField, ...]
    features: int

    @property
    def module(self) -> Digest:
        """Digest of the module."""
        return self.chain[-1]


class SetPlan(Frozen):
    """A question about sets made exact; `cached` says whether the statistics were kept from before."""

    rank_by: RankerName
    seed: int
    examples: int
    size: int
    serial: int
    task: PlannedTask
    candidates: tuple[SetCandidate, ...]
    warnings: tuple[str, ...] = ()
    cached: bool = False

    @property
    def query_id(self) -> str:
        """The same question to the same zoo has the same id, whatever is cached."""
        text = json.dumps([SCORER, KIND, self.model_dump(mode="json", exclude={"cached"})], sort_keys=True)
        return "query-" + hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the records hold for a plan at one moment.

    Args:
        modules: every module of the candidates' chains.
        dataset: what the task is about.
        sound: candidates that may be scored, in the order in which their features stand side by side.
        reasons: why each of the other candidates cannot be, by its reference.
        share: the work that brings the statistics of the sound ones; None where there are fewer than two of them.
        kept: these statistics, where they are kept and may be used.
    """

    modules: Mapping[Digest, PublishedModule]
    dataset: Dataset
    sound: tuple[SetCandidate, ...]
    reasons: Mapping[str, str]
    share: JointWork | None
    kept: KeptStatistics | None


def joint_key(share: JointWork) -> Digest:
    """What joint statistics are kept under: the chains in their order, data, labels, examples, shards, seed."""
    parts = [SCORER, share.task.dataset, list(share.task.classes), share.examples, share.shards, share.seed]
    text = json.dumps(["joint", *parts, [list(chain) for chain in share.chains]])
    return Digest("sha256:" + hashlib.sha256(text.encode()).hexdigest())


def failure_key(share: JointWork, chain: Sequence[Digest]) -> Digest:
    """What is kept of a module that cannot be scored on these examples: the key of its statistics by itself."""
    return statistics_key(chain, share.apart.model_copy(update={"shards": SHARDS}))


def joint_shards(features: int) -> int:
    """Into how many shards examples are dealt for so many features: 10 up to 2,500 of them, 4 at the least."""
    dimensions = JointLayout((features,)).dimensions
    return max(FEWEST_SHARDS, min(SHARDS, SHARD_BYTES // (4 * dimensions * (dimensions + 1))))


def joint_work(plan: SetPlan, chosen: Sequence[SetCandidate], *, verify: Collection[Digest] = ()) -> JointWork:
    """The work of scoring candidates side by side on the labels of a task, each label a class of its own."""
    return JointWork(
        task=TaskSpec(dataset=plan.task.dataset, classes={label: (label,) for label in plan.task.labels}),
        chains=tuple(each.chain for each in chosen),
        examples=plan.examples,
        shards=joint_shards(sum(each.features for each in chosen)),
        seed=plan.seed,
        verify=tuple(sorted(verify)),
    )


def stand(work: UnitOfWork, plan: SetPlan, jobs: Sequence[Job] = ()) -> Standing:
    """Read what there is for a plan.

    Args:
        work: the transaction to read in.
        plan: the question.
        jobs: those that its query has waited for; their results say which modules failed.

    Raises:
        NotScorableError: a module or the dataset went meanwhile.
    """
    digests = sorted({digest for each in plan.candidates for digest in each.chain})
    modules, dataset = work.modules.of_digests(digests), work.datasets.get(plan.task.dataset, owner=None)
    if len(modules) < len(digests) or dataset is None:
        raise NotScorableError("a module or the dataset of this question was deleted meanwhile; ask again")
    reasons = dict(_reasons(work, plan, modules, jobs))
    sound = tuple(sorted((c for c in plan.candidates if c.ref not in reasons), key=lambda each: each.chain))
    if len(sound) < 2:
        return Standing(modules, dataset, sound, reasons, None, None)
    unverified = {digest for each in sound for digest in each.chain if not modules[digest].verification.verified}
    share = joint_work(plan, sound, verify=unverified)
    kept = None if unverified else work.statistics.get([joint_key(share)]).get(joint_key(share))
    return Standing(modules, dataset, sound, reasons, share, kept)


def rests_on_jobs(work: UnitOfWork, plan: SetPlan, jobs: Sequence[Job]) -> bool:
    """Whether candidates are left out only because these jobs could not run them, of which nothing is kept.

    Nobody could look at such a module then; another look may find nothing wrong with it.

    Raises:
        NotScorableError: as `stand`.
    """
    return stand(work, plan, jobs).reasons != stand(work, plan).reasons


def _reasons(
    work: UnitOfWork, plan: SetPlan, modules: Mapping[Digest, PublishedModule], jobs: Sequence[Job]
) -> Iterator[tuple[str, str]]:
    """Why candidates cannot be scored: workers refused them, or could not run them on these examples."""
    told = {
        failure.module: failure.reason
        for job in jobs
        if isinstance(job.result, JointResult)
        for failure in job.result.failures
    }
    share = joint_work(plan, plan.candidates)
    keys = {each.ref: failure_key(share, each.chain) for each in plan.candidates}
    kept = work.statistics.get(list(keys.values()))
    for each in plan.candidates:
        refused = next((modules[part] for part in each.chain if modules[part].verification.refused), None)
        before = kept.get(keys[each.ref])
        if refused is not None:
            yield each.ref, refusal(refused)
        elif before is not None and before.blob is None:
            yield each.ref, before.failure or "no reason was given"
        elif each.module in told:
            yield each.ref, told[each.module]
