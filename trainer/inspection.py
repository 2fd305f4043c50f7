"""The inside of a network: statistics of the features at every block boundary, from one pass over the images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

from kernel_methods.accumulate import Accumulator, ShuffledAccumulator
from kernel_methods.evidence import Evidence
from kernel_methods.feature_maps import feature_map
from kernel_methods.kernels import pooled_features
from kernel_methods.shuffles import SUM_BYTES, shuffle_count
from kernel_methods.statistics import TaskStatistics
from registry.architectures.contracts import TensorType
from registry.dataset_file import LabelledImages
from registry.errors import JobFailedError
from registry.manifest import FeatureMap, Role
from registry.networks.embed import forward
from registry.training_plan import default_pooling
from registry.work import ScoreWork
from trainer.data import Integers, normalise
from trainer.devices import Placement
from trainer.loaded import LoadedModule
from trainer.progress import Report, Tracker
from trainer.readout import ReadOutTally
from trainer.scoring import ROWS_AT_ONCE, STATISTICS_BYTES, deal, shuffle_labels
from trainer.sections import Section

MOST_FEATURES = 4096
"""A module whose own feature map has more is looked at through a coarser pooling."""

IMAGE_SIDE = 16
"""Pixels a side at most of the images that the first module is compared with."""


@dataclass(frozen=True, slots=True)
class View:
    """How the outputs at a boundary are looked at: their shape, and the feature map; None for the images themselves."""

    shape: tuple[int, ...]
    feature_map: FeatureMap | None
    features: int

    @property
    def pooling(self) -> str:
        """Name of the pooling."""
        if self.feature_map is not None:
            return self.feature_map.pooling
        grid = _image_grid(self.shape)
        return "none" if grid == self.shape[1:] else f"average-{grid[0]}x{grid[1]}"

    def look(self, outputs: Tensor) -> Tensor:
        """Features of outputs: shape (n, ...) to (n, d)."""
        if self.feature_map is None:
            return nnf.adaptive_avg_pool2d(outputs.float(), _image_grid(self.shape)).flatten(start_dim=1)
        phi = self.feature_map
        return feature_map(_channels_first(outputs).float(), activation=phi.activation, pooling=phi.pooling)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What one pass leaves behind: of each boundary, the images first, a view and evidence; and the read-out's tally.

    The last boundary of an output module has no evidence: its outputs are no features.
    """

    views: tuple[View, ...]
    evidence: tuple[Evidence, ...]
    read_out: ReadOutTally | None


@dataclass(slots=True)
class _Tally:
    """What one boundary has come to so far."""

    view: View
    classes: int
    device: torch.device
    shuffled: ShuffledAccumulator | None = None
    shards: list[TaskStatistics] = field(default_factory=list)
    sums: Accumulator = field(init=False)
    finite: Tensor = field(init=False)

    def __post_init__(self) -> None:
        count = shuffle_count(classes=self.classes, dimensions=self.view.features)
        if count:
            self.shuffled = ShuffledAccumulator(count, self.classes, self.view.features, device=self.device)
        self.finite = torch.tensor(data=True, device=self.device)
        self._begin_shard()

    def _begin_shard(self) -> None:
        self.sums = Accumulator(self.classes, self.view.features, device=self.device)

    def add(self, outputs: Tensor, labels: Tensor, shuffled: Tensor) -> Tensor:
        """Add a batch; outputs whose norms float32 cannot hold have no unit vectors.

        Args:
            outputs: shape (n, ...).
            labels: shape (n,).
            shuffled: labels under each shuffle, more than are needed. Shape (P, n).

        Returns:
            The features, shape (n, d).
        """
        self.finite &= torch.isfinite(torch.linalg.vector_norm(outputs.float().flatten(start_dim=1), dim=1)).all()
        features = self.view.look(outputs)
        self.sums.add(features, labels)
        if self.shuffled is not None:
            self.shuffled.add(features, shuffled[: self.shuffled.shuffles])
        return features

    def end_shard(self, where: str) -> None:
        """Keep the sums as a shard's statistics. Raises JobFailedError where they are no finite numbers."""
        if not bool(self.finite):
            wrong = "are not finite on these images, or too large for the norm of a float32 vector"
            raise JobFailedError(f"the outputs of {where} {wrong}; give the module smaller weights")
        self.shards.append(self.sums.finish())
        self._begin_shard()

    def result(self) -> Evidence:
        """All shards, and the shuffles beside them."""
        return Evidence(tuple(self.shards), None if self.shuffled is None else self.shuffled.finish())


