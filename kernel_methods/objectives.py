"""Proxy objectives of a batch, of its Gram matrix and which pairs share a class; larger is better.

Nothing here waits for the device: no value is read back and no shape depends on the labels. Every objective
is finite, with finite gradients, on every batch; what it is worth where it has nothing to measure (one class,
no same-class pair, features of zeros) is said at each.
"""

from collections.abc import Callable
from functools import partial
from typing import assert_never

import torch
from torch import Tensor

from kernel_methods.kernels import ObjectiveName, check_kernel_range, check_objective

Objective = Callable[[Tensor, Tensor], Tensor]

SMALLEST_SQUARED_NORM = 1e-12
LEFT_OUT = -1e30


def gram(features: Tensor) -> Tensor:
    """Kernel values of all pairs: shape (n, d) to (n, n), float32 or wider, even under autocast."""
    rows = features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
    with torch.autocast(rows.device.type, enabled=False):
        return rows @ rows.T


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


def alignment(gram: Tensor, ideal: Tensor) -> Tensor:
    """Cosine between Gram and ideal Gram matrix, the diagonal included; 0 where all features are zero."""
    return _cosine(gram, ideal)


def upper_triangle_alignment(gram: Tensor, ideal: Tensor) -> Tensor:
    """Cosine between Gram and ideal Gram matrix over the pairs i < j; 0 where either is zero there."""
    pairs = _off_diagonal(gram)
    return _cosine(gram * pairs, ideal * pairs)


def centred_alignment(gram: Tensor, ideal: Tensor) -> Tensor:
    """Cosine between the U-centred matrices: the debiased score, on a batch.

    Returns:
        In [-1, 1]. 0 where there are fewer than four examples, one class only, or nothing but equal features.

    Source:
        Szekely, Rizzo (2014), Partial Distance Correlation with Methods for Dissimilarities, equation 2.2.
    """
    if len(gram) < 4:
        return 0.0 * gram.sum()
    return _cosine(_u_centred(gram), _u_centred(ideal))


def negative_mean_squared_error(gram: Tensor, ideal: Tensor) -> Tensor:
    """Minus the mean of (K - K*)^2 over the pairs i < j; 0, the best, where there is no pair."""
    pairs = _off_diagonal(gram)
    return -_mean((gram - ideal) ** 2, pairs)


def raw(gram: Tensor, same: Tensor) -> Tensor:
    """Mean over the pairs i < j of the kernel value, negative for different-class pairs; 0 if none."""
    return _mean(torch.where(same, gram, -gram), _off_diagonal(gram))


def contrastive(gram: Tensor, same: Tensor, *, temperature: float) -> Tensor:
    """Log of the share that same-class pairs have of sum exp(K / temperature), the diagonal left out.

    Returns:
        At most 0. 0, without a gradient, where there is no same-class pair; 0 where there is no other.
    """
    pairs, logits = _off_diagonal(gram), gram / temperature
    share = _log_sum_exp(logits, pairs & same).logsumexp(0) - _log_sum_exp(logits, pairs).logsumexp(0)
    return torch.where((pairs & same).any(), share, 0.0)


def contrastive_per_anchor(gram: Tensor, same: Tensor, *, temperature: float) -> Tensor:
    """Mean log-probability of picking a partner of one's class, over anchors that have one.

    Returns:
        At most 0. 0, without a gradient, where no example has a partner.

    Source:
        Khosla et al. (2020), Supervised Contrastive Learning, equation 2.
    """
    pairs, logits = _off_diagonal(gram), gram / temperature
    partners = (pairs & same).to(gram.dtype)
    log_probability = logits - _log_sum_exp(logits, pairs)[:, None]
    number = partners.sum(dim=1)
    each = (partners * log_probability).sum(dim=1) / number.clamp_min(1.0)
    return _mean(torch.where(number > 0, each, 0.0), number > 0)


def prototype(gram: Tensor, same: Tensor, *, temperature: float) -> Tensor:
    """Mean log-probability of one's class, by softmax over inner products with the class means of the batch.

    The class means are not scaled to unit norm, and an example counts in its own: phi_i . mean_c is the mean
    kernel value of i with class c, so that the objective is one of kernel values, too. Classes are told by
    ``same``, which must be transitive, as it is when it comes from labels.

    Returns:
        At most 0; 0 where there is one class.
    """
    members = (same | ~_off_diagonal(gram)).to(gram.dtype)
    sizes = members.sum(dim=1)
    with torch.autocast(gram.device.type, enabled=False):
        logits = gram @ (members / sizes[:, None]).T / temperature
    return (logits.diagonal() - torch.logsumexp(logits - sizes.log(), dim=1)).mean()


def alignment_neo(gram: Tensor, same: Tensor, *, k_min: float) -> Tensor:
    """Alignment of the different-class pairs alone; 0 where there are none, or K is zero on all of them.

    Raises:
        ValueError: ``k_min`` is 0, where the ideal is zero on every different-class pair.
    """
    check_objective("alignment_neo", k_min=k_min)
    different = _different(gram, same).to(gram.dtype)
    return _cosine(gram * different, k_min * different)


