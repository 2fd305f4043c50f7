"""What an inspection asks and what it finds: alignment at every boundary of a pipeline, and which part is at fault."""

from typing import Annotated, Literal

from pydantic import Field

from registry.frozen import Frozen
from registry.manifest import Role
from registry.names import DigestField
from registry.rankings import DEFAULT_SEED

DEFAULT_EXAMPLES = 2000

Finding = Literal["every_module_adds", "takes_away", "adds_nothing", "falls_short", "output_falls_short"]


class ModuleFile(Frozen):
    """One module of the pipeline: what people call it, and where its file is."""

    name: str
    file: str


class InspectionRequest(Frozen):
    """What is to be inspected: modules, the input module first, on labelled images drawn by the seed.

    Without classes, the dataset's own labels are the classes. Images that cannot be read refuse the data, or are left
    out.
    """

    modules: Annotated[tuple[ModuleFile, ...], Field(min_length=1)]
    data: str
    classes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    examples: Annotated[int, Field(ge=4)] = DEFAULT_EXAMPLES
    seed: Annotated[int, Field(ge=0)] = DEFAULT_SEED
    leave_out_broken: bool = False


class Estimate(Frozen):
    """A number and its 95 % interval, from shards of the images left out in turn."""

    value: float
    low: float
    high: float

    @property
    def is_above_zero(self) -> bool:
        """Whether the whole interval is."""
        return self.low > 0.0

    @property
    def is_below_zero(self) -> bool:
        """Whether the whole interval is."""
        return self.high < 0.0


class Boundary(Frozen):
    """One place in the network, and how well the features there tell the classes apart; larger is better.

    Block 0 of the first row stands for the images themselves. `chance` is what shuffled labels reach 5 times in 100;
    `gain` is over the boundary before, its interval that of the difference; `dead_features` are zero on every image,
    `zero_images` have no feature that is not zero.
    """

    module: str
    block: Annotated[int, Field(ge=0)]
    what: str
    ends_module: bool
    shape: tuple[int, ...]
    activation: str
    pooling: str
    features: int
    dead_features: int
    zero_images: int
    centred_alignment: Estimate
    chance: float
    p_value: float
    alignment: float | None
    upper_triangle_alignment: float | None
    same_class_kernel: float | None
    different_class_kernel: float | None
    gain: Estimate | None = None

    @property
    def is_images(self) -> bool:
        """Whether this is what goes in, before any module."""
        return self.block == 0


class InspectedModule(Frozen):
    """One module as a whole: its gain over the module before it (over the images, for the first one).

    `trained_alignment` is the centred alignment that its own file reports from training, where that was on classes of
    the same names; null for an output module, which is judged by its read-out.
    """

    name: str
    role: Role
    digest: DigestField
    stands_on_its_own: bool
    gain: Estimate | None = None
    trained_alignment: float | None = None


class ReadOut(Frozen):
    """What the output module makes of the features below it.

    `class_means_accuracy` is what the nearest class mean of the same features reaches, each part of the images told by
    the means of the parts before it; `lead` is the output module's accuracy less that, on the same images.
    """

    accuracy: Estimate
    mean_log_likelihood: Estimate
    class_means_accuracy: float
    lead: Estimate


class Verdict(Frozen):
    """Which part is at fault, in one sentence; module and block are null where none is, or no block stands out."""

    finding: Finding
    sentence: str
    module: str | None = None
    block: int | None = None


class Inspection(Frozen):
    """A pipeline on a task, from the images up."""

    verdict: Verdict
    modules: tuple[InspectedModule, ...]
    boundaries: tuple[Boundary, ...]
    read_out: ReadOut | None
    notes: tuple[str, ...]
    classes: tuple[str, ...]
    n: int
    data: DigestField
    seed: int
