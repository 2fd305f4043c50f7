"""Pairs of which it is known whether they are of one class: tables, what follows from them, and orders to see them in.

No class has a name here. From "same as same" follow groups of examples; from one different pair between two groups
it follows that all their pairs are different. Nothing is ever as large as the square of the number of examples.
"""

import random
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

RUN_EXAMPLES = 64
PIECE_EXAMPLES = 8


@dataclass(frozen=True)
class PairCounts:
    """Numbers of distinct unordered pairs known to be of one class, and of two."""

    same: int
    different: int

    def share_of(self, examples: int) -> float:
        """Share of all pairs of so many examples that is known, in [0, 1]."""
        return (self.same + self.different) / max(examples * (examples - 1) / 2, 1.0)


@dataclass(frozen=True, eq=False)
class PairTable:
    """Which pairs of examples are said to be of one class, and which of two.

    Attributes:
        first: one example of each pair. Shape (m,), integer.
        second: the other one. Shape (m,), integer.
        same: whether the pair is of one class. Shape (m,), boolean.
        examples: number of examples n.

    Raises:
        ValueError: the arrays do not fit together, an index is out of 0..n-1, a pair is of one example with itself,
            or the pairs contradict each other, be it through "same as same".
    """

    first: Indices
    second: Indices
    same: Mask
    examples: int

    def __post_init__(self) -> None:
        _check_arrays(self.first, self.second, self.same)
        for name in ("first", "second"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.int64))
        self._check_pairs()
        self._check_consistent()

    @cached_property
    def groups(self) -> Indices:
        """Group of each example by "same as same", 0..G-1 in order of their first examples. Shape (n,)."""
        links = (np.ones(int(self.same.sum()), dtype=np.int8), (self.first[self.same], self.second[self.same]))
        graph = coo_array(links, shape=(self.examples, self.examples))
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)

    def pairs_known(self) -> PairCounts:
        """Distinct pairs that the table names, before anything is concluded from them."""
        low, high = np.minimum(self.first, self.second), np.maximum(self.first, self.second)
        keys = low * self.examples + high
        return PairCounts(same=len(np.unique(keys[self.same])), different=len(np.unique(keys[~self.same])))

    def _check_pairs(self) -> None:
        for index in (self.first, self.second):
            wrong = np.flatnonzero((index < 0) | (index >= self.examples))
            if len(wrong):
                raise ValueError(
                    f"pair {wrong[0]} names example {index[wrong[0]]}, but examples are 0 to {self.examples - 1}"
                )
        itself = np.flatnonzero(self.first == self.second)
        if len(itself):
            raise ValueError(f"pair {itself[0]} is of example {self.first[itself[0]]} with itself; leave it out")

    def _check_consistent(self) -> None:
        wrong = np.flatnonzero(~self.same & (self.groups[self.first] == self.groups[self.second]))
        if not len(wrong):
            return
        one, other = sorted((int(self.first[wrong[0]]), int(self.second[wrong[0]])))
        ends = np.sort(np.stack([self.first, self.second]), axis=0)
        directly = (self.same & (ends[0] == one) & (ends[1] == other)).any()
        how = "by another pair" if directly else "by way of other pairs"
        raise ValueError(
            f"examples {one} and {other} are different by pair {wrong[0]} and the same {how}; leave one of them out"
        )


