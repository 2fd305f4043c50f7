"""Names and arithmetic of the kernels, the objectives and the scores; free of torch and NumPy."""

import math
from typing import Literal, assert_never

Activation = Literal["relu", "tanh", "sigmoid", "identity"]
"""The nonlinearity of a feature map; "identity" where the outputs' own signs are to count."""

TrainedActivation = Literal["relu", "tanh", "sigmoid"]
"""Activations that stand between the layers of a network."""

Pooling = Literal["none", "average", "average-2x2", "average-4x4"]

ObjectiveName = Literal[
    "alignment",
    "upper_triangle_alignment",
    "centred_alignment",
    "negative_mean_squared_error",
    "raw",
    "contrastive",
    "contrastive_per_anchor",
    "prototype",
    "ridge",
    "alignment_neo",
    "negative_mean_squared_error_neo",
    "raw_neo",
    "contrastive_neo",
    "prototype_momentum",
    "contrastive_memory",
    "prototype_memory",
]

REMEMBERING: frozenset[ObjectiveName] = frozenset({"prototype_momentum", "contrastive_memory", "prototype_memory"})
"""Objectives that keep something of earlier batches: from labels only, as a module with a state."""

SMOOTHABLE: frozenset[ObjectiveName] = REMEMBERING | {
    "alignment",
    "upper_triangle_alignment",
    "negative_mean_squared_error",
    "contrastive_per_anchor",
    "prototype",
}
"""Objectives with targets to smooth; centring takes away what smoothing would change, the others have none."""

GUESSING: frozenset[ObjectiveName] = frozenset(
    {
        "alignment",
        "upper_triangle_alignment",
        "centred_alignment",
        "negative_mean_squared_error",
        "contrastive",
        "contrastive_per_anchor",
        "prototype",
    }
)
"""Objectives that can take a probability of "same" for pairs of which nothing is known."""

ScoreName = Literal[
    "alignment",
    "upper_triangle_alignment",
    "centred_alignment",
    "negative_mean_squared_error",
    "raw",
]
"""Scores that compare a kernel with the ideal one."""

RankerName = Literal[ScoreName, "ridge_gcv", "logme", "h_score", "nearest_class_mean"]
"""Estimators that can decide a ranking: statistics alone give them an interval and a chance level."""

PooledName = Literal["ridge_gcv_pooled"]
"""A score of several modules together: their `ridge_gcv`, drawn to what usual scores foretell (`pooling`)."""

RankBy = Literal[PooledName, RankerName]
"""Whatever can decide a ranking of several modules."""

EstimatorName = Literal[
    RankerName,
    "ridge",
    "transrate",
    "raw_neo",
    "negative_mean_squared_error_neo",
    "leep",
    "nce",
    "knn",
    "linear_probe",
]
"""Every way to predict how well a module would serve a task; larger is better."""


def attainable_k_min(activation: Activation) -> float:
    """Smallest kernel value that two unit feature vectors of this activation can reach.

    The bound is for one pair: relu and sigmoid give vectors without negative entries (0), tanh and the
    identity give any direction (-1). With C classes the mean over different-class pairs is at least -1 / (C - 1),
    so -1 is reached by all pairs for two classes only.

    Returns:
        0.0 or -1.0.
    """
    match activation:
        case "relu" | "sigmoid":
            return 0.0
        case "tanh" | "identity":
            return -1.0
        case _:
            assert_never(activation)


def pooling_grid(pooling: Pooling) -> int:
    """Side of the grid that a pooling leaves of each channel; 0 where nothing is pooled."""
    match pooling:
        case "none":
            return 0
        case "average":
            return 1
        case "average-2x2":
            return 2
        case "average-4x4":
            return 4
        case _:
            assert_never(pooling)


def pooled_features(shape: tuple[int, ...], pooling: Pooling) -> int:
    """Number of features d of an output, after pooling and flattening.

    Args:
        shape: shape of one output, batch left out: (d,) or (c, h, w).
        pooling: "none" flattens; the others leave 1, 4 or 16 averages of each channel.

    Raises:
        ValueError: ``shape`` is empty or has a side below 1, or it is to be pooled and is not (c, h, w).
    """
    if not shape or min(shape) < 1:
        raise ValueError(f"an output needs at least one side and every side >= 1, got shape {shape}")
    grid = pooling_grid(pooling)
    if grid == 0:
        return math.prod(shape)
    if len(shape) != 3:
        raise ValueError(f"pooling {pooling!r} needs an output (c, h, w), got {shape}; use 'none' for flat outputs")
    return shape[0] * grid * grid


def check_kernel_range(*, k_min: float, k_max: float) -> None:
    """Raises ValueError unless both are finite and ``k_min < k_max``."""
    if not (math.isfinite(k_min) and math.isfinite(k_max) and k_min < k_max):
        raise ValueError(f"need finite k_min < k_max, got k_min={k_min} and k_max={k_max}")


def check_objective(name: ObjectiveName, *, k_min: float) -> None:
    """Raises ValueError where an objective is undefined for a kernel's range."""
    if name == "alignment_neo" and k_min == 0:
        raise ValueError("alignment_neo is undefined for k_min = 0, its ideal is zero: take raw_neo or k_min < 0")


def check_smoothing(name: ObjectiveName, *, smoothing: float) -> None:
    """Raises ValueError unless ``smoothing`` is in [0, 1), and 0 where an objective has no targets to smooth."""
    if not 0.0 <= smoothing < 1.0:
        raise ValueError(f"smoothing must be in [0, 1), got {smoothing}")
    if smoothing > 0.0 and name not in SMOOTHABLE:
        raise ValueError(f"{name} has no targets to smooth: leave smoothing at 0, or take one of {sorted(SMOOTHABLE)}")


def check_temperature(temperature: float) -> None:
    """Raises ValueError unless ``temperature`` is finite and above 0."""
    if not (math.isfinite(temperature) and temperature > 0.0):
        raise ValueError(f"temperature must be above 0, got {temperature}")
