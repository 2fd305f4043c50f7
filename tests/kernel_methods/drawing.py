"""Labelled features to test on: unbalanced classes, zero rows, fewer or more examples than dimensions."""

import numpy as np
from hypothesis import strategies as st

RANGES = [(0.0, 1.0), (-1.0, 1.0), (-0.25, 1.0), (0.1, 0.9)]


def clustered(seed, *, examples, dimensions, classes, separation=0.5, zero_rows=0):
    """ReLU features around class centres, and labels of unequal classes with at least two of the first two."""
    draw = np.random.default_rng(seed)
    sizes = np.arange(1, classes + 1) / (classes * (classes + 1) / 2)
    labels = draw.choice(classes, examples, p=sizes)
    labels[:4] = [0, 1, 0, 1]
    centres = separation * draw.standard_normal((classes, dimensions))
    features = np.maximum(centres[labels] + draw.standard_normal((examples, dimensions)), 0.0)
    features[draw.choice(examples, zero_rows, replace=False)] = 0.0
    return features, labels


@st.composite
def labelled_features(draw):
    """Features (n, d), labels (n,) and the number of classes; n < d and n > d, zero rows, empty classes."""
    examples = draw(st.integers(8, 24))
    classes = draw(st.integers(2, 5))
    features, labels = clustered(
        draw(st.integers(0, 2**32 - 1)),
        examples=examples,
        dimensions=draw(st.sampled_from([2, 5, 17, 40])),
        classes=classes,
        separation=draw(st.sampled_from([0.0, 0.5, 3.0])),
        zero_rows=draw(st.integers(0, 3)),
    )
    return features, labels, classes + draw(st.integers(0, 1))


@st.composite
def sharding(draw, examples):
    """Index arrays of up to five parts of the examples, some of them empty."""
    owner = np.array(draw(st.lists(st.integers(0, 4), min_size=examples, max_size=examples)))
    return [np.flatnonzero(owner == part) for part in range(5)]
