"""What somebody states of a dataset whose bytes stay at home: enough for tasks and scores, and no image."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from registry.dataset_formats.labels import LabelError, label_name
from registry.errors import Fault, InvalidDatasetError
from registry.frozen import Asked
from registry.names import DigestField
from registry.records import Dataset
from registry.settings import Settings

Size = Annotated[int, Field(ge=1, lt=2**63)]


class DatasetStatement(Asked):
    """A dataset without its bytes: their digest and size, the classes and how many images each has, the usual shape.

    `counts` goes with `classes`; `shape` is (h, w, c) in pixels; `left_out_count` images could not be read.
    """

    digest: DigestField
    format: Literal["zip", "parquet", "npz", "safetensors"]
    size_bytes: Size
    classes: tuple[str, ...]
    counts: tuple[Size, ...]
    shape: tuple[Size, Size, Annotated[int, Field(ge=1, le=3)]]
    same_shape: bool
    left_out_count: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @classmethod
    def of(cls, dataset: Dataset) -> "DatasetStatement":
        """What is stated of a dataset; the names of what was left out are not."""
        return cls.model_validate({name: getattr(dataset, name) for name in cls.model_fields})

    def as_dataset(self, *, at: datetime) -> Dataset:
        """The record of a dataset that was only stated."""
        return Dataset(**dict(self), examples=sum(self.counts), held=False, created_at=at)


def check_statement(statement: DatasetStatement, settings: Settings) -> None:
    """Hold a statement to the bounds and rules of an upload. Raises InvalidDatasetError, each fault by itself."""
    faults = tuple(_faults(statement, settings))
    if faults:
        raise InvalidDatasetError(f"no such dataset can be: {faults[0].detail}", faults=faults)


def _faults(statement: DatasetStatement, settings: Settings) -> Iterator[Fault]:
    classes, counts = statement.classes, statement.counts
    if len(classes) < 2:
        yield Fault("/classes", f"a dataset needs images of at least two classes, got {len(classes)}")
    if len(counts) != len(classes):
        yield Fault("/counts", f"there are {len(classes)} classes and {len(counts)} counts; give one for each class")
    yield from _wrong_names(classes)
    height, width, channels = statement.shape
    if channels == 2:
        yield Fault("/shape/2", "images have 1 channel (grey) or 3 (colour), got 2")
    yield from _over("/size_bytes", statement.size_bytes, settings.dataset_limit_bytes, "bytes")
    yield from _over("/classes", len(classes), settings.dataset_limit_classes, "classes")
    yield from _over("/counts", sum(counts), settings.dataset_limit_examples, "images")
    yield from _over("/shape", height * width, settings.image_limit_pixels, "pixels an image")


def _over(pointer: str, found: int, limit: int, what: str) -> Iterator[Fault]:
    if found > limit:
        yield Fault(pointer, f"{found} {what} are over the limit of {limit}", "too_large")


def _wrong_names(classes: Iterable[str]) -> Iterator[Fault]:
    """Names that no label has, or that two classes have."""
    uses = Counter(classes)
    for place, name in enumerate(classes):
        try:
            label_name(name)
        except LabelError as error:
            yield Fault(f"/classes/{place}", str(error))
        if uses[name] > 1:
            yield Fault(f"/classes/{place}", f"the class {name[:40]!r} is named {uses[name]} times; name it once")
