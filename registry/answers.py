"""Answers: gather what the records know of a plan, judge its statistics, and write the answer down."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache, partial, reduce
from itertools import groupby
from operator import add, itemgetter
from typing import TypeAlias

import numpy as np

from kernel_methods.evidence import Evidence
from kernel_methods.kernels import pooled_features
from registry.errors import CorruptBlobError, NotFoundError, NotScorableError
from registry.findings import Findings
from registry.halving import Contender, cut
from registry.judging import CONFIDENCE, FEW_EXAMPLES, Judged, decide, judge, ranks
from registry.manifest import FeatureMap, Preprocessing
from registry.map_answers import map_answer
from registry.measured_panel import Scored, why_unmeasured
from registry.names import Digest
from registry.plans import Plan, PlannedCell, PlannedTask
from registry.pooling import pooled
from registry.ports import BlobStore
from registry.rankings import (
    POOLED,
    SCORER,
    Decision,
    ModuleSets,
    NotScored,
    RankedModule,
    Ranking,
    RankingRow,
    Reusability,
    ScoreFields,
    ScoreOptions,
    TaskMap,
)
from registry.records import KeptStatistics, PublishedModule
from registry.rounds import Entry, after_cut, goes_on, rounds_told, stop_warning
from registry.same_data import data_warnings
from registry.standings import ScoredTask, scores_by_data

Answer = Ranking | Reusability | TaskMap
Elsewhere: TypeAlias = Callable[[Digest], Mapping[ScoredTask, float]]
"""Gives a module's scores on other tasks; of each they are looked for once."""

JUDGED_REMEMBERED = 10_000


class StatisticsLostError(NotScorableError):
    """Kept statistics are damaged or gone; they can be made again."""

    def __init__(self, key: Digest) -> None:
        """Args: key: what they were kept under."""
        super().__init__(f"the statistics {key} are damaged or gone; ask again to have them made again")
        self.key = key


class Answerer:
    """Turns a plan and its findings into an answer; the same two give the same bytes.

    Judged scores are remembered: they are a few numbers, and reading and judging statistics is not cheap.
    """

    def __init__(self, blobs: BlobStore) -> None:
        """Args: blobs: where statistics are."""
        self._blobs = blobs
        self._judging = threading.Lock()
        self._judged = lru_cache(maxsize=JUDGED_REMEMBERED)(self._judge_statistics)

    def answer(self, plan: Plan, findings: Findings) -> Answer:
        """The answer. Raises NotScorableError when a score is not defined on the task."""
        match plan.kind:
            case "ranking":
                return self.ranking(plan, findings, ended=True)
            case "reusability":
                ranking = self.ranking(plan, findings, ended=True)
                parts = {**dict(ranking), **dict(ranking.ranking[0])}
                return Reusability.model_validate({name: parts[name] for name in Reusability.model_fields})
            case "map":
                return self._map(plan, findings)

    def ranking(self, plan: Plan, findings: Findings, *, ended: bool = False) -> Ranking:
        """Modules whose statistics are there, best first. Raises NotScorableError when none of them can be scored.

        Whoever was scored on fewer slices of the examples stands behind those that were scored on more. In rounds the
        whole panel is told of those that came to the end: the others are judged by the score that ranks.
        """
        there = [entry for entry in findings.entries if findings.of(entry)]
        sound = [entry for entry in there if findings.failure(entry) is None]
        elsewhere = cache(partial(_scores_elsewhere, plan, findings))
        judged = _pooled(plan, [(entry, self._judge(plan, entry, findings)) for entry in sound], findings, elsewhere)
        not_scored = tuple(
            NotScored(module=RankedModule(ref=entry.cell.ref, digest=entry.cell.module), reason=reason)
            for entry in there
            if (reason := findings.failure(entry)) is not None
        )
        if not judged:
            raise NotScorableError(f"no module could be scored: {_reasons(not_scored)}")
        judged.sort(key=lambda pair: (-len(findings.of(pair[0])), -pair[1].score, pair[0].cell.ref))
        given = _ranks([(len(findings.of(entry)), one) for entry, one in judged])
        shown = [
            (entry, self._whole(plan, entry, one, findings) if ended and goes_on(plan, entry.cell) else one)
            for entry, one in judged[: plan.top]
        ]
        rows = tuple(
            RankingRow(rank=rank, own_weight=one.own_weight, **dict(_fields(plan, entry, one, findings, elsewhere)))
            for rank, (entry, one) in zip(given[: plan.top], shown, strict=True)
        )
        return _ranking(plan, rows, decide([one for _, one in judged], given), not_scored)

    def next_round(self, plan: Plan, findings: Findings) -> Plan | None:
        """The plan in its next round, with who goes on; None where nobody is left to.

        Raises:
            StatisticsLostError: statistics of the present round are damaged or gone.
        """
        present = [place for place, entry in enumerate(findings.entries) if goes_on(plan, entry.cell)]
        sound = [place for place in present if findings.failure(findings.entries[place]) is None]
        if not sound:
            return None
        contenders = [self._contender(plan, findings.entries[place], findings) for place in sound]
        return after_cut(plan, cut(contenders, top=plan.top), sound)

    def remember(self, plan: Plan, findings: Findings) -> None:
        """Judge what has come of the present round, so that little is left to do when the rest has come.

        Raises:
            StatisticsLostError: statistics are damaged or gone.
        """
        for entry in findings.entries:
            if len(findings.of(entry)) == len(entry.parts) and findings.failure(entry) is None:
                self._contender(plan, entry, findings)

    def _contender(self, plan: Plan, entry: Entry, findings: Findings) -> Contender | None:
        """A module's score and interval; None where so few examples define none."""
        try:
            judged = self._judge(plan, entry, findings)
        except StatisticsLostError:
            raise
        except NotScorableError:
            return None
        return Contender(judged.score, *judged.interval)

    def _judge(self, plan: Plan, entry: Entry, findings: Findings, *, whole: bool = False) -> Judged:
        """One entry's score on all of its slices that are there. Raises NotScorableError, StatisticsLostError.

        In rounds the panel is left out unless the `whole` of it is wanted.
        """
        options = plan.options
        if plan.slices and not whole:
            options = options.model_copy(update={"panel": (options.rank_by,)})
        failure = findings.failure(entry)
        if failure is not None:
            raise NotScorableError(f"{entry.cell.ref} could not be scored: {failure}")
        kept, module = findings.of(entry), findings.modules[entry.cell.module]
        blobs = tuple(each.blob for each in kept if each.blob is not None)
        groups = plan.tasks[entry.cell.task].groups
        with self._judging:
            try:
                return self._judged(blobs, groups, _feature_map(module), options)
            except (NotFoundError, CorruptBlobError) as error:
                raise StatisticsLostError(self._lost_of(kept)) from error
            except ValueError as error:
                raise NotScorableError(f"the statistics of {entry.cell.ref} do not fit together: {error}") from error

    def _whole(self, plan: Plan, entry: Entry, one: Judged, findings: Findings) -> Judged:
        """A judged score with its whole panel."""
        return replace(one, panel=self._judge(plan, entry, findings, whole=True).panel)

    def _lost_of(self, kept: Sequence[KeptStatistics]) -> Digest:
        """The key of the first of these statistics whose bytes cannot be had."""
        for each in kept[:-1]:
            try:
                self._blobs.get(each.blob or Digest(""))
            except (NotFoundError, CorruptBlobError):
                return each.key
        return kept[-1].key

    def _judge_statistics(
        self,
        blobs: tuple[Digest, ...],
        groups: tuple[tuple[int, ...], ...],
        feature_map: FeatureMap,
        options: ScoreOptions,
    ) -> Judged:
        """Read statistics of disjoint slices, add them up, merge the task's classes, and judge."""
        slices = (self._blobs.get(blob) for blob in blobs)
        evidence = reduce(add, (Evidence.from_bytes(data, limit_bytes=len(data)) for data in slices))
        return judge(evidence.merge_classes(groups), feature_map, options)

    def _map(self, plan: Plan, findings: Findings) -> TaskMap:
        """Scores of every source on every target."""
        scores = [self._judge(plan, entry, findings).score for entry in findings.entries]
        return map_answer(plan, scores, findings.modules)


