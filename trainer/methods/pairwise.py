"""The method: kernel values of same-class pairs up, of different-class pairs down, through the feature map."""

from torch import Tensor, nn

from kernel_methods.objective_modules import build_objective
from kernel_methods.objectives_known import known_pair_objective
from registry.recipes import TrainingRecipe
from registry.training_plan import undefined_objective
from trainer.heads import Sight
from trainer.learners import Batch, PairKnowledge, Raised


class PairwiseObjective(nn.Module):
    """A proxy objective of pairs whose classes are known to be the same or not, from class labels.

    Source:
        Duan, Yu, Principe (2022), Modularizing Deep Learning via Pairwise Learning With Kernels.
    """

    def __init__(self, sight: Sight, recipe: TrainingRecipe, *, classes: int) -> None:
        """Raises InvalidRecipeError where the objective is undefined for the feature map."""
        super().__init__()
        self.sight = sight
        self.of_features = _of_features(recipe, sight, classes=classes)

    def forward(self, outputs: Tensor, batch: Batch) -> Raised:
        """The objective of a module's raw outputs."""
        features = self.sight(outputs)
        return Raised(self.of_features(features, batch.labels), features)


class KnownPairsObjective(nn.Module):
    """The same from pairs alone: which are known to be the same, which to be different; no label is looked at."""

    def __init__(self, sight: Sight, recipe: TrainingRecipe, known: PairKnowledge) -> None:
        """Raises InvalidRecipeError where the objective is undefined for the feature map."""
        super().__init__()
        self.sight = sight
        self._known = known
        phi = sight.phi
        try:
            self._of_features = known_pair_objective(
                recipe.objective,
                k_min=phi.k_min,
                k_max=phi.k_max,
                temperature=recipe.usual_temperature,
                smoothing=recipe.smoothing,
                unknown=known.prior,
            )
        except ValueError as error:
            raise undefined_objective(recipe, phi, error) from error

    def forward(self, outputs: Tensor, batch: Batch) -> Raised:
        """The objective of a module's raw outputs."""
        features = self.sight(outputs)
        same, known = self._known.of_batch(batch.indices)
        return Raised(self._of_features(features, same, known), features)


def _of_features(recipe: TrainingRecipe, sight: Sight, *, classes: int) -> nn.Module:
    phi = sight.phi
    try:
        return build_objective(
            recipe.objective,
            k_min=phi.k_min,
            k_max=phi.k_max,
            temperature=recipe.usual_temperature,
            smoothing=recipe.smoothing,
            classes=classes,
            features=sight.size,
        )
    except ValueError as error:
        raise undefined_objective(recipe, phi, error) from error
