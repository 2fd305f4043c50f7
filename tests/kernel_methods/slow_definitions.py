"""Scores and objectives as sums over pairs, in Python floats: what the fast forms are held against."""

import math
from itertools import combinations

import numpy as np


def kernel(features):
    """Kernel values of all pairs, of rows scaled to unit norm; zero rows stay zero."""
    rows = [[float(value) for value in row] for row in features]
    lengths = [math.sqrt(math.fsum(value * value for value in row)) for row in rows]
    unit = [[v / length for v in row] if length > 1e-12 else row for row, length in zip(rows, lengths, strict=True)]
    return [[math.fsum(a * b for a, b in zip(x, y, strict=True)) for y in unit] for x in unit]


def ideal(labels, *, k_min, k_max):
    return [[k_max if a == b else k_min for b in labels] for a in labels]


def cosine(left, right):
    inner = math.fsum(a * b for a, b in zip(left, right, strict=True))
    lengths = [math.sqrt(math.fsum(a * a for a in side)) for side in (left, right)]
    return inner / (lengths[0] * lengths[1]) if min(lengths) > 1e-9 else 0.0


def entries(matrix):
    return [value for row in matrix for value in row]


def pairs(matrix):
    return [matrix[i][j] for i, j in combinations(range(len(matrix)), 2)]


def alignment(gram, target):
    return cosine(entries(gram), entries(target))


def upper_triangle_alignment(gram, target):
    return cosine(pairs(gram), pairs(target))


def centred_alignment(gram, target):
    """By the three terms of Song et al. (2012), equation 5, diagonals set to zero."""
    products = [hsic(gram, target), hsic(gram, gram), hsic(target, target)]
    return products[0] / math.sqrt(products[1] * products[2])


def tells_pairs_apart(gram):
    """Whether kernel values differ, up to row and column terms, by enough to divide by: centring needs it."""
    return hsic(gram, gram) > 1e-4


def hsic(left, right):
    n = len(left)
    apart = [(i, j) for i in range(n) for j in range(n) if i != j]
    trace = math.fsum(left[i][j] * right[i][j] for i, j in apart)
    sums = math.fsum(left[i][j] for i, j in apart) * math.fsum(right[i][j] for i, j in apart)
    rows = [[math.fsum(row) - row[i] for i, row in enumerate(matrix)] for matrix in (left, right)]
    chains = math.fsum(a * b for a, b in zip(*rows, strict=True))
    return (trace + sums / ((n - 1) * (n - 2)) - 2.0 * chains / (n - 2)) / (n * (n - 3))


def negative_mean_squared_error(gram, target):
    differences = [(a - b) ** 2 for a, b in zip(pairs(gram), pairs(target), strict=True)]
    return -math.fsum(differences) / len(differences)


def raw(gram, target):
    same = [value == target[0][0] for value in pairs(target)]
    signed = [k if together else -k for k, together in zip(pairs(gram), same, strict=True)]
    return math.fsum(signed) / len(signed)


def contrastive(gram, labels, temperature):
    apart = list(combinations(range(len(labels)), 2))
    weights = {pair: math.exp(gram[pair[0]][pair[1]] / temperature) for pair in apart}
    same = math.fsum(weights[i, j] for i, j in apart if labels[i] == labels[j])
    return math.log(same / math.fsum(weights.values()))


def contrastive_per_anchor(gram, labels, temperature):
    n, means = len(labels), []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        everything = math.log(math.fsum(math.exp(gram[i][j] / temperature) for j in others))
        logs = [gram[i][j] / temperature - everything for j in others if labels[i] == labels[j]]
        if logs:
            means.append(math.fsum(logs) / len(logs))
    return math.fsum(means) / len(means)


def prototype(features, labels, temperature):
    rows = np.asarray(features, np.float64)
    means = {c: rows[labels == c].mean(axis=0) for c in set(labels.tolist())}
    losses = []
    for row, label in zip(rows, labels.tolist(), strict=True):
        logits = {c: float(row @ mean) / temperature for c, mean in means.items()}
        losses.append(logits[label] - math.log(math.fsum(math.exp(value) for value in logits.values())))
    return math.fsum(losses) / len(losses)


def different(gram, labels):
    return [gram[i][j] for i, j in combinations(range(len(labels)), 2) if labels[i] != labels[j]]


def alignment_neo(gram, labels, k_min):
    values = different(gram, labels)
    return cosine(values, [k_min] * len(values))


def negative_mean_squared_error_neo(gram, labels, k_min):
    values = different(gram, labels)
    return -math.fsum((value - k_min) ** 2 for value in values) / len(values)


def raw_neo(gram, labels):
    values = different(gram, labels)
    return -math.fsum(values) / len(values)


def contrastive_neo(gram, labels, temperature):
    values = different(gram, labels)
    return -math.log(math.fsum(math.exp(value / temperature) for value in values) / len(values))


def slow_pooled(totals, left, elsewhere):
    """The mean over all variances of normal deviations, by whole matrices: (m,), (m, shards), (m, h) to (m,)."""
    count, shards = len(totals), len(left[0])
    level = sum(totals) / count
    noise = 0.0
    for total, values in zip(totals, left, strict=True):
        about = [value - sum(row[place] for row in left) / count for place, value in enumerate(values)]
        pseudo = [shards * (total - level) - (shards - 1) * value for value in about]
        mean = sum(pseudo) / shards
        noise += sum((value - mean) ** 2 for value in pseudo) / (shards * (shards - 1)) / (count - 1)
    about = np.array(elsewhere) - np.mean(elsewhere, axis=0)
    usual = about.mean(axis=1)
    deviations = about - usual[:, None]
    together = deviations @ deviations.T
    together *= count / np.trace(together)
    residuals = np.array(totals) - level - usual
    square = residuals @ residuals / (count - 1)
    contrasts = np.linalg.qr(np.column_stack([np.ones(count), np.eye(count)[:, 1:]]))[0][:, 1:]
    means, chances = [], []
    for common in np.linspace(0, 1, 11) * square:
        for rest in np.linspace(0, 1, 11) * square:
            signal = common * together + rest * np.eye(count)
            covariance = signal + noise * np.eye(count)
            seen = contrasts.T @ covariance @ contrasts
            told = contrasts.T @ residuals
            chances.append(-0.5 * (np.linalg.slogdet(seen)[1] + told @ np.linalg.solve(seen, told)))
            means.append(level + usual + signal @ np.linalg.solve(covariance, residuals))
    weights = np.exp(np.array(chances) - max(chances))
    return (weights / weights.sum() @ np.array(means)).tolist()
