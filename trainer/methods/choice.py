"""The local objective of a hidden module, by the recipe's method."""

from math import prod
from typing import assert_never

from torch import nn

from registry.architectures.specs import BlocksSpec, Conv2dSpec, FlattenSpec, LinearSpec
from registry.training_plan import PlannedModule
from trainer.heads import Sight
from trainer.methods.greedy import GreedyObjective
from trainer.methods.infopro import InfoProObjective
from trainer.methods.pairwise import KnownPairsObjective, PairwiseObjective
from trainer.methods.similarity import SimilarityObjective
from trainer.seeds import Purpose
from trainer.workbench import Workbench

CLASSIFIER_TEMPERATURE = 0.1
CONTRASTIVE_TEMPERATURE = 0.2
RECONSTRUCTION_WEIGHT = 1.0


def fresh_head(bench: Workbench, planned: PlannedModule, *, index: int) -> nn.Sequential:
    """The head of the hidden module at ``index`` with new weights; empty where it has none."""
    if planned.head is None:
        return nn.Sequential()
    return bench.fresh(planned.head.architecture, index=index, purpose=Purpose.HEADS)


def local_objective(bench: Workbench, planned: PlannedModule, head: nn.Sequential, *, index: int) -> nn.Module:
    """What the hidden module at ``index`` raises, looking through a head; whatever is dropped afterwards is new.

    Raises:
        InvalidRecipeError: the objective is undefined for this feature map.
        ValueError: the method has no local objectives.
    """
    recipe = bench.recipe
    sight = Sight(planned, head, bench.placement)
    match recipe.method:
        case "pairwise":
            if bench.known is not None:
                return KnownPairsObjective(sight, recipe, bench.known)
            return bench.placement.place(PairwiseObjective(sight, recipe, classes=len(bench.classes)))
        case "greedy":
            return GreedyObjective(sight, _classifier(bench, sight, index), temperature=CLASSIFIER_TEMPERATURE)
        case "similarity":
            matched = _same_size(bench, planned, index)
            classifier = _classifier(bench, sight, index)
            return SimilarityObjective(sight, matched, classifier, temperature=CLASSIFIER_TEMPERATURE)
        case "infopro":
            decoder = _decoder(bench, planned, index)
            return InfoProObjective(sight, decoder, temperature=CONTRASTIVE_TEMPERATURE, weight=RECONSTRUCTION_WEIGHT)
        case "end-to-end":
            raise ValueError("end-to-end training has one objective for all modules")
        case _:
            assert_never(recipe.method)


def _classifier(bench: Workbench, sight: Sight, index: int) -> nn.Sequential:
    """A linear map from unit features to classes."""
    linear = LinearSpec(in_features=sight.size, out_features=len(bench.classes))
    return bench.fresh(BlocksSpec(blocks=(linear,)), index=index, purpose=Purpose.CLASSIFIERS)


def _same_size(bench: Workbench, planned: PlannedModule, index: int) -> nn.Sequential:
    """A linear map of the outputs onto as many: a convolution for images."""
    return _linear_map(bench, planned.gives.shape, channels=planned.gives.shape[0], index=index)


def _decoder(bench: Workbench, planned: PlannedModule, index: int) -> nn.Sequential:
    """A linear map from the outputs back to the inputs, at the outputs' size."""
    takes, gives = planned.takes.shape, planned.gives.shape
    flat = len(takes) != 3 or len(gives) != 3
    return _linear_map(bench, gives, channels=prod(takes) if flat else takes[0], index=index)


def _linear_map(bench: Workbench, shape: tuple[int, ...], *, channels: int, index: int) -> nn.Sequential:
    spec = (
        BlocksSpec(blocks=(Conv2dSpec(in_channels=shape[0], out_channels=channels, kernel=3, padding=1),))
        if len(shape) == 3
        else BlocksSpec(blocks=(FlattenSpec(), LinearSpec(in_features=prod(shape), out_features=channels)))
    )
    return bench.fresh(spec, index=index, purpose=Purpose.DECODERS)
