"""From the statistics of a network's inside to judged boundaries, and to a verdict on which part is at fault."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.cache import digest_of_file
from client.inspections import Boundary, Estimate, InspectedModule, Inspection, InspectionRequest, ReadOut
from kernel_methods.intervals import Interval, LeftOut, difference_of, jackknife_of
from kernel_methods.statistics import TaskStatistics
from registry.architectures.contracts import Link, check_chain
from registry.dataset_formats.reader import DatasetReader
from registry.errors import NotScorableError, PipelineMisfitError
from registry.judging import CONFIDENCE, Judged, judge
from registry.manifest import Role
from registry.names import Digest
from registry.rankings import ScoreOptions
from registry.recipes import TaskSpec
from registry.work import ScoreWork
from trainer.devices import choose_placement
from trainer.inspection import Gathered, Inspector
from trainer.loaded import LoadedModule, load_module
from trainer.measure import mean_kernels
from trainer.progress import Report
from trainer.reading import read_task
from trainer.readout import ReadOutTally
from trainer.sections import Section, sections_of
from trainer.verdict import verdict_of

TRAINED_ALIGNMENT = "centred_alignment"
HELD_OUT = "held-out"


@dataclass(frozen=True, slots=True)
class Part:
    """A module of the pipeline: its name, its bytes' identity, and itself."""

    name: str
    digest: Digest
    loaded: LoadedModule


def inspect(request: InspectionRequest, *, report: Report) -> Inspection:
    """Score every boundary of a pipeline on labelled images, and say which part is at fault.

    Args:
        request: modules, data, and how many images.
        report: told how far it is.

    Raises:
        InvalidModuleFileError, InvalidDatasetError, InvalidTaskError: a file cannot be used; broken images are not
            to be left out.
        PipelineMisfitError: the modules do not fit one after the other.
        NotScorableError, JobFailedError: there are too few images, or outputs are no finite numbers.
    """
    placement = choose_placement("float32")
    files = [(each.name, Path(each.file)) for each in request.modules]
    parts = [Part(name, digest_of_file(path), load_module(path, placement=placement)) for name, path in files]
    _check_fit(parts)
    work = ScoreWork(
        task=TaskSpec(dataset=digest_of_file(Path(request.data)), classes=request.classes),
        chains=(tuple(part.digest for part in parts),),
        examples=request.examples,
        seed=request.seed,
    )
    modules = [part.loaded for part in parts]
    left_out: list[str] = []
    data = read_task(
        Path(request.data),
        work,
        preprocessing=modules[0].preprocessing,
        leave_out_broken=request.leave_out_broken,
        on_left_out=lambda reader: left_out.extend(_left_out(reader)),
    )
    sections = sections_of(modules)
    gathered = Inspector(modules, sections, data, work, placement).gather(report)
    inspection = _inspection(parts, sections, gathered, work=work, classes=data.classes)
    return inspection.model_copy(update={"notes": (*left_out, *inspection.notes)})


def _check_fit(parts: Sequence[Part]) -> None:
    """Raises PipelineMisfitError with every misfit; an output module may be missing."""
    manifests = [(part.name, part.loaded.manifest) for part in parts]
    links: list[Link | None] = [Link(name, each.role.value, each.takes, each.gives) for name, each in manifests]
    if manifests[-1][1].role is not Role.OUTPUT:
        links.append(None)
    faults = check_chain(links)
    if faults:
        raise PipelineMisfitError(f"these modules do not make a pipeline: {faults[0].detail}", faults=faults)


def _inspection(
    parts: Sequence[Part], sections: Sequence[Section], gathered: Gathered, *, work: ScoreWork, classes: tuple[str, ...]
) -> Inspection:
    """Judge all that was gathered."""
    scores = [_Judging(parts, sections, gathered, place) for place in range(len(gathered.views))]
    boundaries = tuple(each.boundary(over=scores[each.place - 1] if each.place else None) for each in scores)
    modules = _modules(parts, scores, classes=classes)
    read_out = None if gathered.read_out is None else _read_out(gathered.read_out)
    return Inspection(
        verdict=verdict_of(modules, boundaries, read_out),
        modules=modules,
        boundaries=boundaries,
        read_out=read_out,
        notes=_notes(parts, modules, work=work, classes=classes),
        classes=classes,
        n=scores[0].judged.n,
        data=work.task.dataset,
        seed=work.seed,
    )