@dataclass(frozen=True, slots=True)
class Inspector:
    """Runs a pipeline, section by section, over a task's images.

    Args:
        modules: the input module first; they fit, one after the other.
        sections: from `sections_of`.
        data: images as the input module wants them, labels, names of the classes.
        work: number of examples and shards, and the seed.
        placement: where to run, in float32.
    """

    modules: Sequence[LoadedModule]
    sections: Sequence[Section]
    data: LabelledImages
    work: ScoreWork
    placement: Placement

    def gather(self, report: Report) -> Gathered:
        """Statistics of every boundary; one pass, or more where they take over 1 GiB together.

        Args:
            report: told how far it is.

        Raises:
            JobFailedError: fewer than four examples, or outputs that are no finite numbers.
        """
        views, shards, read_out = self._views(), deal(self.data.labels, self.work), self._read_out()
        groups = self._groups(views)
        total = len(groups) * sum(map(len, shards))
        tracker = Tracker(total=total, report=report, should_stop=lambda: False)
        evidence: list[Evidence] = []
        for group in groups:
            tallies = {place: _Tally(views[place], len(self.data.classes), self.placement.device) for place in group}
            heard = read_out if group is groups[-1] else None
            self._pass(tallies, shards, read_out=heard, tracker=tracker)
            evidence += [tallies[place].result() for place in group]
        return Gathered(views, tuple(evidence), read_out)

    def _groups(self, views: Sequence[View]) -> list[list[int]]:
        """Boundaries in groups whose statistics fit into memory together, at least one each."""
        groups: list[list[int]] = []
        held = 0
        for place, view in enumerate(views):
            size = 8 * self.work.shards * view.features**2 + SUM_BYTES
            if not groups or held + size > STATISTICS_BYTES:
                groups.append([])
                held = 0
            groups[-1].append(place)
            held += size
        return groups

    def _read_out(self) -> ReadOutTally | None:
        """A tally for an output module that names the very classes of the task; else None."""
        labels, classes = self.modules[-1].manifest.labels, self.data.classes
        if labels is None or set(labels) != set(classes):
            return None
        return ReadOutTally(order=[labels.index(name) for name in classes], device=self.placement.device)

    def _views(self) -> tuple[View, ...]:
        """How each boundary is looked at, found by running one image."""
        images = self._images(np.zeros(1, np.int64))
        shape = tuple(images.shape[1:])
        views = [View(shape, None, shape[0] * int(np.prod(_image_grid(shape))))]
        outputs = self._inputs(images)
        for section in self.sections:
            outputs = forward(section.network, outputs)
            if not self._is_last_of_output(section):
                views.append(self._view(section, tuple(outputs.shape[1:])))
        return tuple(views)

    def _view(self, section: Section, shape: tuple[int, ...]) -> View:
        """The module's own feature map at its end, and the same with the pooling that suits the shape elsewhere."""
        module = self.modules[section.module]
        if module.manifest.feature_map is None:
            module = self.modules[section.module - 1]
        own, flat = module.feature_map, _channels_first_shape(shape)
        if section.ends_module and len(shape) == 3 and pooled_features(flat, own.pooling) <= MOST_FEATURES:
            return View(shape, own, pooled_features(flat, own.pooling))
        pooling = default_pooling(TensorType(shape=flat)) if len(flat) == 3 else "none"
        return View(shape, own.model_copy(update={"pooling": pooling}), pooled_features(flat, pooling))

    def _is_last_of_output(self, section: Section) -> bool:
        return section.ends_module and self.modules[section.module].manifest.role is Role.OUTPUT

    def _pass(
        self,
        tallies: dict[int, _Tally],
        shards: Sequence[Integers],
        *,
        read_out: ReadOutTally | None,
        tracker: Tracker,
    ) -> None:
        """Add all shards to the tallies."""
        shuffled = shuffle_labels(self.data.labels, np.concatenate(shards), seed=self.work.seed)
        for shard in shards:
            for start in range(0, len(shard), ROWS_AT_ONCE):
                rows = shard[start : start + ROWS_AT_ONCE]
                self._batch(rows, shuffled, tallies=tallies, read_out=read_out)
                tracker.advance(len(rows), stage="running")
            for place, tally in tallies.items():
                tally.end_shard(self._place_name(place))
            if read_out is not None:
                read_out.end_shard()

    def _batch(
        self, rows: Integers, shuffled: Integers, *, tallies: dict[int, _Tally], read_out: ReadOutTally | None
    ) -> None:
        """Run one batch through all sections."""
        labels = torch.from_numpy(self.data.labels[rows]).to(self.placement.device)
        dealt = torch.from_numpy(shuffled[:, rows]).to(self.placement.device)
        features = None
        for place, outputs in enumerate(self._outputs(rows)):
            if place in tallies:
                features = tallies[place].add(outputs, labels, dealt)
        if read_out is not None and features is not None:
            read_out.add(features, outputs, labels)

    def _outputs(self, rows: Integers) -> Iterator[Tensor]:
        """The images, then the outputs at every boundary."""
        images = self._images(rows)
        yield images
        outputs = self._inputs(images)
        for section in self.sections:
            outputs = forward(section.network, outputs)
            yield outputs

    def _images(self, rows: Integers) -> Tensor:
        """Images on the device. Shape (n, c, h, w), uint8."""
        return self.placement.place_images(torch.from_numpy(self.data.images[rows].transpose(0, 3, 1, 2).copy()))

    def _inputs(self, images: Tensor) -> Tensor:
        """Images as the input module wants them."""
        wanted = self.modules[0].preprocessing
        return normalise(images, mean=wanted.mean, std=wanted.std)

    def _place_name(self, place: int) -> str:
        """A boundary in words."""
        if place == 0:
            return "the images"
        section = self.sections[place - 1]
        return f"block {section.block} ({section.what}) of module {section.module + 1}"


def _image_grid(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width to which images of shape (c, h, w) are averaged."""
    return min(shape[1], IMAGE_SIDE), min(shape[2], IMAGE_SIDE)


def _channels_first(outputs: Tensor) -> Tensor:
    """Rows of tokens (n, t, d) as images (n, d, t, 1), so that pooling is over tokens; all else as it is."""
    return outputs.transpose(1, 2).unsqueeze(3) if outputs.ndim == 3 else outputs


def _channels_first_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The same for a shape without the batch."""
    return (shape[1], shape[0], 1) if len(shape) == 2 else shape
