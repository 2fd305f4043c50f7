"""Cards: what the kernel scores of every choice or merge of a task's classes need, without the features' dimensions.

Every kernel score is made of inner products between class sums S_c and class moments M_c, so a module on a data set
has a card of C x C numbers (C x C x C for the centred score) from which the score of any subtask is exact: each group
of classes one class, the other classes left out. All 45 pairs of ten classes take about as long as one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np

from kernel_methods.card_centring import Centring, block, frobenius_products
from kernel_methods.kernel_sums import CentredSums, KernelSums, centred_scores, check_answerable, kernel_scores
from kernel_methods.kernels import ScoreName, check_kernel_range
from kernel_methods.packing import Packed, bytes_of, check_packed, read_tensors
from kernel_methods.rows import symmetric
from kernel_methods.statistics import Floats, Integers, TaskStatistics, check_groups

MOST_CENTRED_CLASSES = 128
"""A card of more classes leaves the C^3 numbers of the centred score out; of so many, they are 17 MB."""

Groups = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """The kernel scores of every subtask of a (module, data) pair: exact, and without a pass over the features.

    Args:
        counts: examples of each class, zero rows included. Shape (C,), int64.
        zeros: examples of each class whose feature vector is zero. Shape (C,), int64.
        class_gram: inner products of the class sums. Shape (C, C).
        moment_products: <M_c, M_e>_F of the class moments. Shape (C, C).
        centring: what the centred score needs; None for more than 128 classes.
    """

    counts: Integers
    zeros: Integers
    class_gram: Floats
    moment_products: Floats
    centring: Centring | None

    @property
    def classes(self) -> int:
        """Number of classes C, those without examples included."""
        return len(self.counts)

    @classmethod
    def of(cls, stats: TaskStatistics) -> Self:
        """The card of statistics; takes about C^2 d^2 operations and a copy of the class moments.

        Raises:
            ValueError: the statistics were kept without class moments.
        """
        moments = stats.class_moments
        if moments is None:
            raise ValueError("a card needs class moments: keep the statistics with class_moments=True")
        few = stats.classes <= MOST_CENTRED_CLASSES
        return cls(
            counts=stats.counts,
            zeros=stats.zeros,
            class_gram=symmetric(stats.class_sums @ stats.class_sums.T),
            moment_products=frobenius_products(moments),
            centring=Centring.of(stats, moments) if few else None,
        )

    def alignment(self, groups: Groups, *, k_min: float, k_max: float) -> float:
        """`alignment.alignment` of the subtask of these groups; see `score`."""
        return self.score("alignment", groups, k_min=k_min, k_max=k_max)

    def upper_triangle_alignment(self, groups: Groups, *, k_min: float, k_max: float) -> float:
        """`alignment.upper_triangle_alignment` of the subtask of these groups; see `score`."""
        return self.score("upper_triangle_alignment", groups, k_min=k_min, k_max=k_max)

    def negative_mean_squared_error(self, groups: Groups, *, k_min: float, k_max: float) -> float:
        """`alignment.negative_mean_squared_error` of the subtask of these groups; see `score`."""
        return self.score("negative_mean_squared_error", groups, k_min=k_min, k_max=k_max)

    def raw(self, groups: Groups, *, k_min: float, k_max: float) -> float:
        """`alignment.raw` of the subtask of these groups; see `score`."""
        return self.score("raw", groups, k_min=k_min, k_max=k_max)

    def centred_alignment(self, groups: Groups) -> float:
        """`alignment.centred_alignment`, the debiased one, of the subtask of these groups; see `score`."""
        return self.score("centred_alignment", groups, k_min=0.0, k_max=1.0)

    def score(self, name: ScoreName, groups: Groups, *, k_min: float, k_max: float) -> float:
        """The score of that name of a subtask, as from the statistics of `TaskStatistics.merge_classes`.

        Args:
            name: which score.
            groups: class indices of each class of the subtask; classes may be left out.
            k_min: ideal kernel value of a different-class pair.
            k_max: ideal kernel value of a same-class pair.

        Returns:
            As the function of that name in `alignment`; larger is better.

        Raises:
            ValueError: a group is empty, a class is unknown or named twice, ``k_min >= k_max``, the score is
                undefined for the subtask, or it is the centred one and there are more than 128 classes.
        """
        check_groups(groups, classes=self.classes)
        check_kernel_range(k_min=k_min, k_max=k_max)
        chosen = np.concatenate([np.asarray(group, np.int64) for group in groups])
        owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        members = (owner == np.arange(len(groups))[:, None]).astype(np.float64)
        check_answerable(name, members @ self.counts[chosen], k_min=k_min, k_max=k_max)
        return float(self._scores(name, chosen, members, k_min=k_min, k_max=k_max))

    def pairs(self, name: ScoreName, *, k_min: float, k_max: float) -> Floats:
        """The score of telling every class from every other, all C (C - 1) / 2 pairs at once.

        Args:
            name: which score.
            k_min: ideal kernel value of a different-class pair.
            k_max: ideal kernel value of a same-class pair.

        Returns:
            Shape (C, C), symmetric; NaN on the diagonal and where the score is undefined. Larger is better.

        Raises:
            ValueError: ``k_min >= k_max``, or the score is the centred one and there are more than 128 classes.
        """
        check_kernel_range(k_min=k_min, k_max=k_max)
        chosen = np.array(list(combinations(range(self.classes), 2)), dtype=np.int64).reshape(-1, 2)
        matrix = np.full((self.classes, self.classes), np.nan)
        one, other = chosen.T
        matrix[one, other] = self._scores(name, chosen, np.eye(2), k_min=k_min, k_max=k_max)
        matrix[other, one] = matrix[one, other]
        return matrix

    def to_bytes(self) -> bytes:
        """One safetensors blob of this card; equal cards give equal bytes."""
        tensors: dict[str, Packed] = {
            "counts": self.counts,
            "zeros": self.zeros,
            "class_gram": self.class_gram,
            "moment_products": self.moment_products,
        }
        if self.centring is not None:
            tensors["row_gram"] = self.centring.row_gram
            tensors["shifted_products"] = self.centring.moment_products
            tensors["triples"] = self.centring.triples
        return bytes_of(tensors)

    @classmethod
    def from_bytes(cls, data: bytes, *, limit_bytes: int) -> "Card":
        """Read what `to_bytes` wrote; for cards that this zoo made, for no test tells a likely card from a lie.

        Raises:
            ValueError: ``data`` is over the limit or no such blob, its shapes do not belong together, a number is
                not finite, or zero rows outnumber the examples of a class.
        """
        tensors = read_tensors(data, limit_bytes=limit_bytes)
        check_packed(tensors, _shapes(tensors))
        counts, zeros = tensors["counts"].astype(np.int64), tensors["zeros"].astype(np.int64)
        if zeros.min() < 0 or np.any(zeros > counts):
            raise ValueError("need 0 <= zeros <= counts in every class")
        return cls(
            counts=counts,
            zeros=zeros,
            class_gram=tensors["class_gram"].astype(np.float64),
            moment_products=tensors["moment_products"].astype(np.float64),
            centring=_centring_of(tensors),
        )

    def _scores(self, name: ScoreName, chosen: Integers, members: Floats, *, k_min: float, k_max: float) -> Floats:
        """Scores of subtasks of k classes each: ``chosen`` (..., k), and which of them form a group, (G, k)."""
        if name == "centred_alignment":
            return centred_scores(self._centred_sums(chosen, members))
        return kernel_scores(name, self._kernel_sums(chosen, members), k_min=k_min, k_max=k_max)

    def _kernel_sums(self, chosen: Integers, members: Floats) -> KernelSums:
        gram = block(self.class_gram, chosen)
        return KernelSums(
            counts=self.counts[chosen] @ members.T,
            units=self._units[chosen].sum(axis=-1),
            same=(gram * (members.T @ members)).sum(axis=(-2, -1)),
            everything=gram.sum(axis=(-2, -1)),
            gram=block(self.moment_products, chosen).sum(axis=(-2, -1)),
        )

    def _centred_sums(self, chosen: Integers, members: Floats) -> CentredSums:
        if self.centring is None:
            raise ValueError(
                f"a card of {self.classes} classes holds no centred score, {MOST_CENTRED_CLASSES} are the most: "
                "merge the classes of the statistics and take centred_alignment"
            )
        counts, units = self.counts[chosen] @ members.T, self._units[chosen] @ members.T
        return self.centring.sums(chosen, members, counts=counts, units=units)

    @property
    def _units(self) -> Floats:
        return (self.counts - self.zeros).astype(np.float64)


def _shapes(tensors: Mapping[str, Packed]) -> dict[str, tuple[int, ...]]:
    classes = len(tensors["counts"]) if "counts" in tensors else 0
    square = (classes, classes)
    shapes: dict[str, tuple[int, ...]] = {
        "counts": (classes,),
        "zeros": (classes,),
        "class_gram": square,
        "moment_products": square,
    }
    if classes > MOST_CENTRED_CLASSES:
        return shapes
    rows = classes + 1
    return {**shapes, "row_gram": (rows, rows), "shifted_products": square, "triples": (rows, classes, rows)}


def _centring_of(tensors: Mapping[str, Packed]) -> Centring | None:
    if "triples" not in tensors:
        return None
    return Centring(*(tensors[name].astype(np.float64) for name in ("row_gram", "shifted_products", "triples")))
