"""What a spec takes, gives, weighs and costs, and whether modules fit one after the other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Annotated, Literal, Self, assert_never

from pydantic import Field, model_validator

from registry.architectures.arithmetic import (
    RUNNING_STATISTICS,
    BlockMisfitError,
    multiply_adds_of,
    output_shape,
    tensor_shapes,
)
from registry.architectures.families import family_blocks
from registry.architectures.specs import (
    ArchitectureSpec,
    ArithmeticSpec,
    BackboneSpec,
    BlockSpec,
    BlocksSpec,
    LeNet5Spec,
    MlpSpec,
    ResNetSpec,
    TimmSpec,
    TorchvisionSpec,
)
from registry.errors import Fault, InvalidArchitectureError
from registry.fault_list import escaped
from registry.frozen import Frozen

MAX_TENSOR_VALUES = 2**24
MAX_PIPELINE_MODULES = 64
MAX_BACKBONE_TENSORS = 10_000


class TensorType(Frozen):
    """Type of a tensor that flows between modules; the batch is left out of the shape."""

    dtype: Literal["float32"] = "float32"
    shape: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=1, le=MAX_TENSOR_VALUES)], ...],
        Field(min_length=1, max_length=3),
    ]

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        if prod(self.shape) > MAX_TENSOR_VALUES:
            raise ValueError(f"{self} has {prod(self.shape):,} values an example; at most {MAX_TENSOR_VALUES:,}")
        return self

    def __str__(self) -> str:
        """The form that searches take too: ``float32[3,32,32]``."""
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


class ShapeContract(Frozen):
    """What a module takes and what it gives."""

    takes: TensorType
    gives: TensorType


@dataclass(frozen=True, slots=True)
class TensorEntrySpec:
    """Shape and dtype of one tensor of a module's weights, the dtype as safetensors writes it."""

    shape: tuple[int, ...]
    dtype: str = "F32"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that an architecture may amount to."""

    parameters: int = 1_000_000_000
    activations: int = 2**26
    multiply_adds: int = 2**40


DEFAULT_BOUNDS = Bounds()


def blocks_of(spec: ArithmeticSpec) -> tuple[BlockSpec, ...]:
    """The blocks of an architecture, written out.

    Raises:
        InvalidArchitectureError: the part of a family is empty or reaches beyond its list.
    """
    if isinstance(spec, BlocksSpec):
        return spec.blocks
    blocks = family_blocks(spec)
    stop = len(blocks) if spec.stop is None else spec.stop
    if not spec.start < stop <= len(blocks):
        raise _refusal(
            f"{spec.family} has blocks 0 to {len(blocks)} with these arguments; "
            f"start {spec.start} and stop {stop} are no part of them",
            pointer="/architecture/stop",
        )
    return blocks[spec.start : stop]


def gives(spec: ArithmeticSpec, takes: TensorType, *, bounds: Bounds = DEFAULT_BOUNDS) -> TensorType:
    """Type of an architecture's outputs for inputs of type ``takes``, by arithmetic.

    Raises:
        InvalidArchitectureError: a block does not fit, or the whole is over a bound; with a pointer.
    """
    check_parameters(spec, bounds=bounds)
    shapes = [after for _, after in _shapes(spec, takes)]
    _check_bound(sum(prod(shape) for shape in shapes), bounds.activations, "activations an example")
    _check_bound(multiply_adds(spec, takes), bounds.multiply_adds, "multiply-adds an example")
    return TensorType(shape=shapes[-1])


def _shapes(spec: ArithmeticSpec, takes: TensorType) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Shape before and after every block."""
    before = takes.shape
    for index, block in enumerate(blocks_of(spec)):
        pointer = f"/architecture/blocks/{index}" if isinstance(spec, BlocksSpec) else "/architecture"
        try:
            after = output_shape(block, before)
        except BlockMisfitError as error:
            raise _refusal(f"block {index}, {block.block}, {error}", pointer=pointer) from error
        if prod(after) > MAX_TENSOR_VALUES:
            seen = f"block {index}, {block.block}, gives {after}: {prod(after):,} values an example"
            raise _refusal(f"{seen}; at most {MAX_TENSOR_VALUES:,} are allowed", pointer=pointer)
        yield before, after
        before = after


