"""Leave-one-out kernel ridge regression of a batch as an objective: how well each class is told from the others."""

import torch
from torch import Tensor

from kernel_methods.pair_sums import log_sum_exp, mean_over, off_diagonal

RIDGE_SHARE = 0.012
"""Ridge over the number of examples: what is added to the Gram matrix over n, whose trace is at most 1."""

CHANCE = 3.0
"""Classes count as uneven where their shares vary so many times as much as those of even classes do by chance."""


def ridge(gram: Tensor, same: Tensor, known: Tensor | None = None, *, temperature: float) -> Tensor:
    """Mean log-probability of one's class, where each example's scores are predicted from all the others.

    Kernel ridge regression onto "is of the class of j", one column for every example j, on the centred Gram matrix;
    example i is left out of what predicts it, by the closed form, at the price of one inverse of an n x n matrix (it
    counts in the mean that features are centred by, where its weight is 1 / n). The
    scores over the temperature go through a softmax over the classes present. Unlike the class means of `prototype`,
    which weigh all directions of feature space alike, the regression weighs them by what they say of classes; that is
    what the output module above will do. Classes are told by ``same``, which must be transitive.

    Args:
        gram: kernel values. Shape (n, n).
        same: true where a pair is of one class, and on the diagonal. Shape (n, n), boolean.
        known: of which pairs anything is known; an unknown entry of a column counts as its mean. None for all.
        temperature: what the scores, near 0 for "no" and 1 for "yes", are divided by.

    Returns:
        At most 0; 0 where there is one class. With ``known`` the mean is over examples of which something is known.

    Source:
        The leave-one-out residual is Golub, Heath, Wahba (1979), Generalized Cross-Validation, section 2; as an
        objective on pairs it is this project's own.
    """
    apart = off_diagonal(gram)
    everything = apart | ~apart if known is None else known | ~apart
    members = (same | ~apart).to(gram.dtype)
    sizes = members.sum(dim=1)
    with torch.autocast(gram.device.type, enabled=False):
        logits = _left_out_scores(gram, members, everything.to(gram.dtype)) / temperature
    each = logits.diagonal() - log_sum_exp(logits - sizes.log(), everything)
    return mean_over(each, (everything & apart).any(dim=1))


def _left_out_scores(gram: Tensor, members: Tensor, weights: Tensor) -> Tensor:
    """Scores of every example for the class of every other, each predicted without its own row. Shape (n, n)."""
    rows = gram - gram.mean(dim=0)
    centred = rows - rows.mean(dim=1, keepdim=True)
    shares = (members * weights).sum(dim=0) / weights.sum(dim=0)
    targets = (members - shares) * weights
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky_ex(centred + RIDGE_SHARE * len(gram) * identity).L)
    left_out = targets - (inverse @ targets) / inverse.diagonal()[:, None]
    return left_out + _uneven(shares, members.sum(dim=1))


def _uneven(shares: Tensor, sizes: Tensor) -> Tensor:
    """What a class's share adds to its scores: nothing where classes are as even as draws of even classes are.

    Without it, no features could tell a rare class from a frequent one; with the bare shares of a batch, which vary by
    chance, it would be noise that no features can learn. So they are shrunken towards an equal share.

    Source:
        James, Stein (1961), Estimation with Quadratic Loss: the positive part, with a stricter bound.
    """
    classes = (1.0 / sizes).sum()
    apart = shares - 1.0 / classes
    by_chance = (1.0 - 1.0 / classes) / len(sizes)
    found = (apart**2 / sizes).sum()
    return apart * (1.0 - CHANCE * by_chance / found.clamp_min(1e-12)).clamp_min(0.0)
