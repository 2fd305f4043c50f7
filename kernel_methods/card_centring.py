"""The centred half of a card: sums over the doubly centred kernel of every subtask, from C x C x C numbers.

Centring costs digits where all features point the same way, so what it needs is kept of features from which the mean
mu of all examples was taken: with S'_c = S_c - n_c mu, M'_c = M_c - S_c mu' - mu S_c' + n_c mu mu', and the rows
R = (S'_1, ..., S'_C, mu), these are R R', the products <M'_c, M'_e>_F and R M'_e R' for every class e. The mean feature
of a subtask is mu plus a small step m that is a combination of the rows, and so is every class sum: what `centring`
takes from (d, d) matrices follows by sums of these numbers.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from kernel_methods.kernel_sums import CentredSums
from kernel_methods.rows import symmetric
from kernel_methods.statistics import Floats, Integers, TaskStatistics


@dataclass(frozen=True, slots=True, eq=False)
class Centring:
    """What the centred score needs; the rows are the C class sums of features less their mean, and that mean.

    Args:
        row_gram: inner products of the rows. Shape (C + 1, C + 1).
        moment_products: <M'_c, M'_e>_F. Shape (C, C).
        triples: products of the rows through the moment of every class e, R M'_e R'. Shape (C + 1, C, C + 1).
    """

    row_gram: Floats
    moment_products: Floats
    triples: Floats

    @classmethod
    def of(cls, stats: TaskStatistics, moments: Floats) -> Self:
        """From statistics and their class moments (C, d, d)."""
        counts = stats.counts.astype(np.float64)
        mean = stats.class_sums.sum(axis=0) / max(1, stats.examples)
        rows = np.vstack([stats.class_sums - counts[:, None] * mean, mean])
        shifted = np.empty_like(moments)
        for moment, sums, count, into in zip(moments, stats.class_sums, counts, shifted, strict=True):
            across = np.outer(sums - 0.5 * count * mean, mean)
            np.subtract(moment, across + across.T, out=into)
        triples = np.stack([rows @ moment @ rows.T for moment in shifted], axis=1)
        return cls(symmetric(rows @ rows.T), frobenius_products(shifted), triples)

    def sums(self, chosen: Integers, members: Floats, *, counts: Floats, units: Floats) -> CentredSums:
        """Sums over the centred kernel of subtasks of k classes in G groups.

        Args:
            chosen: the classes of each subtask. Shape (..., k).
            members: which of them form a group, as zeros and ones. Shape (G, k).
            counts: examples of each group. Shape (..., G).
            units: examples of each group that are not zero rows. Shape (..., G).
        """
        rows = np.concatenate([chosen, np.full((*chosen.shape[:-1], 1), len(self.row_gram) - 1)], axis=-1)
        part = _Subtask(
            examples=np.maximum(1.0, counts.sum(axis=-1)),
            row_gram=block(self.row_gram, rows),
            through=self._through(chosen, rows),
            products=block(self.moment_products, chosen).sum(axis=(-2, -1)),
        )
        sums = np.pad(members, ((0, 0), (0, 1))) - counts[..., None] * part.step[..., None, :]
        along = (sums @ part.row_gram @ part.mean[..., None])[..., 0]
        return CentredSums(
            counts=counts,
            energy=((sums @ part.row_gram) * sums).sum(axis=(-2, -1)),
            class_traces=units - counts * part.length[..., None] - 2.0 * along,
            squared_diagonal=part.squared_diagonal(units.sum(axis=-1)),
            squared_norm=part.squared_norm(),
        )

    def _through(self, chosen: Integers, rows: Integers) -> Floats:
        """R M' R' of a subtask, over its own rows: shapes (..., k) and (..., k + 1) to (..., k + 1, k + 1)."""
        places = rows[..., :, None, None], chosen[..., None, :, None], rows[..., None, None, :]
        return np.asarray(self.triples[places].sum(axis=-2))


@dataclass(frozen=True, slots=True, eq=False)
class _Subtask:
    """One choice of k classes, or many (...): vectors here are combinations of its k + 1 rows.

    Args:
        examples: n. Shape (...).
        row_gram: inner products of the rows. Shape (..., k + 1, k + 1).
        through: R M' R', with the moment M' of all its examples. Shape (..., k + 1, k + 1).
        products: ||M'||_F^2. Shape (...).
    """

    examples: Floats
    row_gram: Floats
    through: Floats
    products: Floats

    @property
    def step(self) -> Floats:
        """The subtask's mean feature, less the mean mu of all examples of the card. Shape (..., k + 1)."""
        last = np.arange(self.row_gram.shape[-1]) == self.row_gram.shape[-1] - 1
        return np.where(last, 0.0, self.mean)

    @property
    def mean(self) -> Floats:
        """The subtask's mean feature. Shape (..., k + 1)."""
        weights = np.repeat((1.0 / self.examples)[..., None], self.row_gram.shape[-1], axis=-1)
        weights[..., -1] = 1.0
        return np.asarray(weights)

    @property
    def length(self) -> Floats:
        """Squared norm of the mean feature. Shape (...)."""
        return _form(self.row_gram, self.mean, self.mean)

    def squared_norm(self) -> Floats:
        """||M' - n m m'||_F^2, the squared norm of the centred kernel matrix. Shape (...)."""
        n, step = self.examples, self.step
        return self.products - 2.0 * n * _form(self.through, step, step) + n**2 * _form(self.row_gram, step, step) ** 2

    def squared_diagonal(self, units: Floats) -> Floats:
        """Sum of ||phi - mean||^4, which is (1 - 2 <phi, mean> + length)^2, or length^2 for a zero row. Shape (...)."""
        n, length, along = self.examples, self.length, _form(self.row_gram, self.mean, self.step)
        projected = _form(self.through, self.mean, self.mean) + n * (length - along) * (length + along)
        diagonal = units * (1.0 + length) ** 2 - 4.0 * (1.0 + length) * n * length + 4.0 * projected
        return np.asarray(diagonal + (n - units) * length**2)


def block(matrix: Floats, rows: Integers) -> Floats:
    """The rows and columns of a square matrix that are named: shape (..., k) to (..., k, k)."""
    return np.asarray(matrix[rows[..., :, None], rows[..., None, :]])


def frobenius_products(matrices: Floats) -> Floats:
    """Frobenius inner products of all pairs of matrices: shape (C, d, d) to (C, C)."""
    flat = matrices.reshape(len(matrices), -1)
    return symmetric(flat @ flat.T)


def _form(matrix: Floats, one: Floats, other: Floats) -> Floats:
    """The bilinear form x' A y: shapes (..., k, k), (..., k) and (..., k) to (...)."""
    return np.asarray((one * (matrix @ other[..., None])[..., 0]).sum(axis=-1))
