"""Similarity matching beside a prediction: two local losses, neither of which passes a gradient down."""

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from trainer.heads import Sight
from trainer.learners import Batch, Raised

MATCHING_SHARE = 0.99
"""Weight of similarity matching beside the prediction, as published."""


class SimilarityObjective(nn.Module):
    """Minus the mean squared difference of two similarity matrices, and the log-likelihood of a classifier.

    Source:
        Nokland, Eidnes (2019), Training Neural Networks with Local Error Signals, section 2.
    """

    def __init__(self, sight: Sight, matched: nn.Module, classifier: nn.Module, *, temperature: float) -> None:
        """Args: matched: what similarity is taken of, from raw outputs; classifier: from unit features to classes."""
        super().__init__()
        self.sight, self.matched, self.classifier = sight, matched, classifier
        self._temperature = temperature

    def forward(self, outputs: Tensor, batch: Batch) -> Raised:
        """The weighted sum of both, for a module's raw outputs."""
        features = self.sight(outputs)
        logits = self.classifier(features) / self._temperature
        predicted = -nnf.cross_entropy(logits, batch.labels)
        wanted = similarities(nnf.one_hot(batch.labels, logits.shape[1]).float())
        matching = -((similarities(_spread(self.matched(outputs.float()))) - wanted) ** 2).mean()
        return Raised(MATCHING_SHARE * matching + (1 - MATCHING_SHARE) * predicted, features)


def similarities(rows: Tensor) -> Tensor:
    """Cosines between rows whose own mean is taken off: shape (n, d) to (n, n)."""
    centred = rows - rows.mean(dim=1, keepdim=True)
    unit = nnf.normalize(centred, dim=1, eps=1e-8)
    return unit @ unit.T


def _spread(maps: Tensor) -> Tensor:
    """Standard deviation over the pixels of every channel; flat rows as they are. Shape (n, d)."""
    if maps.ndim != 4:
        return maps
    variance = maps.flatten(start_dim=2).var(dim=2, unbiased=False)
    return torch.sqrt(variance + 1e-6)