def _ranking(
    plan: Plan, rows: tuple[RankingRow, ...], decision: Decision, not_scored: tuple[NotScored, ...]
) -> Ranking:
    task = plan.tasks[0]
    return Ranking(
        query=plan.query_id,
        rank_by=POOLED if plan.pooled else plan.options.rank_by,
        decision=decision,
        seed=plan.options.seed,
        examples=plan.examples,
        task=task.id,
        data=task.dataset,
        classes=task.classes,
        scorer=SCORER,
        serial=plan.serial,
        candidates=len(plan.cells),
        in_zoo=plan.in_zoo,
        rounds=rounds_told(plan),
        warnings=tuple(_overlooked(plan)),
        ranking=rows,
        not_scored=not_scored,
    )


def _pooled(
    plan: Plan, judged: list[tuple[Entry, Judged]], findings: Findings, elsewhere: Elsewhere
) -> list[tuple[Entry, Judged]]:
    """The same with pooled scores, where the plan says so: those on the same examples together."""
    if not plan.pooled:
        return judged
    found: list[tuple[Entry, Judged]] = []
    by_slices = sorted(((len(findings.of(entry)), entry, one) for entry, one in judged), key=itemgetter(0))
    for _, group in groupby(by_slices, key=itemgetter(0)):
        _, entries, scores = zip(*group, strict=True)
        others = [elsewhere(entry.cell.module) for entry in entries]
        found += zip(entries, pooled(scores, others, plan.options.rank_by), strict=True)
    return found


def _ranks(ordered: Sequence[tuple[int, Judged]]) -> list[int]:
    """Ranks of scores, each with its number of slices: only those on the same examples are compared."""
    given: list[int] = []
    for _, group in groupby(ordered, key=itemgetter(0)):
        above = len(given)
        given += [above + rank for rank in ranks([one for _, one in group])]
    return given