class _Judging:
    """One boundary, judged."""

    def __init__(self, parts: Sequence[Part], sections: Sequence[Section], gathered: Gathered, place: int) -> None:
        self.place = place
        self.section = sections[place - 1] if place else None
        self.part = parts[self.section.module if self.section else 0]
        self._view = gathered.views[place]
        self._phi = self._view.feature_map or self.part.loaded.feature_map
        evidence = gathered.evidence[place]
        self.judged: Judged = judge(evidence, self._phi, ScoreOptions(rank_by="centred_alignment"))
        self._total = evidence.total

    @property
    def left_out(self) -> LeftOut:
        """The score with each shard left out. Raises NotScorableError where that leaves too few images."""
        if self.judged.left_out is None:
            raise NotScorableError(f"{self.judged.n} images are too few for an interval; give more images")
        return self.judged.left_out

    def gain(self, over: "_Judging") -> Estimate:
        """How much more alignment there is here than at another boundary, on the same images."""
        return _estimate(difference_of(self.left_out, over.left_out, level=CONFIDENCE))

    def boundary(self, *, over: "_Judging | None") -> Boundary:
        """What is told of it."""
        kernels = _mean_kernels(self._total)
        return Boundary(
            module=self.part.name,
            block=self.section.block if self.section else 0,
            what=self.section.what if self.section else "the images",
            ends_module=self.section is not None and self.section.ends_module,
            shape=self._view.shape,
            activation="none" if self._view.feature_map is None else self._phi.activation,
            pooling=self._view.pooling,
            features=self._view.features,
            dead_features=int(np.count_nonzero(np.diagonal(self._total.second_moment) == 0.0)),
            zero_images=self.judged.zeros,
            centred_alignment=_estimate(jackknife_of(self.left_out, level=CONFIDENCE)),
            chance=self.judged.chance,
            p_value=self.judged.p_value,
            alignment=self.judged.panel["alignment"],
            upper_triangle_alignment=self.judged.panel["upper_triangle_alignment"],
            same_class_kernel=kernels[0],
            different_class_kernel=kernels[1],
            gain=None if over is None else self.gain(over),
        )


def _mean_kernels(total: TaskStatistics) -> tuple[float | None, float | None]:
    """Mean kernel value of same-class and of different-class pairs; None where a kind of pair is missing."""
    try:
        return mean_kernels(total)
    except ValueError:
        return None, None


def _modules(
    parts: Sequence[Part], scores: Sequence[_Judging], *, classes: tuple[str, ...]
) -> tuple[InspectedModule, ...]:
    """Every module with its gain over what goes into it."""
    ends = {each.part.name: each for each in scores if each.section is not None and each.section.ends_module}
    told, below = [], scores[0]
    for index, part in enumerate(parts):
        end = ends.get(part.name)
        told.append(
            InspectedModule(
                name=part.name,
                role=part.loaded.manifest.role,
                digest=part.digest,
                stands_on_its_own=part.loaded.manifest.below in (None, parts[index - 1].digest),
                gain=None if end is None else end.gain(below),
                trained_alignment=_trained_alignment(part.loaded, classes=classes),
            )
        )
        below = end or below
    return tuple(told)


def _trained_alignment(module: LoadedModule, *, classes: tuple[str, ...]) -> float | None:
    """What the module's file says it reached on images held out from training, if on the same classes."""
    task = module.manifest.task
    if task is None or {each.label for each in task.classes} != set(classes):
        return None
    held_out = (each for each in module.manifest.metrics if each.on == HELD_OUT)
    return next((each.value for each in held_out if each.name == TRAINED_ALIGNMENT), None)


def _read_out(tally: ReadOutTally) -> ReadOut:
    """The output module's accuracy and likelihood, and what class means reach."""
    means = tally.class_means_accuracy()
    return ReadOut(
        accuracy=_estimate(jackknife_of(tally.accuracy(), level=CONFIDENCE)),
        mean_log_likelihood=_estimate(jackknife_of(tally.mean_log_likelihood(), level=CONFIDENCE)),
        class_means_accuracy=means.total,
        lead=_estimate(difference_of(tally.accuracy_beside_it(), means, level=CONFIDENCE)),
    )


def _estimate(interval: Interval) -> Estimate:
    return Estimate(value=interval.estimate, low=interval.low, high=interval.high)


def _left_out(reader: DatasetReader) -> Iterator[str]:
    """A note on what was left out of the images, if anything was."""
    if reader.left_out_count:
        first = reader.left_out[0]
        yield f"{reader.left_out_count} of the items were left out, the first of them {first.item}: {first.reason}"


def _notes(
    parts: Sequence[Part], modules: Sequence[InspectedModule], *, work: ScoreWork, classes: tuple[str, ...]
) -> tuple[str, ...]:
    """What a reader must know before believing the numbers."""
    notes = [
        f"{module.name} was trained on another module than the one it stands on here"
        for module in modules
        if not module.stands_on_its_own
    ]
    tasks = [part.loaded.manifest.task for part in parts]
    if any(task is not None and task.data == work.task.dataset for task in tasks):
        notes.append("modules were trained on these very data; images that none of them saw tell more")
    labels = parts[-1].loaded.manifest.labels
    if labels is not None and set(labels) != set(classes):
        notes.append(
            f"{parts[-1].name} tells {', '.join(labels[:5])}, not {', '.join(classes[:5])}: its read-out is not judged"
        )
    return tuple(notes)