def negative_mean_squared_error_neo(gram: Tensor, same: Tensor, *, k_min: float) -> Tensor:
    """Minus the mean of (K - k_min)^2 over different-class pairs; 0, the best, where there are none."""
    return -_mean((gram - k_min) ** 2, _different(gram, same))


def raw_neo(gram: Tensor, same: Tensor) -> Tensor:
    """Minus the mean kernel value of different-class pairs; 0 where there are none."""
    return -_mean(gram, _different(gram, same))


def contrastive_neo(gram: Tensor, same: Tensor, *, temperature: float) -> Tensor:
    """Minus the log of the mean of exp(K / temperature) over different-class pairs; 0 if there are none."""
    different = _different(gram, same)
    number = different.sum().to(gram.dtype)
    total = _log_sum_exp(gram / temperature, different).logsumexp(0)
    return torch.where(number > 0, number.clamp_min(1.0).log() - total, 0.0)


def pair_objective(name: ObjectiveName, *, k_min: float, k_max: float, temperature: float = 0.2) -> Objective:
    """The objective of that name, of features (n, d) and a boolean matrix (n, n) of same-class pairs.

    Args:
        name: which objective.
        k_min: ideal kernel value of a different-class pair.
        k_max: ideal kernel value of a same-class pair.
        temperature: scale of kernel values in contrastive and prototype objectives.

    Returns:
        A function to a scalar that is to be raised.

    Raises:
        ValueError: ``k_min >= k_max``, ``temperature`` is not above 0, or the objective is undefined for this
            ``k_min``.
    """
    check_kernel_range(k_min=k_min, k_max=k_max)
    if not temperature > 0.0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    check_objective(name, k_min=k_min)
    of_gram = _of_gram(name, k_min=k_min, k_max=k_max, temperature=temperature)
    return lambda features, same: of_gram(gram(features), same)


def proxy_objective(name: ObjectiveName, *, k_min: float, k_max: float, temperature: float = 0.2) -> Objective:
    """The objective of that name, of features (n, d) and labels (n,); see `pair_objective`.

    Example:
        ``(-proxy_objective("alignment", k_min=0.0, k_max=1.0)(features, labels)).backward()``
    """
    of_pairs = pair_objective(name, k_min=k_min, k_max=k_max, temperature=temperature)
    return lambda features, labels: of_pairs(features, same_class_pairs(labels))


def _of_gram(name: ObjectiveName, *, k_min: float, k_max: float, temperature: float) -> Objective:
    match name:
        case "alignment" | "upper_triangle_alignment" | "centred_alignment" | "negative_mean_squared_error":
            against = _AGAINST_IDEAL[name]
            return lambda gram, same: against(gram, ideal_of_pairs(same, k_min=k_min, k_max=k_max, dtype=gram.dtype))
        case "contrastive" | "contrastive_per_anchor" | "prototype" | "contrastive_neo":
            return partial(_TEMPERED[name], temperature=temperature)
        case "alignment_neo" | "negative_mean_squared_error_neo":
            return partial(_AGAINST_K_MIN[name], k_min=k_min)
        case "raw":
            return raw
        case "raw_neo":
            return raw_neo
        case _:
            assert_never(name)


def _different(gram: Tensor, same: Tensor) -> Tensor:
    return _off_diagonal(gram) & ~same


def _off_diagonal(gram: Tensor) -> Tensor:
    return ~torch.eye(len(gram), dtype=torch.bool, device=gram.device)


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values; 0 where none is chosen."""
    weights = chosen.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp_min(1.0)


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    """Cosine between two matrices as vectors; 0, with finite gradients, where one of them is zero."""
    lengths = [(matrix**2).sum().clamp_min(SMALLEST_SQUARED_NORM) for matrix in (one, other)]
    return (one * other).sum() * torch.rsqrt(lengths[0]) * torch.rsqrt(lengths[1])


def _u_centred(matrix: Tensor) -> Tensor:
    n, pairs = len(matrix), _off_diagonal(matrix)
    hollow = matrix * pairs
    rows = hollow.sum(dim=1) / (n - 2)
    return (hollow - rows[:, None] - rows[None, :] + rows.sum() / (n - 1)) * pairs


def _log_sum_exp(logits: Tensor, chosen: Tensor) -> Tensor:
    """Over the chosen of each row; a very negative number, without a gradient, where none is chosen."""
    return torch.logsumexp(torch.where(chosen, logits, LEFT_OUT), dim=1)


_AGAINST_IDEAL: dict[str, Objective] = {
    "alignment": alignment,
    "upper_triangle_alignment": upper_triangle_alignment,
    "centred_alignment": centred_alignment,
    "negative_mean_squared_error": negative_mean_squared_error,
}
_TEMPERED: dict[str, Callable[..., Tensor]] = {
    "contrastive": contrastive,
    "contrastive_per_anchor": contrastive_per_anchor,
    "prototype": prototype,
    "contrastive_neo": contrastive_neo,
}
_AGAINST_K_MIN: dict[str, Callable[..., Tensor]] = {
    "alignment_neo": alignment_neo,
    "negative_mean_squared_error_neo": negative_mean_squared_error_neo,
}