def tensors(spec: ArithmeticSpec) -> dict[str, TensorEntrySpec]:
    """Name, shape and dtype of every tensor of the weights, as in the state of the torch module."""
    return {
        f"{index}.{name}": TensorEntrySpec(shape)
        for index, block in enumerate(blocks_of(spec))
        for name, shape in tensor_shapes(block).items()
    }


def parameter_count(spec: ArchitectureSpec) -> int:
    """Number of trained values; running statistics of batch norm are left out. A backbone says its own."""
    match spec:
        case TorchvisionSpec() | TimmSpec():
            return spec.parameters
        case BlocksSpec() | LeNet5Spec() | MlpSpec() | ResNetSpec():
            shapes = {name: entry.shape for name, entry in tensors(spec).items()}
            return trained_values(shapes)
        case _:
            assert_never(spec)


def trained_values(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Number of values in tensors of these names and shapes, running statistics of batch norm left out."""
    return sum(prod(shape) for name, shape in shapes.items() if not name.endswith(RUNNING_STATISTICS))


def check_parameters(spec: ArchitectureSpec, *, bounds: Bounds = DEFAULT_BOUNDS) -> None:
    """Raises InvalidArchitectureError where an architecture has more parameters than the bound."""
    _check_bound(parameter_count(spec), bounds.parameters, "parameters")


def multiply_adds(spec: ArithmeticSpec, takes: TensorType) -> int:
    """Multiplications of one example's pass through all linear maps and convolutions.

    Raises:
        InvalidArchitectureError: a block does not fit.
    """
    return sum(multiply_adds_of_blocks(spec, takes))


def multiply_adds_of_blocks(spec: ArithmeticSpec, takes: TensorType) -> tuple[int, ...]:
    """Multiplications of one example's pass, block for block.

    Raises:
        InvalidArchitectureError: a block does not fit.
    """
    before = [shape for shape, _ in _shapes(spec, takes)]
    return tuple(map(multiply_adds_of, blocks_of(spec), before))


def _check_bound(count: int, bound: int, what: str) -> None:
    if count > bound:
        raise _refusal(f"the architecture has {count:,} {what}; at most {bound:,} are allowed")


def _refusal(detail: str, *, pointer: str = "/architecture") -> InvalidArchitectureError:
    return InvalidArchitectureError(detail, faults=[Fault(pointer, detail, "invalid_architecture")])


def check_tensors(spec: ArchitectureSpec, entries: Mapping[str, TensorEntrySpec]) -> tuple[Fault, ...]:
    """Every way in which a file's tensors differ from those of an architecture; none if they are the same.

    Of a backbone it is known here how many values it has, not under which names: `registry.networks` compares those.

    Args:
        spec: the architecture.
        entries: name, shape and dtype of every tensor in the file.
    """
    match spec:
        case TorchvisionSpec() | TimmSpec():
            return tuple(_backbone_faults(spec, entries))
        case BlocksSpec() | LeNet5Spec() | MlpSpec() | ResNetSpec():
            return compare_tensors(tensors(spec), entries)
        case _:
            assert_never(spec)


def compare_tensors(wanted: Mapping[str, TensorEntrySpec], entries: Mapping[str, TensorEntrySpec]) -> tuple[Fault, ...]:
    """Every way in which tensors differ from those that are wanted: missing ones, others, and unknown ones."""
    sentences = {name: f"is missing; the architecture has it as {_told(wanted[name])}" for name in wanted}
    sentences = {name: said for name, said in sentences.items() if name not in entries}
    for name, entry in entries.items():
        if name not in wanted:
            sentences[name] = f"is {_told(entry)}, but the architecture has no such tensor"
        elif entry != wanted[name]:
            sentences[name] = f"is {_told(entry)}, but the architecture has it as {_told(wanted[name])}"
    return tuple(_tensor_fault(name, said) for name, said in sentences.items())


def _backbone_faults(spec: BackboneSpec, entries: Mapping[str, TensorEntrySpec]) -> Iterator[Fault]:
    """What can be said of a backbone's tensors without building it."""
    if len(entries) > MAX_BACKBONE_TENSORS:
        said = f"the file has {len(entries):,} tensors; at most {MAX_BACKBONE_TENSORS:,} are allowed"
        yield Fault("/tensors", said, "invalid_weights")
    for name, entry in entries.items():
        if entry.dtype != "F32":
            yield _tensor_fault(name, f"is {_told(entry)}; weights are F32, and counts of batches are left out")
    counted = trained_values({name: entry.shape for name, entry in entries.items()})
    if counted != spec.parameters:
        said = f"the tensors hold {counted:,} trained values, but the architecture says {spec.parameters:,} parameters"
        yield Fault("/tensors", said, "invalid_weights")


def _tensor_fault(name: str, said: str) -> Fault:
    return Fault(f"/tensors/{escaped(name)}", f"tensor {name[:200]!r} {said}", "invalid_weights")


def _told(entry: TensorEntrySpec) -> str:
    return f"{entry.dtype} {entry.shape}"


@dataclass(frozen=True, slots=True)
class Link:
    """One module of a pipeline to be: its pinned reference or digest, its role, and its contract."""

    module: str
    role: str
    takes: TensorType
    gives: TensorType


def check_chain(links: Sequence[Link | None]) -> tuple[Fault, ...]:
    """Every reason why modules do not make a pipeline, in order of position; none if they do.

    Args:
        links: the modules in the order in which they would run; None stands for one that is not known, of
            which nothing is said here.

    Returns:
        Faults at ``/modules/{position}``, or at ``/modules`` where the number of modules is wrong.
    """
    faults = [*_role_faults(links), *_repetition_faults(links), *_shape_faults(links)]
    faults.sort(key=lambda fault: fault[0])
    ordered = tuple(Fault(f"/modules/{index}", said, code) for index, said, code in faults)
    if 2 <= len(links) <= MAX_PIPELINE_MODULES:
        return ordered
    seen = f"a pipeline has 2 to {MAX_PIPELINE_MODULES} modules, not {len(links)}"
    remedy = "give an input module, hidden modules if any, and an output module"
    return (Fault("/modules", f"{seen}; {remedy}", "pipeline_length"), *ordered)


_Found = tuple[int, str, str]
"""Position, sentence and code of a fault."""


def _role_faults(links: Sequence[Link | None]) -> Iterator[_Found]:
    last = len(links) - 1
    for index, link in enumerate(links):
        wanted = "input" if index == 0 else "output" if index == last else "hidden"
        if link is not None and link.role != wanted:
            seen = f"{link.module} at position {index} is of role {link.role}"
            remedy = f"the first module is an input module, the last an output module: put one of role {wanted}"
            yield index, f"{seen}; {remedy} here", "wrong_role"


def _repetition_faults(links: Sequence[Link | None]) -> Iterator[_Found]:
    first: dict[str, int] = {}
    for index, link in enumerate(links):
        if link is not None and first.setdefault(link.module, index) != index:
            seen = f"{link.module} is at position {first[link.module]} already"
            yield index, f"{seen}; a pipeline runs a module once", "repeated_module"


def _shape_faults(links: Sequence[Link | None]) -> Iterator[_Found]:
    for index, (below, above) in enumerate(pairwise(links), start=1):
        if below is not None and above is not None and above.takes != below.gives:
            seen = f"{above.module} takes {above.takes}, but {below.module} below it gives {below.gives}"
            yield index, f"{seen}; choose modules that agree", "shape_misfit"
