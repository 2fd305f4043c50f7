"""Proxy objectives of a batch, of its Gram matrix and which pairs share a class; larger is better.

Nothing here waits for the device: no value is read back and no shape depends on the labels. Every objective
is finite, with finite gradients, on every batch; what it is worth where it has nothing to measure (one class,
no same-class pair, features of zeros) is said at each.

``known``, where an objective takes it, says which pairs count, all others being left out of every sum: boolean, or,
in the contrastive and prototype forms, a weight in [0, 1] with which a pair stands among those to be told apart.
It is true, or 1, on the diagonal and wherever ``same`` is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import assert_never

import torch
from torch import Tensor

from kernel_methods.kernels import (
    ObjectiveName,
    check_kernel_range,
    check_objective,
    check_smoothing,
    check_temperature,
)
from kernel_methods.pair_sums import centred_over, cosine, log_sum_exp, mean_over, off_diagonal, row_means, u_centred
from kernel_methods.ridge import ridge

Objective = Callable[[Tensor, Tensor], Tensor]
GramObjective = Callable[[Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True, kw_only=True)
class PairSettings:
    """What an objective on pairs may be told.

    Attributes:
        k_min: ideal kernel value of a different-class pair.
        k_max: ideal kernel value of a same-class pair.
        temperature: scale of kernel values in contrastive and prototype objectives.
        smoothing: share of each target that is spread evenly, in [0, 1).
        unknown: probability in [0, 1] that a pair of which nothing is known is of one class; None leaves it out.
    """

    k_min: float
    k_max: float
    temperature: float = 0.2
    smoothing: float = 0.0
    unknown: float | None = None


def gram(features: Tensor) -> Tensor:
    """Kernel values of all pairs: shape (n, d) to (n, n), float32 or wider, even under autocast."""
    return gram_between(features, features)


def gram_between(features: Tensor, others: Tensor) -> Tensor:
    """Kernel values of each of one batch with each of another: shapes (n, d), (m, d) to (n, m); see `gram`."""
    rows, columns = (x.float() if x.dtype in (torch.float16, torch.bfloat16) else x for x in (features, others))
    with torch.autocast(rows.device.type, enabled=False):
        return rows @ columns.T


def same_class_pairs(labels: Tensor) -> Tensor:
    """Which pairs are of one class: labels of shape (n,) to booleans of shape (n, n), true on the diagonal.

    Raises:
        ValueError: ``labels`` is not one-dimensional.
    """
    if labels.ndim != 1:
        raise ValueError(f"labels must have shape (n,), got {tuple(labels.shape)}")
    return labels[:, None] == labels[None, :]


def ideal_gram_matrix(labels: Tensor, *, k_min: float, k_max: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Gram matrix of a perfect representation: k_max within a class, k_min across classes.

    Args:
        labels: class index of every example. Shape (n,), integer.
        k_min: kernel value of a different-class pair.
        k_max: kernel value of a same-class pair.
        dtype: floating type of the result.

    Returns:
        Shape (n, n).

    Raises:
        ValueError: ``labels`` is not one-dimensional, or ``k_min >= k_max``.

    Source:
        Duan, Yu, Principe (2022), Modularizing Deep Learning via Pairwise Learning With Kernels.
    """
    return ideal_of_pairs(same_class_pairs(labels), k_min=k_min, k_max=k_max, dtype=dtype)


