"""Information-preserving training: keep what the inputs say, and what it says of classes."""

import torch.nn.functional as nnf
from torch import Tensor, nn

from kernel_methods.objectives import contrastive_per_anchor, gram, same_class_pairs
from trainer.heads import Sight
from trainer.learners import Batch, Raised


class InfoProObjective(nn.Module):
    """Log-probability of picking a partner of one's class, less the error of the inputs told back from the outputs.

    Close to the published method, not the same: each module reconstructs its own inputs, averaged to the size of its
    outputs, instead of the image; the contrastive term is the one of the pairwise objectives.

    Source:
        Wang, Ni, Song, Yang, Huang (2021), Revisiting Locally Supervised Learning: an Alternative to End-to-end
        Training, section 4.
    """

    def __init__(self, sight: Sight, decoder: nn.Module, *, temperature: float, weight: float) -> None:
        """Args: decoder: from raw outputs to inputs of their size; weight: of the reconstruction."""
        super().__init__()
        self.sight, self.decoder = sight, decoder
        self._temperature, self._weight = temperature, weight

    def forward(self, outputs: Tensor, batch: Batch) -> Raised:
        """The weighted sum of both, for a module's raw outputs."""
        features = self.sight(outputs)
        told = contrastive_per_anchor(gram(features), same_class_pairs(batch.labels), temperature=self._temperature)
        error = nnf.mse_loss(self.decoder(outputs.float()), shrunk(batch.inputs.float(), like=outputs))
        return Raised(told - self._weight * error, features)


def shrunk(inputs: Tensor, *, like: Tensor) -> Tensor:
    """Inputs averaged to the pixels of the outputs; flat ones as they are."""
    if inputs.ndim == 4 and like.ndim == 4:
        return nnf.adaptive_avg_pool2d(inputs, (like.shape[2], like.shape[3]))
    return inputs.flatten(start_dim=1)
