"""What hidden modules may know of their examples' pairs, where no class label is to be looked at."""

import csv
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernel_methods.known_pairs import KnownPairsLookup
from kernel_methods.pairs import KnownPairs, PairTable, close, draw_partners, linked_order
from registry.errors import InvalidRecipeError
from registry.recipes import PairsSpec, TrainingRecipe
from trainer.data import TrainingData
from trainer.devices import Placement
from trainer.seeds import Purpose, stream

Integers = NDArray[np.int64]

COLUMNS = ("i", "j", "same")
TRUE, FALSE = ("1", "true", "same"), ("0", "false", "different")
MOST_PAIRS = 20_000_000
MOST_DIGITS = 12
MOST_SHOWN = 80
DENSE_SHARE = 0.5
"""Share of all pairs known from which a random order holds enough of them; linked batches are less varied."""


@dataclass(frozen=True, slots=True)
class PairsOfRun:
    """Known pairs of a run's training examples, closed under "same as same", on the device.

    `pairs_known` counts what was told, before the closure; `prior` is the share of same-class pairs among it, where
    pairs that are not known are to count by it. `dense` says that most pairs are known after the closure.
    """

    known: KnownPairs
    lookup: KnownPairsLookup
    pairs_known: int
    prior: float | None
    dense: bool = False

    @classmethod
    def of(cls, table: PairTable, spec: PairsSpec, placement: Placement) -> "PairsOfRun":
        """Close a table. Raises InvalidRecipeError where it contradicts itself."""
        try:
            known = close(table)
        except ValueError as error:
            raise InvalidRecipeError(f"the table of pairs cannot be used: {error}") from error
        told = table.pairs_known()
        count = told.same + told.different
        prior = told.same / count if spec.unknown == "prior" else None
        lookup = KnownPairsLookup.of(known).to(placement.device)
        return cls(known, lookup, count, prior, dense=known.pairs_known().share_of(table.examples) >= DENSE_SHARE)

    def to(self, device: torch.device) -> "PairsOfRun":
        """The same, its lookups on another device."""
        return replace(self, lookup=KnownPairsLookup.of(self.known).to(device))  # a lookup moves in place

    def of_batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Which pairs of these examples are of one class, and which are known. Shape (n, n) each."""
        same, known = self.lookup(indices)
        return same, known

    def order(self, generator: torch.Generator) -> Tensor:
        """All examples in an order that brings known pairs into the same batch. Shape (n,), int64."""
        if self.dense:
            return torch.randperm(len(self.known.groups), generator=generator, device=generator.device)
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        return torch.from_numpy(linked_order(self.known, np.random.default_rng(seed))).to(generator.device)


def known_pairs(
    recipe: TrainingRecipe, data: TrainingData, training: Integers, placement: Placement
) -> PairsOfRun | None:
    """What is known of the pairs of the training examples, or None where their labels may be used.

    Args:
        recipe: its `pairs` say whether a table is given or partners are drawn.
        data: with the table, where one is given.
        training: which of its examples are trained on. Shape (n,).
        placement: where the lookups happen.

    Raises:
        InvalidRecipeError: the table is missing, contradicts itself, or says nothing of these examples.
    """
    if recipe.pairs is None:
        return None
    if recipe.pairs.partners is not None:
        return PairsOfRun.of(_drawn(recipe.pairs.partners, data.labels[training], recipe), recipe.pairs, placement)
    if data.pairs is None:
        raise InvalidRecipeError(f"the recipe learns from the pairs of {recipe.pairs.table}, but no table is given")
    return PairsOfRun.of(among(data.pairs, training), recipe.pairs, placement)


def _drawn(partners: int, labels: Integers, recipe: TrainingRecipe) -> PairTable:
    """Partners of every example. Raises InvalidRecipeError where there are too few examples to draw from."""
    try:
        return draw_partners(labels, partners, stream(recipe.seed, Purpose.PAIRS))
    except ValueError as error:
        raise InvalidRecipeError(f"partners cannot be drawn for {len(labels)} training images: {error}") from error


def among(table: PairTable, chosen: Integers) -> PairTable:
    """The pairs whose two examples are both chosen, as positions among those.

    Raises:
        InvalidRecipeError: there is none.
    """
    place = np.full(table.examples, -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    first, second = place[table.first], place[table.second]
    kept = (first >= 0) & (second >= 0)
    if not kept.any():
        raise InvalidRecipeError(
            f"none of the {len(table.first)} pairs is among the {len(chosen)} training images; give more pairs, "
            "or hold back and leave out fewer images"
        )
    return PairTable(first[kept], second[kept], table.same[kept], examples=len(chosen))


def read_pairs(path: Path, *, rows: Integers, images: int) -> PairTable:
    """A table of pairs from a CSV file with the columns i, j and same.

    Args:
        path: i and j count the images of the dataset from 0, in the order of its rows, or of its sorted paths in a
            zip or folder; same is 1 or 0.
        rows: of which images there are examples, ascending; the table is told in positions among them.
        images: how many the dataset has.

    Raises:
        InvalidRecipeError: the file is no such table; the sentence has the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = _table(csv.reader(file), images=images)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRecipeError(f"the table of pairs is not a CSV file of text: {error}") from error
    try:
        whole = PairTable(table[:, 0], table[:, 1], table[:, 2] == 1, examples=images)
    except ValueError as error:
        raise InvalidRecipeError(f"the table of pairs cannot be used: {error}") from error
    return among(whole, rows)


def _table(lines: Iterator[list[str]], *, images: int) -> Integers:
    """All lines behind the head. Shape (m, 3), m at least 1. Raises InvalidRecipeError."""
    head = tuple(cell.strip().lower() for cell in next(lines, []))
    if head != COLUMNS:
        raise InvalidRecipeError(
            f"a table of pairs begins with the line i,j,same; this one with {shortened(','.join(head))!r}"
        )
    read = array("q")
    for number, cells in enumerate(lines, start=2):
        if cells:
            read.extend(_pair(cells, number=number, images=images))
        if len(read) > 3 * MOST_PAIRS:
            raise InvalidRecipeError(f"the table has more than {MOST_PAIRS:,} pairs; give some of them")
    if not read:
        raise InvalidRecipeError("the table of pairs is empty; give at least one line i,j,same")
    return np.array(read, dtype=np.int64).reshape(-1, 3)


def _pair(cells: list[str], *, number: int, images: int) -> tuple[int, int, int]:
    """One line. Raises InvalidRecipeError."""
    told = [cell.strip().lower() for cell in cells]
    sound = len(told) == 3 and all(cell.isdecimal() and len(cell) <= MOST_DIGITS for cell in told[:2])
    if not sound or told[2] not in TRUE + FALSE:
        raise InvalidRecipeError(
            f"line {number} of the table of pairs is {shortened(','.join(cells))!r}; "
            "it needs the numbers of two images, and 1 or 0"
        )
    first, second = int(told[0]), int(told[1])
    if max(first, second) >= images:
        raise InvalidRecipeError(
            f"line {number} of the table of pairs names image {max(first, second)}; the dataset has {images}, "
            f"0 to {images - 1}"
        )
    return first, second, int(told[2] in TRUE)


def shortened(text: str) -> str:
    """No more of a text than a sentence can hold."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