@dataclass(frozen=True, eq=False)
class KnownPairs:
    """All that follows from known pairs: groups of one class each, and which groups are of different classes.

    Attributes:
        groups: group of each example, 0..G-1. Shape (n,), int64.
        different: true where two groups are known to be of different classes; symmetric, false on the diagonal.
            Shape (G, G), boolean.
    """

    groups: Indices
    different: csr_array

    def pairs_known(self) -> PairCounts:
        """Unordered pairs of examples known, in exact integers."""
        sizes = np.bincount(self.groups, minlength=self.different.shape[0]).astype(np.int64)
        links = self.different.tocoo()
        both_ways = (sizes[links.row] * sizes[links.col]).sum()
        return PairCounts(same=int((sizes * (sizes - 1) // 2).sum()), different=int(both_ways) // 2)


def close(table: PairTable) -> KnownPairs:
    """All that follows from a table: same as same, and different from one is different from all the same."""
    groups = table.groups
    count = int(groups.max(initial=-1)) + 1
    apart = ~table.same
    ends = groups[table.first[apart]], groups[table.second[apart]]
    return KnownPairs(groups, _between_groups(*ends, count=count))


def _between_groups(one: Indices, other: Indices, *, count: int) -> csr_array:
    rows, columns = np.concatenate([one, other]), np.concatenate([other, one])
    keys = np.unique(rows * count + columns)
    links = np.ones(len(keys), dtype=np.bool_), (keys // max(count, 1), keys % max(count, 1))
    return csr_array(coo_array(links, shape=(count, count)))


def all_pairs(labels: Indices) -> KnownPairs:
    """Every pair known: what class labels say when their names are taken away.

    Args:
        labels: class index of every example. Shape (n,), integer.

    Raises:
        ValueError: ``labels`` is not one-dimensional.
    """
    if labels.ndim != 1:
        raise ValueError(f"labels must have shape (n,), got {labels.shape}")
    classes, groups = np.unique(labels, return_inverse=True)
    return KnownPairs(groups.astype(np.int64), csr_array(~np.eye(len(classes), dtype=np.bool_)))


def draw_partners(labels: Indices, partners: int, generator: np.random.Generator) -> PairTable:
    """Simulate people who say of some pairs whether they are of one class.

    Args:
        labels: class index of every example. Shape (n,), integer.
        partners: k. With 1 the examples are matched, n // 2 pairs of them (one of an odd number stays alone); with
            more, every example draws k others, and pairs drawn from both ends count once.
        generator: source of the draw.

    Raises:
        ValueError: ``labels`` is not one-dimensional, or ``partners`` is not in 1..n-1.
    """
    if labels.ndim != 1:
        raise ValueError(f"labels must have shape (n,), got {labels.shape}")
    if not 1 <= partners < len(labels):
        raise ValueError(f"each of {len(labels)} examples can have 1 to {len(labels) - 1} partners, got {partners}")
    if partners == 1:
        order = generator.permutation(len(labels))
        first, second = order[: len(order) // 2], order[len(order) // 2 : len(order) // 2 * 2]
    else:
        first, second = _drawn(len(labels), partners, generator)
    return PairTable(first, second, labels[first] == labels[second], len(labels))


def _drawn(examples: int, partners: int, generator: np.random.Generator) -> tuple[Indices, Indices]:
    """Distinct partners of each example: Floyd's sampling without replacement, for all examples at once."""
    drawn = np.empty((examples, partners), dtype=np.int64)
    for place, last in enumerate(range(examples - 1 - partners, examples - 1)):
        pick = generator.integers(0, last + 1, examples)
        taken = (drawn[:, :place] == pick[:, None]).any(axis=1)
        drawn[:, place] = np.where(taken, last, pick)
    own = np.arange(examples)[:, None]
    others = drawn + (drawn >= own)
    keys = np.unique(np.minimum(own, others) * examples + np.maximum(own, others))
    return keys // examples, keys % examples


def known_of(known: KnownPairs, indices: Indices) -> tuple[Mask, Mask]:
    """What is known of a batch.

    Args:
        known: what is known of all examples.
        indices: the batch's examples, an example may come twice. Shape (b,), integer.

    Returns:
        Which pairs are of one class, and which are known: shape (b, b) each, both true on the diagonal.
    """
    groups = known.groups[indices]
    same: Mask = groups[:, None] == groups[None, :]
    different = known.different[groups][:, groups].toarray()
    return same, same | different


def linked_order(known: KnownPairs, generator: np.random.Generator) -> Indices:
    """An order of all examples in which a batch, any stretch of it, holds many known pairs.

    Random walks over the groups, from group to known-different group, deal out each group's examples in pieces of
    at most 8, so that a large group is not a batch of its own; the walks are cut after 64 examples and shuffled.
    Where most pairs are known a random order does better: its batches are more varied (bench/weak_labels.py).

    Args:
        known: what is known of all examples.
        generator: source of the order, another one each epoch.

    Returns:
        Every example once. Shape (n,).
    """
    draw = random.Random(int(generator.integers(2**63)))
    pieces = _pieces(known.groups, known.different.shape[0], generator)
    neighbours = _neighbours(known.different)
    waiting = [group for group, own in enumerate(pieces) for _ in own]
    draw.shuffle(waiting)
    runs: list[list[Indices]] = []
    for start in waiting:  # a group has as many starts as pieces, more than enough: some go in walks
        group: int | None = start
        while group is not None and pieces[group]:
            run, group = _walk(group, pieces=pieces, neighbours=neighbours, draw=draw)
            runs.append(run)
    draw.shuffle(runs)
    return np.concatenate([piece for run in runs for piece in run] or [np.empty(0, dtype=np.int64)])


def _pieces(groups: Indices, count: int, generator: np.random.Generator) -> list[list[Indices]]:
    """The examples of each group, in pieces of near equal size, in random order."""
    shuffled = generator.permutation(len(groups))
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]
    members = np.split(order, np.cumsum(np.bincount(groups, minlength=count))[:-1]) if count else []
    return [_cut(own) for own in members]


def _cut(examples: Indices) -> list[Indices]:
    if len(examples) > PIECE_EXAMPLES:
        return np.array_split(examples, -(-len(examples) // PIECE_EXAMPLES))
    return [examples] if len(examples) else []


def _neighbours(different: csr_array) -> list[list[int]]:
    ends, columns = different.indptr.tolist(), different.indices.tolist()
    return [columns[start:stop] for start, stop in pairwise(ends)]


def _walk(
    group: int, *, pieces: list[list[Indices]], neighbours: list[list[int]], draw: random.Random
) -> tuple[list[Indices], int | None]:
    """A run of linked pieces that is long enough, and the group where the next goes on; None where it is stuck."""
    run, length = [], 0
    while True:
        piece = pieces[group].pop()
        run.append(piece)
        length += len(piece)
        onward = _neighbour(neighbours[group], pieces=pieces, draw=draw)
        if onward is None or length >= RUN_EXAMPLES:
            return run, onward
        group = onward


def _neighbour(those: list[int], *, pieces: list[list[Indices]], draw: random.Random) -> int | None:
    """One of a group's neighbours that has examples left; the others are struck off."""
    while those:
        place = int(draw.random() * len(those))
        if pieces[those[place]]:
            return those[place]
        those[place] = those[-1]
        those.pop()
    return None


def _check_arrays(first: Indices, second: Indices, same: Mask) -> None:
    shapes = [array.shape for array in (first, second, same)]
    if first.ndim != 1 or len(set(shapes)) != 1:
        raise ValueError(f"first, second and same must have one shape (m,), got {shapes}")
    if not all(np.issubdtype(array.dtype, np.integer) for array in (first, second)) or same.dtype != np.bool_:
        raise ValueError(
            f"first and second must be integer and same boolean, got {first.dtype}, {second.dtype} and {same.dtype}"
        )