def ideal_of_pairs(same: Tensor, *, k_min: float, k_max: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Ideal Gram matrix where only "same class or not" is known of the pairs.

    Args:
        same: true where a pair is of one class, and on the diagonal. Shape (n, n), boolean.
        k_min: kernel value of a different-class pair.
        k_max: kernel value of a same-class pair.
        dtype: floating type of the result.

    Returns:
        Shape (n, n).

    Raises:
        ValueError: ``same`` is not a square boolean matrix, or ``k_min >= k_max``.
    """
    check_kernel_range(k_min=k_min, k_max=k_max)
    if same.ndim != 2 or same.shape[0] != same.shape[1] or same.dtype != torch.bool:
        raise ValueError(f"same must be boolean of shape (n, n), got {same.dtype} of {tuple(same.shape)}")
    values = [torch.full((), value, dtype=dtype, device=same.device) for value in (k_max, k_min)]
    return torch.where(same, values[0], values[1])


def alignment(gram: Tensor, ideal: Tensor, known: Tensor | None = None) -> Tensor:
    """Cosine between Gram and ideal Gram matrix, the diagonal included; 0 where all features are zero."""
    return cosine(gram, ideal) if known is None else cosine(gram * known, ideal * known)


def upper_triangle_alignment(gram: Tensor, ideal: Tensor, known: Tensor | None = None) -> Tensor:
    """Cosine between Gram and ideal Gram matrix over the pairs i < j; 0 where either is zero there."""
    pairs = off_diagonal(gram, known)
    return cosine(gram * pairs, ideal * pairs)


def centred_alignment(gram: Tensor, ideal: Tensor, known: Tensor | None = None) -> Tensor:
    """Cosine between the U-centred matrices: the debiased score, on a batch.

    Of known pairs, centring takes away what one additive term an example explains, see `pair_sums.centred_over`;
    few known pairs, where none close a cycle, are explained altogether.

    Returns:
        In [-1, 1]. 0 where there are fewer than four examples, one class only, or nothing but equal features.

    Source:
        Szekely, Rizzo (2014), Partial Distance Correlation with Methods for Dissimilarities, equation 2.2.
    """
    if len(gram) < 4:
        return 0.0 * gram.sum()
    if known is None:
        return cosine(u_centred(gram), u_centred(ideal))
    pairs = off_diagonal(gram, known)
    return cosine(centred_over(gram, pairs), centred_over(ideal, pairs))


def negative_mean_squared_error(gram: Tensor, ideal: Tensor, known: Tensor | None = None) -> Tensor:
    """Minus the mean of (K - K*)^2 over the pairs i < j; 0, the best, where there is no pair."""
    return -mean_over((gram - ideal) ** 2, off_diagonal(gram, known))


def raw(gram: Tensor, same: Tensor, known: Tensor | None = None) -> Tensor:
    """Mean over the pairs i < j of the kernel value, negative for different-class pairs; 0 if none."""
    return mean_over(torch.where(same, gram, -gram), off_diagonal(gram, known))


def contrastive(gram: Tensor, same: Tensor, known: Tensor | None = None, *, temperature: float) -> Tensor:
    """Log of the share that same-class pairs have of sum exp(K / temperature), the diagonal left out.

    Returns:
        At most 0. 0, without a gradient, where there is no same-class pair; 0 where there is no other.
    """
    logits, partners = gram / temperature, off_diagonal(gram, same)
    share = log_sum_exp(logits, partners).logsumexp(0) - log_sum_exp(logits, off_diagonal(gram, known)).logsumexp(0)
    return torch.where(partners.any(), share, 0.0)


def contrastive_per_anchor(
    gram: Tensor, same: Tensor, known: Tensor | None = None, *, temperature: float, smoothing: float = 0.0
) -> Tensor:
    """Mean log-probability of picking a partner of one's class, over anchors that have one.

    Args:
        gram: kernel values of anchors with keys, anchor i being key i. Shape (n, m), m >= n.
        same: true where anchor and key are of one class. Shape (n, m), boolean.
        known: which keys an anchor picks from; None for all. Shape (n, m).
        temperature: scale of kernel values.
        smoothing: share s of the target that is spread evenly over all keys, 1 - s being left to the partners.

    Returns:
        At most 0. 0, without a gradient, where no example has a partner.

    Source:
        Khosla et al. (2020), Supervised Contrastive Learning, equation 2.
    """
    pairs, logits, partners = off_diagonal(gram, known), gram / temperature, off_diagonal(gram, same)
    log_probability = logits - log_sum_exp(logits, pairs)[:, None]
    each = row_means(log_probability, partners)
    if smoothing > 0.0:
        each = (1.0 - smoothing) * each + smoothing * row_means(log_probability, pairs)
    return mean_over(torch.where(partners.any(dim=1), each, 0.0), partners.any(dim=1))


def prototype(
    gram: Tensor, same: Tensor, known: Tensor | None = None, *, temperature: float, smoothing: float = 0.0
) -> Tensor:
    """Mean log-probability of one's class, by softmax over inner products with the class means of the batch.

    The class means are not scaled to unit norm, and an example counts in its own: phi_i . mean_c is the mean
    kernel value of i with class c, so that the objective is one of kernel values, too. Classes are told by
    ``same``, which must be transitive, as it is when it comes from labels or from pairs closed under "same".

    Args:
        gram: kernel values. Shape (n, n).
        same: true where a pair is of one class, and on the diagonal. Shape (n, n), boolean.
        known: which examples' classes an example is told from; None for all. Shape (n, n).
        temperature: scale of kernel values.
        smoothing: share of the target that is spread evenly over the classes one is told from, one's own among them.

    Returns:
        At most 0; 0 where there is one class. With ``known`` the mean is over examples of which something is known.
    """
    apart = off_diagonal(gram)
    members = (same | ~apart).to(gram.dtype)
    sizes = members.sum(dim=1)
    with torch.autocast(gram.device.type, enabled=False):
        logits = gram @ (members / sizes[:, None]).T / temperature
    weights = torch.ones_like(gram) if known is None else known.to(gram.dtype)
    normaliser = log_sum_exp(logits - sizes.log(), apart | ~apart if known is None else known)
    each = logits.diagonal() - normaliser
    if smoothing > 0.0:
        spread = row_means(logits - normaliser[:, None], weights / sizes)
        each = (1.0 - smoothing) * each + smoothing * spread
    return mean_over(each, (weights * apart).sum(dim=1) > 0)


def alignment_neo(gram: Tensor, same: Tensor, known: Tensor | None = None, *, k_min: float) -> Tensor:
    """Alignment of the different-class pairs alone; 0 where there are none, or K is zero on all of them.

    Raises:
        ValueError: ``k_min`` is 0, where the ideal is zero on every different-class pair.
    """
    check_objective("alignment_neo", k_min=k_min)
    different = _different(gram, same, known).to(gram.dtype)
    return cosine(gram * different, k_min * different)


def negative_mean_squared_error_neo(gram: Tensor, same: Tensor, known: Tensor | None = None, *, k_min: float) -> Tensor:
    """Minus the mean of (K - k_min)^2 over different-class pairs; 0, the best, where there are none."""
    return -mean_over((gram - k_min) ** 2, _different(gram, same, known))


def raw_neo(gram: Tensor, same: Tensor, known: Tensor | None = None) -> Tensor:
    """Minus the mean kernel value of different-class pairs; 0 where there are none."""
    return -mean_over(gram, _different(gram, same, known))


def contrastive_neo(gram: Tensor, same: Tensor, known: Tensor | None = None, *, temperature: float) -> Tensor:
    """Minus the log of the mean of exp(K / temperature) over different-class pairs; 0 if there are none."""
    different = _different(gram, same, known)
    number = different.sum().to(gram.dtype)
    total = log_sum_exp(gram / temperature, different).logsumexp(0)
    return torch.where(number > 0, number.clamp_min(1.0).log() - total, 0.0)


def pair_objective(
    name: ObjectiveName, *, k_min: float, k_max: float, temperature: float = 0.2, smoothing: float = 0.0
) -> Objective:
    """The objective of that name, of features (n, d) and a boolean matrix (n, n) of same-class pairs.

    Args:
        name: which objective, none of those that remember earlier batches.
        k_min: ideal kernel value of a different-class pair.
        k_max: ideal kernel value of a same-class pair.
        temperature: scale of kernel values in contrastive and prototype objectives.
        smoothing: share of each target that is spread evenly, where an objective has targets.

    Returns:
        A function to a scalar that is to be raised.

    Raises:
        ValueError: ``k_min >= k_max``, ``temperature`` is not above 0, or the objective is undefined for this
            ``k_min`` or ``smoothing``, or remembers earlier batches.
    """
    settings = PairSettings(k_min=k_min, k_max=k_max, temperature=temperature, smoothing=smoothing)
    of_gram = gram_objective(name, settings)
    return lambda features, same: of_gram(gram(features), same, None)


def proxy_objective(
    name: ObjectiveName, *, k_min: float, k_max: float, temperature: float = 0.2, smoothing: float = 0.0
) -> Objective:
    """The objective of that name, of features (n, d) and labels (n,); see `pair_objective`.

    Example:
        ``(-proxy_objective("alignment", k_min=0.0, k_max=1.0)(features, labels)).backward()``
    """
    of_pairs = pair_objective(name, k_min=k_min, k_max=k_max, temperature=temperature, smoothing=smoothing)
    return lambda features, labels: of_pairs(features, same_class_pairs(labels))


def gram_objective(name: ObjectiveName, settings: PairSettings) -> GramObjective:
    """The objective of that name, of a Gram matrix, its same-class pairs and its known pairs, None for all.

    Raises:
        ValueError: see `pair_objective`.
    """
    check_kernel_range(k_min=settings.k_min, k_max=settings.k_max)
    check_temperature(settings.temperature)
    check_objective(name, k_min=settings.k_min)
    check_smoothing(name, smoothing=settings.smoothing)
    return _of_gram(name, settings)


def _of_gram(name: ObjectiveName, settings: PairSettings) -> GramObjective:
    match name:
        case "alignment" | "upper_triangle_alignment" | "centred_alignment" | "negative_mean_squared_error":
            return partial(_against_ideal, name, settings)
        case "contrastive_per_anchor" | "prototype":
            return partial(_SMOOTHED[name], temperature=settings.temperature, smoothing=settings.smoothing)
        case "ridge":
            return partial(ridge, temperature=settings.temperature)
        case "contrastive" | "contrastive_neo":
            return partial(_TEMPERED[name], temperature=settings.temperature)
        case "alignment_neo" | "negative_mean_squared_error_neo":
            return partial(_AGAINST_K_MIN[name], k_min=settings.k_min)
        case "raw":
            return raw
        case "raw_neo":
            return raw_neo
        case "prototype_momentum" | "contrastive_memory" | "prototype_memory":
            raise ValueError(f"{name} remembers earlier batches, by their labels: build it with build_objective")
        case _:
            assert_never(name)


def _against_ideal(name: str, settings: PairSettings, gram: Tensor, same: Tensor, known: Tensor | None) -> Tensor:
    ideal = ideal_of_pairs(same, k_min=settings.k_min, k_max=settings.k_max, dtype=gram.dtype)
    if known is not None and settings.unknown is not None:
        likely = settings.k_min + settings.unknown * (settings.k_max - settings.k_min)
        ideal, known = torch.where(known, ideal, likely), None
    if settings.smoothing > 0.0:
        everything = torch.ones_like(same) if known is None else known
        counted = everything if name == "alignment" else off_diagonal(gram, known)
        ideal = torch.lerp(ideal, mean_over(ideal, counted), settings.smoothing)
    return _AGAINST_IDEAL[name](gram, ideal, known)


def _different(gram: Tensor, same: Tensor, known: Tensor | None) -> Tensor:
    return off_diagonal(gram, known) & ~same


_AGAINST_IDEAL: dict[str, GramObjective] = {
    "alignment": alignment,
    "upper_triangle_alignment": upper_triangle_alignment,
    "centred_alignment": centred_alignment,
    "negative_mean_squared_error": negative_mean_squared_error,
}
_SMOOTHED: dict[str, Callable[..., Tensor]] = {
    "contrastive_per_anchor": contrastive_per_anchor,
    "prototype": prototype,
}
_TEMPERED: dict[str, Callable[..., Tensor]] = {"contrastive": contrastive, "contrastive_neo": contrastive_neo}
_AGAINST_K_MIN: dict[str, Callable[..., Tensor]] = {
    "alignment_neo": alignment_neo,
    "negative_mean_squared_error_neo": negative_mean_squared_error_neo,
}
