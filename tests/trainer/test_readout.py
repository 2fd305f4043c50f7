"""An output module's read-out equals its definition, whatever the batches."""

import numpy as np
import pytest
import torch

from trainer.readout import ReadOutTally


def tally(batches: int) -> tuple[ReadOutTally, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (60,), generator=generator)
    outputs = torch.randn(60, 3, generator=generator)
    features = torch.nn.functional.normalize(torch.randn(60, 5, generator=generator) + labels[:, None], dim=1)
    counted = ReadOutTally(order=[2, 0, 1], device=torch.device("cpu"))
    for shard in torch.arange(60).split(20):
        for rows in shard.chunk(batches):
            counted.add(features[rows], outputs[rows], labels[rows])
        counted.end_shard()
    return counted, features, outputs[:, [2, 0, 1]], labels


def test_accuracy_and_likelihood_equal_their_definition() -> None:
    counted, _, outputs, labels = tally(3)
    hits = [float(outputs[i].argmax() == labels[i]) for i in range(60)]
    told = [float(outputs[i].double().softmax(0)[labels[i]].log()) for i in range(60)]
    assert counted.accuracy().total == pytest.approx(np.mean(hits))
    assert counted.mean_log_likelihood().total == pytest.approx(np.mean(told))
    assert counted.mean_log_likelihood().left[0] == pytest.approx(np.mean(told[20:]))
    assert counted.accuracy_beside_it().total == pytest.approx(np.mean(hits[20:]))


def test_class_means_are_learned_from_the_shards_before() -> None:
    counted, features, _, labels = tally(1)
    hits = []
    for i in range(20, 60):
        before = slice(0, 20 * (i // 20))
        means = [features[before][labels[before] == label].mean(dim=0) for label in range(3)]
        distances = [float(((features[i] - mean) ** 2).sum()) for mean in means]
        hits.append(float(int(np.argmin(distances)) == int(labels[i])))
    assert counted.class_means_accuracy().total == pytest.approx(np.mean(hits))


def test_the_read_out_does_not_depend_on_the_batches() -> None:
    one, many = tally(1)[0], tally(4)[0]
    assert one.accuracy().total == many.accuracy().total
    assert one.class_means_accuracy().total == many.class_means_accuracy().total
