"""Answers to questions about sets: joint statistics read, judged, and written down step by step."""

from collections.abc import Iterator, Sequence

from kernel_methods.evidence import Evidence
from kernel_methods.joint import JointLayout, zero_rows
from registry.answers import StatisticsLostError
from registry.errors import CorruptBlobError, NotFoundError, NotScorableError
from registry.judging import FEW_EXAMPLES, Judged
from registry.manifest import FeatureMap
from registry.names import Digest
from registry.ports import Begin, BlobStore
from registry.rankings import SCORER, ModuleSets, NotScored, RankedModule, SetDecision, SetScore, SetStep
from registry.records import Job, JobStatus, KeptStatistics
from registry.same_data import data_warnings
from registry.set_judging import FoundSets, Joined, JudgedSet, find_sets
from registry.set_plans import SetPlan, Standing, joint_key, stand


class SetAnswerer:
    """Turns a plan and what is kept for it into an answer; the same two give the same bytes."""

    def __init__(self, begin: Begin, blobs: BlobStore) -> None:
        """Everything it needs from outside."""
        self._begin, self._blobs = begin, blobs

    def answer(self, plan: SetPlan, jobs: Sequence[Job]) -> ModuleSets:
        """The answer.

        Raises:
            NotScorableError: fewer than two modules can be scored, the score is undefined on the task, or the job that
                was to bring statistics ended without.
            StatisticsLostError: statistics are gone, or are of other modules than can be scored now; they can be made.
        """
        with self._begin() as work:
            standing = stand(work, plan, jobs)
        if standing.share is None:
            raise NotScorableError(f"fewer than two modules could be scored: {_reasons(plan, standing)}")
        if standing.kept is None:
            if any(job.status is not JobStatus.DONE for job in jobs):
                raise NotScorableError("the joint statistics of these modules did not come; ask again")
            raise StatisticsLostError(joint_key(standing.share))
        evidence = self._read(standing.kept)
        merged = evidence.merge_classes(plan.task.groups)
        layout = JointLayout(tuple(each.features for each in standing.sound))
        joined = Joined(merged, layout, tuple(_feature_map(standing, each.module) for each in standing.sound))
        found = find_sets(joined, rank_by=plan.rank_by, size=plan.size)
        return _told(plan, standing, joined, found, standing.kept)

    def _read(self, kept: KeptStatistics) -> Evidence:
        """Kept joint statistics. Raises StatisticsLostError."""
        try:
            data = self._blobs.get(kept.blob or Digest(""))
            return Evidence.from_bytes(data, limit_bytes=len(data))
        except (NotFoundError, CorruptBlobError) as error:
            raise StatisticsLostError(kept.key) from error


def _told(plan: SetPlan, standing: Standing, joined: Joined, found: FoundSets, kept: KeptStatistics) -> ModuleSets:
    """What was found as it is told."""
    task, refs = plan.task, [RankedModule(ref=each.ref, digest=each.module) for each in standing.sound]
    first = found.steps[0].judged
    steps = (SetStep(**dict(_score(each, refs)), helps=each.helps) for each in found.steps)
    return ModuleSets(
        query=plan.query_id,
        rank_by=plan.rank_by,
        decision=_decision(found),
        seed=plan.seed,
        examples=plan.examples,
        task=task.id,
        data=task.dataset,
        classes=task.classes,
        scorer=SCORER,
        serial=plan.serial,
        size=plan.size,
        candidates=tuple(RankedModule(ref=each.ref, digest=each.module) for each in plan.candidates),
        steps=tuple(steps),
        best=None if found.best is None else _score(found.best, refs),
        searched=found.searched,
        n=first.n,
        n_per_class=dict(zip(task.classes, first.counts, strict=True)),
        warnings=(*plan.warnings, *_warnings(standing, joined, first), *_not_searched(found)),
        not_scored=tuple(
            NotScored(module=RankedModule(ref=each.ref, digest=each.module), reason=standing.reasons[each.ref])
            for each in plan.candidates
            if each.ref in standing.reasons
        ),
        cached=plan.cached,
        milliseconds=0.0 if plan.cached else kept.milliseconds,
    )


def _score(found: JudgedSet, refs: Sequence[RankedModule]) -> SetScore:
    """One set as it is told."""
    judged, gain = found.judged, found.gain
    return SetScore(
        modules=tuple(refs[place] for place in found.members),
        score=judged.score,
        interval=judged.interval,
        chance=judged.chance,
        p_value=judged.p_value,
        gain=None if gain is None else gain.estimate,
        gain_interval=None if gain is None else (gain.low, gain.high),
    )


def _decision(found: FoundSets) -> SetDecision:
    """What follows from the steps."""
    if not found.steps[0].helps:
        return "none_better_than_chance"
    return "set_helps" if len(found.steps) > 1 and found.steps[1].helps else "no_gain_shown"


def _warnings(standing: Standing, joined: Joined, first: Judged) -> Iterator[str]:
    """What a reader of the steps should know."""
    if min(first.counts) < FEW_EXAMPLES:
        yield f"few examples: the smallest class has {min(first.counts)}"
    if first.left_out is None:
        yield "gains unknown: leaving out a part of so few examples leaves too little for a score"
    for each in standing.sound:
        chain = [standing.modules[digest] for digest in each.chain]
        yield from (f"{each.ref}: {warning}" for warning in data_warnings(chain, standing.dataset))
    zeros = zero_rows(joined.evidence.total, joined.layout)
    for each, count in zip(standing.sound, zeros, strict=True):
        if count:
            yield f"dead features: {each.ref} has a zero feature vector for {count} of {first.n} examples"


def _not_searched(found: FoundSets) -> Iterator[str]:
    if not found.searched:
        yield (
            "only sets that grow step by step were looked at: at so many features, every one would take long; name "
            "fewer candidates to have all looked at"
        )


def _feature_map(standing: Standing, module: Digest) -> FeatureMap:
    found = standing.modules[module]
    if found.feature_map is None:
        raise NotScorableError(f"{found.ref} has no feature map")
    return found.feature_map


def _reasons(plan: SetPlan, standing: Standing) -> str:
    """Why candidates cannot be scored, for a sentence."""
    return "; ".join(
        f"{each.ref}: {standing.reasons[each.ref]}" for each in plan.candidates if each.ref in standing.reasons
    )
