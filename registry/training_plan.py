"""What a recipe makes of a task: the modules to train, their feature maps, and what each takes; without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kernel_methods.kernels import (
    Activation,
    Pooling,
    attainable_k_min,
    check_objective,
    pooled_features,
    pooling_grid,
)
from registry.architectures.contracts import Bounds, TensorType, check_parameters, gives
from registry.architectures.presets import backbone, cut_points, output_module, split, split_at
from registry.architectures.specs import BlockSpec, BlocksSpec
from registry.errors import InvalidRecipeError
from registry.heads import head_blocks, shared_blocks
from registry.manifest import FeatureMap
from registry.recipes import TrainingRecipe
from registry.records import Dataset

AVERAGES: tuple[Pooling, ...] = ("average", "average-2x2", "average-4x4")
FEWEST_FEATURES = 64
DEFAULT_SIDE = 32
LARGEST_KEPT_SIDE = 128


@dataclass(frozen=True, slots=True)
class PlannedHead:
    """Blocks on top of a module that only its training needs, and the feature map behind them.

    `shared` of its first blocks have the weights that the next module's first blocks will have: handed on as a
    warm start.
    """

    architecture: BlocksSpec
    gives: TensorType
    feature_map: FeatureMap
    shared: int = 0


@dataclass(frozen=True, slots=True)
class PlannedModule:
    """One module to be: its blocks, its contract, its feature map, and the head that it learns through, if any."""

    architecture: BlocksSpec
    takes: TensorType
    gives: TensorType
    feature_map: FeatureMap
    head: PlannedHead | None = None

    @property
    def seen_through(self) -> FeatureMap:
        """The feature map that the objective looks through while the module learns."""
        return self.head.feature_map if self.head is not None else self.feature_map

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """Shape of what that feature map is taken of."""
        return (self.head or self).gives.shape


@dataclass(frozen=True, slots=True)
class PlannedOutput:
    """The output module to be."""

    architecture: BlocksSpec
    takes: TensorType
    gives: TensorType


@dataclass(frozen=True, slots=True)
class Plan:
    """The input module, the hidden modules above it, and the output module where the recipe wants one."""

    hidden: tuple[PlannedModule, ...]
    output: PlannedOutput | None


def training_shape(recipe: TrainingRecipe, *, shape: tuple[int, int, int], same_shape: bool) -> tuple[int, int, int]:
    """The shape of the images that a recipe trains on: its own size, or the one they have, or squares of 32 pixels.

    Args:
        recipe: its `image_size` decides where it has one.
        shape: (h, w, c) of the images, in pixels; c is 3 as soon as one of them is in colour.
        same_shape: whether all of them have this height and width.

    Returns:
        (c, h, w): one size that all images have is kept up to 128 pixels a side.
    """
    height, width, channels = shape
    if recipe.image_size is not None:
        return channels, recipe.image_size, recipe.image_size
    if same_shape and max(height, width) <= LARGEST_KEPT_SIDE:
        return channels, height, width
    return channels, DEFAULT_SIDE, DEFAULT_SIDE


def check_recipe(recipe: TrainingRecipe, dataset: Dataset, counts: Mapping[str, int], *, parameter_limit: int) -> None:
    """Refuse, before anything is queued, what arithmetic already knows cannot be trained.

    Args:
        recipe: what is asked for.
        dataset: what it is to learn from.
        counts: examples of each class of its task.
        parameter_limit: most parameters of one module.

    Raises:
        InvalidRecipeError: the objective, k_min or the labels asked for are not to be had.
        InvalidArchitectureError: the family cannot take such images, be cut so often, or is too large.
    """
    _check_labels(recipe, counts)
    if dataset.same_shape or recipe.image_size is not None:  # else only the images that are drawn can tell
        shape = training_shape(recipe, shape=dataset.shape, same_shape=dataset.same_shape)
        _check_plan(recipe, TensorType(shape=shape), classes=len(counts), parameter_limit=parameter_limit)


def _check_plan(recipe: TrainingRecipe, takes: TensorType, *, classes: int, parameter_limit: int) -> None:
    plan = plan_modules(recipe, takes=takes, classes=classes)
    for module in plan.hidden:
        check_parameters(module.architecture, bounds=Bounds(parameters=parameter_limit))
        if recipe.method == "pairwise":
            _check_objective(recipe, module.seen_through)


def _check_labels(recipe: TrainingRecipe, counts: Mapping[str, int]) -> None:
    asked = recipe.output.labels_per_class if recipe.output is not None else None
    smallest = min(counts, key=lambda name: counts[name])
    if asked is not None and asked > counts[smallest]:
        raise InvalidRecipeError(
            f"class {smallest!r} has {counts[smallest]} images, the recipe asks for {asked} labels of each class; "
            "ask for fewer, or leave labels_per_class out"
        )


def _check_objective(recipe: TrainingRecipe, phi: FeatureMap) -> None:
    try:
        check_objective(recipe.objective, k_min=phi.k_min)
    except ValueError as error:
        raise undefined_objective(recipe, phi, error) from error


def undefined_objective(recipe: TrainingRecipe, phi: FeatureMap, error: ValueError) -> InvalidRecipeError:
    """The error for an objective that a feature map cannot have."""
    return InvalidRecipeError(f"objective {recipe.objective} with {phi.activation}: {error}")


def plan_modules(recipe: TrainingRecipe, *, takes: TensorType, classes: int) -> Plan:
    """Lay out a recipe's modules for inputs of type ``takes`` and this many classes.

    Raises:
        InvalidRecipeError: there are fewer than two classes, or k_min is not attainable.
        InvalidArchitectureError: the family cannot take such inputs, or has not so many places to cut.
    """
    if classes < 2 and (recipe.pairs is None or recipe.output is not None):
        raise InvalidRecipeError(f"pairs need at least two classes, the task has {classes}; add a class")
    blocks = backbone(recipe.family, takes, width=recipe.width, activation=recipe.activation)
    hidden: list[PlannedModule] = []
    architectures = _cut(recipe, blocks, takes)
    for index in range(len(architectures)):
        hidden.append(_plan_hidden(recipe, takes, classes=classes, architectures=architectures[index:]))
        takes = hidden[-1].gives
    output = _plan_output(hidden[-1], classes=classes) if recipe.output is not None else None
    return Plan(tuple(hidden), output)


def _cut(recipe: TrainingRecipe, blocks: Sequence[BlockSpec], takes: TensorType) -> tuple[BlocksSpec, ...]:
    """The hidden modules: cut where the recipe says, or into parts of about the same work."""
    if recipe.cuts is None:
        return split(blocks, recipe.modules, takes)
    places = cut_points(blocks)
    beyond = [cut for cut in recipe.cuts if cut >= len(places)]
    if beyond:
        raise InvalidRecipeError(
            f"cut {beyond[0]} is not there: {recipe.family} can be cut at 0 to {len(places) - 1}, "
            "the number of the activation, counted from the input"
        )
    return split_at(blocks, [places[cut] for cut in recipe.cuts])


def _plan_hidden(
    recipe: TrainingRecipe, takes: TensorType, *, classes: int, architectures: Sequence[BlocksSpec]
) -> PlannedModule:
    """The first of these modules, with the head that it learns through."""
    own, *following = architectures
    outputs = gives(own, takes)
    above = [block for architecture in following for block in architecture.blocks]
    blocks = head_blocks(recipe.head, outputs, above=above, activation=recipe.activation)
    head = None
    if blocks is not None and not recipe.joint:
        seen = gives(blocks, outputs)
        phi = choose_feature_map(recipe, outputs=seen, classes=classes)
        shared = shared_blocks(blocks, following[0]) if recipe.head == "look-ahead" else 0
        head = PlannedHead(blocks, seen, phi, shared=shared)
    return PlannedModule(own, takes, outputs, choose_feature_map(recipe, outputs=outputs, classes=classes), head)


def _plan_output(below: PlannedModule, *, classes: int) -> PlannedOutput:
    phi = below.feature_map
    architecture = output_module(below.gives, activation=phi.activation, pooling=phi.pooling, classes=classes)
    return PlannedOutput(architecture, below.gives, gives(architecture, below.gives))


def choose_feature_map(recipe: TrainingRecipe, *, outputs: TensorType, classes: int) -> FeatureMap:
    """The feature map behind a module: flat outputs are never pooled, images are averaged.

    Raises:
        InvalidRecipeError: the recipe's k_min is below what the activation's unit vectors can reach.
    """
    spatial = len(outputs.shape) == 3
    pooling: Pooling = (recipe.pooling or default_pooling(outputs)) if spatial else "none"
    k_min = default_k_min(recipe.activation, classes=classes) if recipe.k_min is None else recipe.k_min
    lowest = attainable_k_min(recipe.activation)
    if not lowest <= k_min < 1:
        raise InvalidRecipeError(
            f"{recipe.activation} features have kernel values in [{lowest}, 1], k_min={k_min} is outside; "
            "leave k_min out to get what can be reached"
        )
    return FeatureMap(activation=recipe.activation, pooling=pooling, k_min=k_min)


def default_pooling(outputs: TensorType) -> Pooling:
    """The coarsest average that leaves at least 64 features of images, or else the finest that fits.

    Narrow early modules need it: k_min is out of reach of all pairs where there are fewer features than classes.
    """
    side = min(outputs.shape[1:])
    fitting = [pooling for pooling in AVERAGES if pooling_grid(pooling) <= side]
    enough = [pooling for pooling in fitting if pooled_features(outputs.shape, pooling) >= FEWEST_FEATURES]
    return enough[0] if enough else fitting[-1]


def default_k_min(activation: Activation, *, classes: int) -> float:
    """Smallest kernel value that all different-class pairs can reach together.

    Returns:
        0 for ReLU and the sigmoid; for tanh -1 / (classes - 1), the simplex: -1 for two classes.

    Source:
        Duan, Yu, Principe (2022), Modularizing Deep Learning via Pairwise Learning With Kernels.
    """
    return max(attainable_k_min(activation), -1.0 / max(classes - 1, 1))
