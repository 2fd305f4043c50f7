"""Greedy training: every module with a classifier of its own, dropped afterwards."""

import torch.nn.functional as nnf
from torch import Tensor, nn

from trainer.heads import Sight
from trainer.learners import Batch, Raised


class GreedyObjective(nn.Module):
    """Mean log-probability of the true class by a linear classifier on what is seen of the module.

    Source:
        Belilovsky, Eickenberg, Oyallon (2019), Greedy Layerwise Learning Can Scale to ImageNet, section 3.
    """

    def __init__(self, sight: Sight, classifier: nn.Module, *, temperature: float) -> None:
        """Args: classifier: from unit features to classes; temperature: what its cosines are divided by."""
        super().__init__()
        self.sight, self.classifier = sight, classifier
        self._temperature = temperature

    def forward(self, outputs: Tensor, batch: Batch) -> Raised:
        """The log-likelihood of a module's raw outputs."""
        features = self.sight(outputs)
        logits = self.classifier(features) / self._temperature
        return Raised(-nnf.cross_entropy(logits, batch.labels), features)
