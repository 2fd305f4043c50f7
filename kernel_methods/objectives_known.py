"""Proxy objectives where only some pairs of a batch are known to be of one class or of two; larger is better."""

from collections.abc import Callable

import torch
from torch import Tensor

from kernel_methods.kernels import GUESSING, ObjectiveName
from kernel_methods.objectives import PairSettings, gram, gram_objective

KnownPairObjective = Callable[[Tensor, Tensor, Tensor], Tensor]

WEIGHING: frozenset[ObjectiveName] = frozenset({"contrastive", "contrastive_per_anchor", "prototype"})
"""Of these, the ones that let an unknown pair stand among the different ones, by a weight."""


def known_pair_objective(
    name: ObjectiveName,
    *,
    k_min: float,
    k_max: float,
    temperature: float = 0.2,
    smoothing: float = 0.0,
    unknown: float | None = None,
) -> KnownPairObjective:
    """The objective of that name over the known pairs of a batch.

    Args:
        name: which objective, none of those that remember earlier batches.
        k_min: ideal kernel value of a different-class pair.
        k_max: ideal kernel value of a same-class pair.
        temperature: scale of kernel values in contrastive and prototype objectives.
        smoothing: share of each target that is spread evenly, where an objective has targets.
        unknown: probability p, in [0, 1], that a pair of which nothing is known is of one class. Forms with an
            ideal then aim at k_min + p (k_max - k_min) for it, contrastive and prototype forms count it as
            different with weight 1 - p. None leaves such pairs out of every sum.

    Returns:
        A function of features (n, d) and two boolean matrices (n, n), "of one class" and "known", to a scalar that
        is to be raised. An example is of one class with itself whatever the matrices say, and ``same`` says nothing
        of a pair that is not known. With all pairs known it is the labelled objective; with none it is finite.

    Raises:
        ValueError: see `objectives.pair_objective`, or ``unknown`` is outside [0, 1] or not to be had here.
    """
    _check_unknown(name, unknown)
    settings = PairSettings(k_min=k_min, k_max=k_max, temperature=temperature, smoothing=smoothing, unknown=unknown)
    of_gram = gram_objective(name, settings)

    def objective(features: Tensor, same: Tensor, known: Tensor) -> Tensor:
        same, known = with_diagonal(same, known)
        kernel = gram(features)
        if unknown is None or name not in WEIGHING:
            return of_gram(kernel, same, known)
        weights = known.to(kernel.dtype)
        return of_gram(kernel, same, weights + (1.0 - unknown) * (1.0 - weights))

    return objective


def _check_unknown(name: ObjectiveName, unknown: float | None) -> None:
    if unknown is None:
        return
    if not 0.0 <= unknown <= 1.0:
        raise ValueError(f"unknown is a probability in [0, 1], got {unknown}")
    if name not in GUESSING:
        raise ValueError(f"{name} cannot guess at unknown pairs: leave unknown at None, or take {sorted(GUESSING)}")


def with_diagonal(same: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Both matrices with an example known to be of one class with itself, and "same" false where unknown.

    Raises:
        ValueError: they are not boolean matrices of one square shape.
    """
    square = same.ndim == 2 and same.shape[0] == same.shape[1] and same.shape == known.shape
    if not square or same.dtype != torch.bool or known.dtype != torch.bool:
        raise ValueError(
            "same and known must be boolean of one shape (n, n), "
            f"got {same.dtype} of {tuple(same.shape)} and {known.dtype} of {tuple(known.shape)}"
        )
    itself = torch.eye(len(same), dtype=torch.bool, device=same.device)
    return (same & known) | itself, known | itself


def two_views_of_pairs(same: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """What is known of a batch that holds two views of each image, all first views before all second ones.

    The two views of an image are known to be of one class, and each says of others what the image says.

    Args:
        same: which pairs of images are of one class. Shape (n, n), boolean.
        known: which pairs of images are known. Shape (n, n), boolean.

    Returns:
        Both, for the views. Shape (2n, 2n).
    """
    same, known = with_diagonal(same, known)
    return same.tile(2, 2), known.tile(2, 2)


def two_views(first: Tensor, second: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Features (n, d) of two views of each image as one labelled batch (2n, d): labels need nothing new.

    Raises:
        ValueError: the two views have not the same shape.
    """
    if first.shape != second.shape:
        raise ValueError(f"two views need one shape, got {tuple(first.shape)} and {tuple(second.shape)}")
    return torch.cat([first, second]), torch.cat([labels, labels])
