"""Objectives over known pairs, with smoothed targets or with a guess at unknown pairs, in Python floats."""

import math
from itertools import combinations

import numpy as np

from tests.kernel_methods.slow_definitions import cosine


def sum_log_exp(values):
    return math.log(math.fsum(math.exp(value) for value in values))


def mean(values):
    return math.fsum(values) / len(values) if values else 0.0


def known_pairs(known):
    return [(i, j) for i, j in combinations(range(len(known)), 2) if known[i][j]]


def target(same, known, *, k_min, k_max, pairs, smoothing=0.0, unknown=None):
    """Ideal value of each of the pairs, moved toward their mean."""
    guess = None if unknown is None else k_min + unknown * (k_max - k_min)
    values = [(k_max if same[i][j] else k_min) if known[i][j] else guess for i, j in pairs]
    return [(1.0 - smoothing) * value + smoothing * mean(values) for value in values]


def counted(known, unknown):
    return known if unknown is None else [[True] * len(known) for _ in known]


def alignment(gram, same, known, *, k_min, k_max, smoothing=0.0, unknown=None):
    n, counts = len(gram), counted(known, unknown)
    pairs = [(i, j) for i in range(n) for j in range(n) if counts[i][j]]
    ideal = target(same, known, k_min=k_min, k_max=k_max, pairs=pairs, smoothing=smoothing, unknown=unknown)
    return cosine([gram[i][j] for i, j in pairs], ideal)


def upper_triangle_alignment(gram, same, known, *, k_min, k_max, smoothing=0.0, unknown=None):
    pairs = known_pairs(counted(known, unknown))
    ideal = target(same, known, k_min=k_min, k_max=k_max, pairs=pairs, smoothing=smoothing, unknown=unknown)
    return cosine([gram[i][j] for i, j in pairs], ideal)


def negative_mean_squared_error(gram, same, known, *, k_min, k_max, smoothing=0.0, unknown=None):
    pairs = known_pairs(counted(known, unknown))
    ideal = target(same, known, k_min=k_min, k_max=k_max, pairs=pairs, smoothing=smoothing, unknown=unknown)
    return -mean([(gram[i][j] - value) ** 2 for (i, j), value in zip(pairs, ideal, strict=True)])


def centred_alignment(gram, same, known, *, k_min, k_max):
    """By a least-squares fit of one additive term an example, of each side, and the cosine of what is left."""
    pairs = known_pairs(known)
    design = np.zeros((len(pairs), len(gram)))
    for row, pair in enumerate(pairs):
        design[row, list(pair)] = 1.0
    left = []
    for side in ([gram[i][j] for i, j in pairs], target(same, known, k_min=k_min, k_max=k_max, pairs=pairs)):
        values = np.array(side)
        left.append((values - design @ np.linalg.lstsq(design, values)[0]).tolist() if pairs else [])
    return cosine(*left)


def raw(gram, same, known):
    return mean([gram[i][j] if same[i][j] else -gram[i][j] for i, j in known_pairs(known)])


def contrastive(gram, same, known, *, temperature, unknown=None):
    own = [gram[i][j] / temperature for i, j in known_pairs(known) if same[i][j]]
    everything = [gram[i][j] / temperature + lean for i, j, lean in weighed(known, unknown)]
    return sum_log_exp(own) - sum_log_exp(everything) if own else 0.0


def weighed(known, unknown):
    """Pairs i < j with the log of their weight: 0 where known, log(1 - p) where not, left out without a guess."""
    lean = None if unknown is None or unknown == 1.0 else math.log(1.0 - unknown)
    pairs = [(i, j, 0.0 if known[i][j] else lean) for i, j in combinations(range(len(known)), 2)]
    return [entry for entry in pairs if entry[2] is not None]


def contrastive_per_anchor(gram, same, known, *, temperature, smoothing=0.0, unknown=None):
    both_ways = weighed(known, unknown)
    both_ways += [(j, i, lean) for i, j, lean in both_ways]
    values = []
    for anchor in range(len(gram)):
        keys = [(j, lean) for i, j, lean in both_ways if i == anchor]
        own = [j for j, _ in keys if known[anchor][j] and same[anchor][j]]
        if own:
            everything = sum_log_exp([gram[anchor][j] / temperature + lean for j, lean in keys])
            partners = mean([gram[anchor][j] / temperature - everything for j in own])
            weights = [math.exp(lean) for _, lean in keys]
            spread = [(gram[anchor][j] / temperature - everything) * math.exp(lean) for j, lean in keys]
            values.append((1.0 - smoothing) * partners + smoothing * math.fsum(spread) / math.fsum(weights))
    return mean(values)


def prototype(gram, groups, known, *, temperature, smoothing=0.0, unknown=None):
    """By groups, as closed pairs give them: what is known of one member is known of all."""
    values = []
    for i, own in enumerate(groups):
        logits, weights = {}, {}
        for group in set(groups):
            members = [j for j, other in enumerate(groups) if other == group]
            weight = 1.0 if known[i][members[0]] else 0.0 if unknown is None else 1.0 - unknown
            if weight:
                logits[group], weights[group] = mean([gram[i][j] for j in members]) / temperature, weight
        everything = math.log(math.fsum(weights[g] * math.exp(logits[g]) for g in logits))
        spread = math.fsum(weights[g] * (logits[g] - everything) for g in logits) / math.fsum(weights.values())
        alone = len(logits) == 1 and groups.count(own) == 1
        values += [] if alone else [(1.0 - smoothing) * (logits[own] - everything) + smoothing * spread]
    return mean(values)


def different(gram, same, known):
    return [gram[i][j] for i, j in known_pairs(known) if not same[i][j]]


def alignment_neo(gram, same, known, *, k_min):
    values = different(gram, same, known)
    return cosine(values, [k_min] * len(values))


def negative_mean_squared_error_neo(gram, same, known, *, k_min):
    return -mean([(value - k_min) ** 2 for value in different(gram, same, known)])


def raw_neo(gram, same, known):
    return -mean(different(gram, same, known))


def contrastive_neo(gram, same, known, *, temperature):
    values = [value / temperature for value in different(gram, same, known)]
    return math.log(len(values)) - sum_log_exp(values) if values else 0.0