def _reasons(not_scored: Sequence[NotScored]) -> str:
    """The first reasons, for a sentence."""
    return "; ".join(f"{each.module.ref}: {each.reason}" for each in not_scored[:3])


def parse_answer(kind: str, text: str) -> Answer | ModuleSets:
    """An answer as it was written down."""
    models: dict[str, type[Answer | ModuleSets]] = {
        "ranking": Ranking,
        "reusability": Reusability,
        "map": TaskMap,
        "sets": ModuleSets,
    }
    return models[kind].model_validate_json(text)


def _overlooked(plan: Plan) -> Iterator[str]:
    """That not all of a large zoo was looked at."""
    if plan.shortlist is not None and plan.in_zoo is not None and plan.in_zoo > plan.shortlist:
        yield (
            f"{plan.in_zoo - len(plan.cells)} of the zoo's {plan.in_zoo} modules were not looked at: those that were "
            "score best on other data, or are new; name candidates to have others scored"
        )


def _fields(plan: Plan, entry: Entry, judged: Judged, findings: Findings, elsewhere: Elsewhere) -> ScoreFields:
    """One judged score as it is told."""
    cell = entry.cell
    task, kept = plan.tasks[cell.task], findings.of(entry)
    stopped = stop_warning(plan, entry, examples=judged.n, high=judged.interval[1])
    preprocessing = _preprocessing(findings.modules[cell.chain[0]])
    return ScoreFields(
        module=RankedModule(ref=cell.ref, digest=cell.module),
        score=judged.score,
        interval=judged.interval,
        chance=judged.chance,
        p_value=judged.p_value,
        panel=judged.panel,
        static=_mean(elsewhere(cell.module)),
        n=judged.n,
        n_per_class=dict(zip(task.classes, judged.counts, strict=True)),
        preprocessing=preprocessing,
        warnings=(
            *([] if stopped is None else [stopped]),
            *_warnings(findings, cell, task, judged),
            *_unmeasured(plan, cell, judged, findings.modules[cell.module]),
        ),
        cached=all(part.cached for part, _ in zip(entry.parts, kept, strict=False)),
        milliseconds=sum(each.milliseconds for part, each in zip(entry.parts, kept, strict=False) if not part.cached),
    )


def _mean(scores: Mapping[ScoredTask, float]) -> float | None:
    """The mean over all tasks, the same whatever their order; None without any."""
    return float(np.mean([scores[task] for task in sorted(scores)])) if scores else None


def _scores_elsewhere(plan: Plan, findings: Findings, module: Digest) -> Mapping[ScoredTask, float]:
    """A module's scores on other tasks than the ranking's: on other data, or other labels of the same."""
    task = plan.tasks[0]
    return {
        (data, labels): score
        for (data, labels), score in scores_by_data(findings.elsewhere.get(module, ()), plan.options.rank_by).items()
        if data != task.dataset or not set(labels) & set(task.labels)
    }


def _warnings(findings: Findings, cell: PlannedCell, task: PlannedTask, judged: Judged) -> list[str]:
    """What a reader of this score should know."""
    dataset = findings.datasets[task.dataset]
    preprocessing = _preprocessing(findings.modules[cell.chain[0]])
    said = [] if task.noise is None else [task.noise.warning]
    if not dataset.same_shape or dataset.shape[:2] != (preprocessing.height, preprocessing.width):
        size = f"{dataset.shape[0]} x {dataset.shape[1]}" if dataset.same_shape else "different sizes"
        said.append(f"resized: images of {size} to {preprocessing.height} x {preprocessing.width} pixels")
    if dataset.shape[2] != preprocessing.channels:
        said.append(f"colour: images with {dataset.shape[2]} channels turned to {preprocessing.colour}")
    if min(judged.counts) < FEW_EXAMPLES:
        said.append(f"few examples: the smallest class has {min(judged.counts)}")
    said += data_warnings([findings.modules[digest] for digest in cell.chain], dataset)
    if judged.left_out is None:
        said.append("interval unknown: leaving out a part of so few examples leaves too little for a score")
    if judged.smallest_p_value > 1 - CONFIDENCE:
        said.append("too few examples to tell from chance: shuffling their labels has too few outcomes")
    if judged.zeros:
        said.append(f"dead features: {judged.zeros} of {judged.n} examples have a zero feature vector")
    return said


def _unmeasured(plan: Plan, cell: PlannedCell, judged: Judged, module: PublishedModule) -> Iterator[str]:
    """Why parts of the panel that need more than statistics have no value."""
    task = plan.tasks[cell.task]
    scored = Scored(
        examples=judged.n,
        labels=len(task.labels),
        dimensions=pooled_features(module.gives.shape, _feature_map(module).pooling),
        has_head=cell.module in plan.heads,
        noisy=task.noise is not None,
    )
    return why_unmeasured(judged.panel, scored)


def _feature_map(module: PublishedModule) -> FeatureMap:
    if module.feature_map is None:
        raise NotScorableError(f"{module.ref} has no feature map")
    return module.feature_map


def _preprocessing(module: PublishedModule) -> Preprocessing:
    if module.preprocessing is None:
        raise NotScorableError(f"{module.ref} does not say how images become its input")
    return module.preprocessing
