"""Objectives with a memory, on lists of Python floats: every step is told all that went before."""

import math


def inner(one, other):
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def mean_rows(rows):
    return [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]


def means_by_class(rows, labels):
    return {c: mean_rows([row for row, own in zip(rows, labels, strict=True) if own == c]) for c in set(labels)}


def blended(means, remembered, momentum):
    """Class means of a step: those of the batch, moved toward the remembered ones."""
    both = {c for c in means if c in remembered}
    mixed = {
        c: [momentum * old + (1.0 - momentum) * new for old, new in zip(remembered[c], means[c], strict=True)]
        for c in both
    }
    return remembered | means | mixed


def cross_entropy(logits, own, smoothing):
    """Log-probability of one key of a dictionary, and of all evenly, by the share of smoothing."""
    everything = math.log(math.fsum(math.exp(value) for value in logits.values()))
    spread = math.fsum(value - everything for value in logits.values()) / len(logits)
    return (1.0 - smoothing) * (logits[own] - everything) + smoothing * spread


def against_means(rows, labels, means, *, temperature, smoothing):
    values = [
        cross_entropy({c: inner(row, mean) / temperature for c, mean in means.items()}, own, smoothing)
        for row, own in zip(rows, labels, strict=True)
    ]
    return math.fsum(values) / len(values)


def against_keys(rows, labels, kept, *, temperature, smoothing):
    """Per anchor over the rest of the batch and over what is kept, a list of (row, label)."""
    values = []
    batch = list(zip(rows, labels, strict=True))
    for i, (row, label) in enumerate(batch):
        keys = [*batch[:i], *batch[i + 1 :], *kept]
        logits = [inner(row, key) / temperature for key, _ in keys]
        everything = math.log(math.fsum(math.exp(value) for value in logits))
        own = [value - everything for value, (_, other) in zip(logits, keys, strict=True) if other == label]
        if own:
            spread = math.fsum(value - everything for value in logits) / len(logits)
            values.append((1.0 - smoothing) * math.fsum(own) / len(own) + smoothing * spread)
    return math.fsum(values) / len(values) if values else 0.0
