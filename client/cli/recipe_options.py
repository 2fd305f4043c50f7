"""Options that make a training recipe; their defaults are the recipe's own."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from client.cli.data import CLASSES_HELP, parse_classes
from client.cli.options import ZooOptions
from kernel_methods.kernels import Activation, ObjectiveName, Pooling
from registry.architectures.specs import FamilyName
from registry.names import Digest
from registry.recipes import OptimiserSpec, OutputSpec, TaskSpec, TrainingRecipe
from registry.wrong_values import told

RECIPE, OPTIMISER, OUTPUT = TrainingRecipe.model_fields, OptimiserSpec.model_fields, OutputSpec.model_fields

SAME_NAME = (
    "method",
    "family",
    "width",
    "modules",
    "image_size",
    "activation",
    "pooling",
    "k_min",
    "objective",
    "temperature",
    "epochs",
    "batch_size",
    "examples",
    "held_out_share",
    "augment",
    "precision",
    "seed",
)
"""Options that the recipe has under the same name."""


@dataclass(frozen=True, kw_only=True)
class RecipeOptions(ZooOptions):
    """Everything of a recipe that the command line offers."""

    classes: Annotated[list[str], typer.Option(help=CLASSES_HELP)] = field(default_factory=list)
    method: Annotated[
        Literal["pairwise", "end-to-end"], typer.Option(help="Modules in turn on pairs, or all at once.")
    ] = RECIPE["method"].default
    family: Annotated[FamilyName, typer.Option(help="The network.")] = RECIPE["family"].default
    width: Annotated[int | None, typer.Option(help="Channels, or features, of the first layer.")] = None
    modules: Annotated[int, typer.Option(help="Hidden parts, each a module of its own.")] = RECIPE["modules"].default
    image_size: Annotated[int | None, typer.Option(help="Pixels; images are resized to a square.")] = None
    activation: Annotated[Activation, typer.Option(help="Of every layer and feature map.")] = RECIPE[
        "activation"
    ].default
    pooling: Annotated[Pooling | None, typer.Option(help="Of the feature maps of image-shaped outputs.")] = None
    k_min: Annotated[float | None, typer.Option(help="Smallest kernel value; default: what can be reached.")] = None
    objective: Annotated[ObjectiveName, typer.Option(help="What training on pairs raises.")] = RECIPE[
        "objective"
    ].default
    temperature: Annotated[float, typer.Option(help="Of contrastive objectives.")] = RECIPE["temperature"].default
    optimiser: Annotated[Literal["sgd", "adamw"], typer.Option(help="How weights move.")] = OPTIMISER["name"].default
    learning_rate: Annotated[float, typer.Option(help="Highest of the cycle.")] = OPTIMISER["learning_rate"].default
    epochs: Annotated[int, typer.Option(help="Passes over the data, for each module.")] = RECIPE["epochs"].default
    batch_size: Annotated[int, typer.Option(help="Examples of a batch.")] = RECIPE["batch_size"].default
    examples: Annotated[int | None, typer.Option(help="At most so many, drawn by the seed.")] = None
    held_out_share: Annotated[float, typer.Option(help="Kept back to measure on.")] = RECIPE["held_out_share"].default
    labels_per_class: Annotated[int | None, typer.Option(help="Labels for the output module; default: all.")] = None
    output_epochs: Annotated[int, typer.Option(help="Passes of the output module.")] = OUTPUT["epochs"].default
    output: Annotated[bool, typer.Option(help="Train an output module on labels, too.")] = True
    augment: Annotated[bool, typer.Option("--augment", help="Shift and mirror images while training.")] = False
    precision: Annotated[Literal["auto", "float32", "bfloat16"], typer.Option(help="Of the arithmetic.")] = RECIPE[
        "precision"
    ].default
    seed: Annotated[int, typer.Option(help="Of everything random.")] = RECIPE["seed"].default

    def recipe(self, dataset: Digest) -> TrainingRecipe:
        """The recipe for a dataset. A value that no recipe can have is wrong use."""
        try:
            return TrainingRecipe.model_validate(
                {
                    **{name: getattr(self, name) for name in SAME_NAME},
                    "task": TaskSpec(dataset=dataset, classes=parse_classes(self.classes)),
                    "optimiser": {"name": self.optimiser, "learning_rate": self.learning_rate},
                    "output": self._output(),
                }
            )
        except ValidationError as error:
            raise typer.BadParameter(
                "; ".join(told(wrong, _option(wrong["loc"])) for wrong in error.errors())
            ) from error

    def _output(self) -> OutputSpec | None:
        """How the output module is trained, if it is."""
        if not self.output:
            return None
        return OutputSpec.model_validate({"labels_per_class": self.labels_per_class, "epochs": self.output_epochs})


def _option(place: tuple[int | str, ...]) -> str:
    """The option that a place in a recipe comes from."""
    name = "-".join(str(part) for part in place).replace("_", "-")
    return f"--{name}" if name else "the recipe"
