"""Statistics of centred features, in which every score becomes the energy of the class sums.

With mu the mean feature, phi' = phi - mu and k'(x, y) = <phi'(x), phi'(y)> is the doubly centred kernel. All
that scores and their chance levels need of k' follows from counts, class sums and the second moment, for
k(x, x) is 1, or 0 for a zero row.
"""

from dataclasses import dataclass

import numpy as np

from kernel_methods.statistics import Floats, TaskStatistics


@dataclass(frozen=True, slots=True, eq=False)
class CentredStatistics:
    """Sums and traces of the doubly centred kernel k' of a task.

    Args:
        counts: examples of each class, n_c, as floats. Shape (C,).
        mean: mean feature mu. Shape (d,).
        second_moment: sum of phi' phi'^T. Shape (d, d).
        energy: sum over classes of the squared norm of the class sum of phi'; equals the sum of k' over
            same-class pairs, the diagonal included.
        class_traces: sum of k'(x, x) over each class. Shape (C,).
        class_projections: sum of <phi', mu> over each class. Shape (C,).
        class_units: examples of each class that are not zero rows, as floats. Shape (C,).
        trace: sum of k'(x, x).
        squared_diagonal: sum of k'(x, x)^2.
    """

    counts: Floats
    mean: Floats
    second_moment: Floats
    energy: float
    class_traces: Floats
    class_projections: Floats
    class_units: Floats
    trace: float
    squared_diagonal: float

    @property
    def examples(self) -> float:
        """Number of examples n."""
        return float(self.counts.sum())

    @property
    def squared_norm(self) -> float:
        """Squared Frobenius norm of the centred Gram matrix; that of the centred second moment is equal."""
        return float(np.vdot(self.second_moment, self.second_moment))


def centre(statistics: TaskStatistics) -> CentredStatistics:
    """Centred statistics of a task. Raises ValueError where there are no examples."""
    if statistics.examples == 0:
        raise ValueError("undefined: there are no examples")
    counts = statistics.counts.astype(np.float64)
    units = counts - statistics.zeros
    n = counts.sum()
    mean = statistics.class_sums.sum(axis=0) / n
    sums = statistics.class_sums - counts[:, None] * mean
    length = float(mean @ mean)
    class_traces = units + counts * length - 2.0 * (statistics.class_sums @ mean)
    projected = float(mean @ statistics.second_moment @ mean)
    diagonal = units.sum() * (1.0 + length) ** 2 - 4.0 * (1.0 + length) * n * length + 4.0 * projected
    return CentredStatistics(
        counts=counts,
        mean=mean,
        second_moment=statistics.second_moment - n * np.outer(mean, mean),
        energy=float(np.vdot(sums, sums)),
        class_traces=class_traces,
        class_projections=sums @ mean,
        class_units=units,
        trace=float(class_traces.sum()),
        squared_diagonal=float(diagonal + (n - units.sum()) * length**2),
    )
