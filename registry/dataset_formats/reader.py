"""One pass over an upload: examples one at a time, faults collected, bounds kept."""

from collections.abc import Iterator
from dataclasses import dataclass

from registry.dataset_formats.candidates import (
    BrokenImageError,
    Candidate,
    DatasetLimits,
    Format,
    Pixels,
    Source,
    WrongLabel,
    pointer_to,
)
from registry.errors import InvalidDatasetError, TooLargeError
from registry.fault_list import FaultList
from registry.records import LeftOut

LEFT_OUT_KEPT = 50
REMEDY = "repair or remove them, or ask for broken images to be left out"


@dataclass(frozen=True, slots=True)
class Example:
    """One decoded image: its name in the upload, pixels of shape (h, w, c), uint8, c 1 or 3, and its label."""

    item: str
    image: Pixels
    label: str | None


class DatasetReader:
    """Iterates over the examples of one upload, once, in an order that the bytes decide.

    Faults are collected while reading and raised at the end as one InvalidDatasetError; a passed bound is
    raised at once as TooLargeError. ``left_out`` (the first ones) and ``left_out_count`` grow while reading.

    Args:
        source: the upload.
        limits: what it may amount to.
        leave_out_broken: leave images out that cannot be decoded, rather than refuse the upload.
    """

    def __init__(self, source: Source, *, limits: DatasetLimits, leave_out_broken: bool) -> None:
        """Nothing is read yet."""
        self._source, self._limits, self._leave_out_broken = source, limits, leave_out_broken
        self._broken = FaultList("broken_image")
        self._wrong = FaultList("wrong_label")
        self._decoded_bytes = 0
        self.left_out: list[LeftOut] = []
        self.left_out_count = 0

    @property
    def format(self) -> Format:
        """What the upload is."""
        return self._source.format

    @property
    def at_most(self) -> int:
        """Number of examples, or more."""
        return self._source.at_most

    def __iter__(self) -> Iterator[Example]:
        """Decode every candidate. Raises InvalidDatasetError at the end, TooLargeError at once."""
        for candidate in self.candidates():
            example = self.decode(candidate)
            if example is not None:
                yield example
        self.finish()

    def candidates(self) -> Iterator[Candidate]:
        """What may become examples, not decoded; left-out things and wrong labels are noted on the way."""
        classes: set[str] = set()
        for finding in self._source.findings:
            if isinstance(finding, Candidate):
                classes.update(() if finding.label is None else (finding.label,))
                if len(classes) > self._limits.classes:
                    raise TooLargeError(
                        f"the dataset has more than {self._limits.classes:,} classes, the most that are allowed; "
                        "check that the label column holds classes"
                    )
                yield finding
            elif isinstance(finding, WrongLabel):
                self._wrong.add(pointer_to(finding.item), f"{self._told(finding.item)}: {finding.reason}")
            else:
                self._leave_out(finding.item, finding.reason)

    def decode(self, candidate: Candidate) -> Example | None:
        """Decode one candidate before the next is asked for; None, and noted, where it is broken."""
        try:
            image = candidate.load()
        except BrokenImageError as error:
            if self._leave_out_broken:
                self._leave_out(candidate.item, str(error))
            else:
                self._broken.add(pointer_to(candidate.item), f"{self._told(candidate.item)} {error}")
            return None
        self._decoded_bytes += image.nbytes
        if self._decoded_bytes > self._limits.decoded_bytes:
            raise TooLargeError(
                f"the images decode to more than {self._limits.decoded_bytes:,} bytes, "
                "the most that are allowed; make them smaller"
            )
        return Example(candidate.item, image, candidate.label)

    def finish(self) -> None:
        """Raises InvalidDatasetError with what was wrong, labels first."""
        if self._wrong.count:
            raise InvalidDatasetError(
                f"{self._wrong.count:,} labels cannot be used: {self._wrong.told()}", faults=self._wrong.faults()
            )
        if self._broken.count:
            raise InvalidDatasetError(
                f"{self._broken.count:,} images cannot be read: {self._broken.told()}; {REMEDY}",
                faults=self._broken.faults(),
            )

    def _told(self, item: str) -> str:
        return f"row {item}" if self.format in ("parquet", "npz", "safetensors") else repr(item)

    def _leave_out(self, item: str, reason: str) -> None:
        self.left_out_count += 1
        if len(self.left_out) < LEFT_OUT_KEPT:
            self.left_out.append(LeftOut(item=item, reason=reason))
