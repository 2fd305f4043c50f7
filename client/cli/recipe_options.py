"""Options that make a training recipe; their defaults are the recipe's own."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from client.cache import digest_of_file
from client.cli.data import CLASSES_HELP, parse_classes
from client.cli.options import ZooOptions
from kernel_methods.kernels import ObjectiveName, Pooling, TrainedActivation
from registry.architectures.specs import FamilyName
from registry.names import Digest
from registry.recipes import (
    Head,
    Method,
    OptimiserName,
    OptimiserSpec,
    OutputSpec,
    PairsSpec,
    Schedule,
    TaskSpec,
    TrainingRecipe,
)
from registry.wrong_values import told

RECIPE = TrainingRecipe.model_fields
OPTIMISER: OptimiserSpec = RECIPE["optimiser"].default
OUTPUT: OutputSpec = RECIPE["output"].default

SAME_NAME = (
    "method",
    "family",
    "width",
    "modules",
    "schedule",
    "head",
    "image_size",
    "activation",
    "pooling",
    "k_min",
    "objective",
    "temperature",
    "smoothing",
    "views",
    "epochs",
    "patience",
    "seconds",
    "batch_size",
    "examples",
    "held_out_share",
    "augment",
    "cutout",
    "precision",
    "seed",
)
"""Options that the recipe has under the same name."""

LEARNING = ("learning_rate", "weight_decay")
"""Options that the optimiser has under the same name."""

MOST_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class RecipeOptions(ZooOptions):
    """Everything of a recipe that the command line offers."""

    classes: Annotated[list[str], typer.Option(help=CLASSES_HELP)] = field(default_factory=list)
    method: Annotated[Method, typer.Option(help="How hidden modules learn: on pairs, or one of the others.")] = RECIPE[
        "method"
    ].default
    family: Annotated[FamilyName, typer.Option(help="The network.")] = RECIPE["family"].default
    width: Annotated[int | None, typer.Option(help="Channels, or features, of the first layer.")] = None
    modules: Annotated[int, typer.Option(help="Hidden parts, each a module of its own.")] = RECIPE["modules"].default
    cuts: Annotated[
        str | None, typer.Option(help='Where to cut instead, such as "2,3,5": activations, from the input.')
    ] = None
    schedule: Annotated[Schedule, typer.Option(help="Modules one after the other, or all on one pass.")] = RECIPE[
        "schedule"
    ].default
    head: Annotated[Head, typer.Option(help="What modules learn through, dropped afterwards.")] = RECIPE["head"].default
    image_size: Annotated[int | None, typer.Option(help="Pixels; images are resized to a square.")] = None
    activation: Annotated[TrainedActivation, typer.Option(help="Of every layer and feature map.")] = RECIPE[
        "activation"
    ].default
    pooling: Annotated[Pooling | None, typer.Option(help="Of the feature maps of image-shaped outputs.")] = None
    k_min: Annotated[float | None, typer.Option(help="Smallest kernel value; default: what can be reached.")] = None
    objective: Annotated[ObjectiveName, typer.Option(help="What training on pairs raises.")] = RECIPE[
        "objective"
    ].default
    temperature: Annotated[float | None, typer.Option(help="Of objectives with a softmax; default: the usual.")] = None
    smoothing: Annotated[float, typer.Option(help="Share of each target that is spread evenly.")] = RECIPE[
        "smoothing"
    ].default
    pairs: Annotated[
        Path | None,
        typer.Option(help="A CSV table of known pairs, i,j,same: all that modules learn.", exists=True, dir_okay=False),
    ] = None
    partners: Annotated[int | None, typer.Option(help="Known partners that each image draws, instead of labels.")] = (
        None
    )
    unknown: Annotated[
        Literal["left-out", "prior"],
        typer.Option(help="Pairs of which nothing is known: left out, or mostly different."),
    ] = PairsSpec.model_fields["unknown"].default
    optimiser: Annotated[OptimiserName, typer.Option(help="How weights move.")] = OPTIMISER.name
    learning_rate: Annotated[float | None, typer.Option(help="Highest of the cycle; default: as usual.")] = (
        OPTIMISER.learning_rate
    )
    weight_decay: Annotated[float, typer.Option(help="Of matrices and convolutions.")] = OPTIMISER.weight_decay
    epochs: Annotated[int, typer.Option(help="Passes over the data, for each module.")] = RECIPE["epochs"].default
    patience: Annotated[int | None, typer.Option(help="Epochs to wait for a better held-out objective.")] = None
    seconds: Annotated[float | None, typer.Option(help="Time that training may take.")] = None
    batch_size: Annotated[int, typer.Option(help="Examples of a batch.")] = RECIPE["batch_size"].default
    examples: Annotated[int | None, typer.Option(help="At most so many, drawn by the seed.")] = None
    held_out_share: Annotated[float, typer.Option(help="Kept back to measure on.")] = RECIPE["held_out_share"].default
    labels_per_class: Annotated[int | None, typer.Option(help="Labels for the output module; default: all.")] = None
    output_epochs: Annotated[int, typer.Option(help="Passes of the output module.")] = OUTPUT.epochs
    output: Annotated[bool, typer.Option(help="Train an output module on labels, too.")] = True
    augment: Annotated[bool, typer.Option(help="Shift and mirror images while training.")] = RECIPE["augment"].default
    cutout: Annotated[float, typer.Option(help="Side of a square that is blanked, as a share; with --augment.")] = (
        RECIPE["cutout"].default
    )
    views: Annotated[int, typer.Option(help="Augmented views of each image in a batch, 1 or 2.")] = RECIPE[
        "views"
    ].default
    precision: Annotated[Literal["auto", "float32", "bfloat16"], typer.Option(help="Of the arithmetic.")] = RECIPE[
        "precision"
    ].default
    seed: Annotated[int, typer.Option(help="Of everything random.")] = RECIPE["seed"].default

    def recipe(self, dataset: Digest) -> TrainingRecipe:
        """The recipe for a dataset, with the digest of the table of pairs. What no recipe can have is wrong use."""
        try:
            return TrainingRecipe.model_validate(
                {
                    **{name: getattr(self, name) for name in SAME_NAME},
                    "task": TaskSpec(dataset=dataset, classes=parse_classes(self.classes)),
                    "cuts": self._cuts(),
                    "pairs": self._pairs(),
                    "optimiser": dict(OPTIMISER)
                    | {"name": self.optimiser}
                    | {name: getattr(self, name) for name in LEARNING},
                    "output": self._output(),
                }
            )
        except ValidationError as error:
            raise typer.BadParameter(
                "; ".join(told(wrong, _option(wrong["loc"])) for wrong in error.errors())
            ) from error

    def _cuts(self) -> tuple[int, ...] | None:
        """Where to cut. Raises typer.BadParameter."""
        if self.cuts is None:
            return None
        parts = [part.strip() for part in self.cuts.split(",")]
        if not all(part.isdecimal() and len(part) <= MOST_DIGITS for part in parts):
            raise typer.BadParameter(
                f"{self.cuts[:80]!r} is no list of numbers; write it as 2,3,5", param_hint="--cuts"
            )
        return tuple(int(part) for part in parts)

    def _pairs(self) -> dict[str, Digest | int | str | None] | None:
        """What is known of pairs, if labels are not to be used."""
        if self.pairs is None and self.partners is None:
            return None
        table = None if self.pairs is None else digest_of_file(self.pairs)
        return {"table": table, "partners": self.partners, "unknown": self.unknown}

    def _output(self) -> OutputSpec | None:
        """How the output module is trained, if it is."""
        if not self.output:
            return None
        asked = {"labels_per_class": self.labels_per_class, "epochs": self.output_epochs}
        return OutputSpec.model_validate(dict(OUTPUT) | asked)


def _option(place: tuple[int | str, ...]) -> str:
    """The option that a place in a recipe comes from."""
    if not place:
        return "the recipe"
    first, second = place[0], place[-1]
    if first == "optimiser":
        name = str(second) if second in LEARNING else "optimiser"
    elif first == "pairs":
        name = "partners" if second == "partners" else "pairs"
    else:
        name = "-".join(str(part) for part in place if isinstance(part, str))
    return f"--{name}".replace("_", "-")
