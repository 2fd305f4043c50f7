"""Objectives that remember something of earlier batches: class means, or features with their labels.

Each is a module of (features (n, d), labels (n,)) to a scalar that is to be raised. What it remembers lies in its
buffers, so that it moves with the module, is part of `state_dict` and is resumed with it. It takes no gradient, it
changes after the value is computed and in training mode only, and nothing waits for the device.
"""

import torch
from torch import Tensor, nn

from kernel_methods.kernels import check_smoothing, check_temperature
from kernel_methods.objectives import contrastive_per_anchor, gram_between
from kernel_methods.pair_sums import log_sum_exp, row_means

EMPTY = -1
"""Label of a place in the memory that holds nothing yet."""


def class_log_probability(
    features: Tensor, labels: Tensor, means: Tensor, *, present: Tensor, temperature: float, smoothing: float = 0.0
) -> Tensor:
    """Mean log-probability of one's class, by softmax over inner products with class means.

    Args:
        features: shape (n, d).
        labels: class index of every example, in 0..c-1. Shape (n,), integer.
        means: mean features of each class. Shape (c, d).
        present: which classes have a mean; the others are left out. Shape (c,), boolean.
        temperature: scale of the inner products.
        smoothing: share of the target that is spread evenly over the classes present.

    Returns:
        At most 0; 0 where one class is present.

    Source:
        Snell, Swersky, Zemel (2017), Prototypical Networks for Few-shot Learning, equation 2, with inner products.
    """
    logits = gram_between(features, means) / temperature
    log_probability = logits - log_sum_exp(logits, present.expand_as(logits))[:, None]
    each = (log_probability * one_hot(labels, len(means), dtype=logits.dtype)).sum(dim=1)
    if smoothing > 0.0:
        each = (1.0 - smoothing) * each + smoothing * row_means(log_probability, present.expand_as(logits))
    return each.mean()


def one_hot(labels: Tensor, classes: int, *, dtype: torch.dtype) -> Tensor:
    """Shape (n,) to (n, c), of zeros and ones; a label outside 0..c-1, as of an empty place, gives zeros."""
    return (labels[:, None] == torch.arange(classes, device=labels.device)[None, :]).to(dtype)


