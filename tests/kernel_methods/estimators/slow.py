"""The estimators by their definitions, from the examples themselves: what the fast forms are held against."""

import math

import numpy as np


def unit(features):
    rows = np.asarray(features, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 1e-12, lengths, 1.0)


def logme(rows, labels, *, smallest=1e-6, largest=1e12):
    """Bishop (2006), 3.53, 3.54, 3.86, 3.91, 3.92 and 3.95, with a d x d solve in every step."""
    scores = []
    for label in np.unique(labels):
        targets = (labels == label).astype(np.float64)
        ratio = 1.0
        for _ in range(500):
            alpha, beta = _moved(rows, targets, ratio)
            ratio = min(max(alpha / beta, smallest), largest) if beta > 0.0 else largest
        scores.append(evidence(rows, targets, ratio) / len(targets))
    return math.fsum(scores) / len(scores)


def _moved(rows, targets, ratio):
    regular = ratio * np.eye(rows.shape[1]) + rows.T @ rows
    mean = np.linalg.solve(regular, rows.T @ targets)
    counting = rows.shape[1] - ratio * np.trace(np.linalg.inv(regular))
    residual = float(np.sum((targets - rows @ mean) ** 2))
    weights = float(mean @ mean)
    return counting * residual, (len(targets) - counting) * weights


def evidence(rows, targets, ratio):
    """Log density of ``targets`` under N(0, v (I + K / ratio)), by the n x n matrix, at the best v."""
    n = len(targets)
    lower = np.linalg.cholesky(np.eye(n) + rows @ rows.T / ratio)
    white = np.linalg.solve(lower, targets)
    variance = max(float(white @ white), 1e-12 * targets.sum()) / n
    return -0.5 * n * (math.log(2.0 * math.pi * variance) + 1.0) - float(np.log(np.diagonal(lower)).sum())


def h_score(rows, labels, *, covariance=None, share=1.0):
    means = np.stack([rows[labels == label].mean(axis=0) for label in labels])
    covariance = np.cov(rows.T, bias=True).reshape(rows.shape[1], -1) if covariance is None else covariance
    between = np.cov(means.T, bias=True).reshape(rows.shape[1], -1)
    return share * float(np.trace(np.linalg.pinv(covariance, rcond=1e-11, hermitian=True) @ between))


def transrate(rows, labels, *, epsilon=1e-4):
    """By singular values, which keep what the determinant of a d x d matrix would lose."""
    centred = rows - rows.mean(axis=0)
    parts = [centred[labels == label] for label in np.unique(labels)]
    within = math.fsum(len(part) * _rate(part, epsilon) for part in parts) / len(rows)
    return _rate(centred, epsilon) - within


def _rate(rows, epsilon):
    singular = np.linalg.svd(rows, compute_uv=False)
    return 0.5 * math.fsum(math.log1p(value**2 / (len(rows) * epsilon)) for value in singular)


def nce(source, target):
    total = 0.0
    for z, y in zip(source, target, strict=True):
        same = [b for a, b in zip(source, target, strict=True) if a == z]
        total += math.log(same.count(y) / len(same))
    return total / len(source)


def leep(probabilities, labels):
    n, sources = probabilities.shape
    total = 0.0
    for i in range(n):
        expected = 0.0
        for z in range(sources):
            mass = math.fsum(probabilities[:, z])
            of_class = math.fsum(probabilities[j, z] for j in range(n) if labels[j] == labels[i])
            expected += probabilities[i, z] * of_class / mass if mass > 0.0 else 0.0
        total += math.log(expected)
    return total / n


def knn(features, labels, neighbours):
    """Where cosines of an example with the others differ, as they do where features are drawn at random."""
    gram = unit(features) @ unit(features).T
    points = 0.0
    for i in range(len(labels)):
        others = sorted((j for j in range(len(labels)) if j != i), key=lambda j: -gram[i, j])
        votes = [int(labels[j]) for j in others[:neighbours]]
        top = max(votes.count(vote) for vote in votes)
        winners = {vote for vote in votes if votes.count(vote) == top}
        points += (int(labels[i]) in winners) / len(winners)
    return points / len(labels)