def class_means(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Mean features of each class (c, d), zero where a class has no example, and the examples of each (c,)."""
    rows = _at_least_float32(features)
    members = one_hot(labels, classes, dtype=rows.dtype)
    counts = members.sum(dim=0)
    with torch.autocast(rows.device.type, enabled=False):
        return members.T @ rows / counts.clamp_min(1.0)[:, None], counts


class MomentumPrototype(nn.Module):
    """Prototype objective against class means that are remembered from batch to batch.

    The means of a step are momentum times the remembered plus (1 - momentum) times the batch's own; a class that
    is new takes the batch's own, one that is not in the batch keeps the remembered, one never seen is left out.
    The gradient flows through the features and through the batch's own share of the means. The means of a step are
    what the next one remembers.

    Args:
        classes: number of classes c.
        features: number of features d.
        momentum: share of the remembered means, in [0, 1); 0 remembers only what a batch lacks.
        temperature: scale of kernel values.
        smoothing: share of the target that is spread evenly over the classes seen.

    Raises:
        ValueError: an argument is out of its range.
    """

    class_means: Tensor
    seen: Tensor

    def __init__(
        self, *, classes: int, features: int, momentum: float = 0.9, temperature: float = 0.2, smoothing: float = 0.0
    ) -> None:
        super().__init__()
        _check_sizes(classes=classes, features=features)
        check_temperature(temperature)
        check_smoothing("prototype_momentum", smoothing=smoothing)
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        self.momentum, self.temperature, self.smoothing = momentum, temperature, smoothing
        self.register_buffer("class_means", torch.zeros(classes, features))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.bool))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Value of a batch: features (n, d) and labels (n,) in 0..c-1; at most 0, 0 where one class was seen."""
        means, present = self._blended(features, labels)
        value = class_log_probability(
            features, labels, means, present=present, temperature=self.temperature, smoothing=self.smoothing
        )
        if self.training:
            self._remember(means, present)
        return value

    def _blended(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        own, counts = class_means(features, labels, len(self.seen))
        here = counts > 0
        kept = torch.where(here, self.momentum * self.seen.to(own.dtype), self.seen.to(own.dtype))[:, None]
        return torch.lerp(own, self.class_means.to(own.dtype), kept), self.seen | here

    @torch.no_grad()
    def _remember(self, means: Tensor, present: Tensor) -> None:
        self.class_means.copy_(means)
        self.seen.copy_(present)


class FeatureMemory(nn.Module):
    """The features of the last batches with their labels: a ring of places, the oldest overwritten first.

    Args:
        places: how many features are kept, m.
        features: number of features d.
    """

    kept: Tensor
    kept_labels: Tensor
    next_place: Tensor

    def __init__(self, *, places: int, features: int) -> None:
        super().__init__()
        _check_sizes(memory=places, features=features)
        self.register_buffer("kept", torch.zeros(places, features))
        self.register_buffer("kept_labels", torch.full((places,), EMPTY, dtype=torch.int64))
        self.register_buffer("next_place", torch.zeros((), dtype=torch.int64))

    def joined(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """A batch followed by all that is kept: (n + m, d) and (n + m,), label -1 where a place is empty."""
        rows = _at_least_float32(features)
        return torch.cat([rows, self.kept.to(rows.dtype)]), torch.cat([labels, self.kept_labels.to(labels.dtype)])

    @torch.no_grad()
    def remember(self, features: Tensor, labels: Tensor) -> None:
        """Keep a batch; of one that is larger than the memory, the last that fit."""
        count = min(len(labels), len(self.kept_labels))
        places = (self.next_place + torch.arange(count, device=self.kept.device)).remainder(len(self.kept_labels))
        self.kept.index_copy_(0, places, features[-count:].to(self.kept.dtype))
        self.kept_labels.index_copy_(0, places, labels[-count:].to(self.kept_labels.dtype))
        self.next_place.add_(count).remainder_(len(self.kept_labels))


class RememberedContrastive(nn.Module):
    """Contrastive objective per anchor, or prototype objective, with the features of past batches as further keys.

    Past features are as old as their batch: a memory that is long against the pace of learning holds keys of
    another network. An anchor's partners, and class means, come from the batch and from the memory alike.

    Args:
        features: number of features d.
        memory: how many features are kept.
        temperature: scale of kernel values.
        smoothing: share of the target that is spread evenly over all keys, or over all classes present.
        classes: number of classes for the prototype form; None gives the contrastive form per anchor.

    Raises:
        ValueError: an argument is out of its range.

    Source:
        Wang et al. (2020), Cross-Batch Memory for Embedding Learning; Khosla et al. (2020), Supervised Contrastive
        Learning, equation 2.
    """

    def __init__(
        self,
        *,
        features: int,
        memory: int = 4096,
        temperature: float = 0.2,
        smoothing: float = 0.0,
        classes: int | None = None,
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        check_smoothing("contrastive_memory", smoothing=smoothing)
        if classes is not None:
            _check_sizes(classes=classes)
        self.classes, self.temperature, self.smoothing = classes, temperature, smoothing
        self.past = FeatureMemory(places=memory, features=features)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Value of a batch: features (n, d) and labels (n,), 0 or above; at most 0."""
        keys, key_labels = self.past.joined(features, labels)
        value = self._value(features, labels, keys=keys, key_labels=key_labels)
        if self.training:
            self.past.remember(features, labels)
        return value

    def _value(self, features: Tensor, labels: Tensor, *, keys: Tensor, key_labels: Tensor) -> Tensor:
        if self.classes is None:
            logits = gram_between(features, keys)
            return contrastive_per_anchor(
                logits,
                labels[:, None] == key_labels[None, :],
                (key_labels != EMPTY).expand_as(logits),
                temperature=self.temperature,
                smoothing=self.smoothing,
            )
        means, counts = class_means(keys, key_labels, self.classes)
        return class_log_probability(
            features, labels, means, present=counts > 0, temperature=self.temperature, smoothing=self.smoothing
        )


def _at_least_float32(features: Tensor) -> Tensor:
    return features.float() if features.dtype in (torch.float16, torch.bfloat16) else features


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
