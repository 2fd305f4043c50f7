from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kernel_methods.pairs import PairTable, draw_partners
from registry.errors import InvalidRecipeError
from registry.manifest import TrainedClass
from registry.recipes import PairsSpec
from registry.records import Progress
from tests.trainer.examples import DIGITS, bench_of, digits, ignore, never, recipe, run
from trainer.devices import choose_placement
from trainer.hidden import train_hidden
from trainer.run import train
from trainer.supervision import PairsOfRun, among, read_pairs
from trainer.workbench import Trained, Workbench

CPU = choose_placement("float32", device="cpu")
FROM_TABLE = {"table": DIGITS}


def table_of(*pairs: tuple[int, int, bool], examples: int) -> PairTable:
    first, second, same = (np.array(column) for column in zip(*pairs, strict=True))
    return PairTable(first, second, same.astype(bool), examples)


def told(trained: list[Trained]) -> list[object]:
    """All weights and objectives of hidden modules."""
    return [
        ({name: tensor.tolist() for name, tensor in one.module.state_dict().items()}, one.metrics) for one in trained
    ]


def mislabelled(bench: Workbench) -> Workbench:
    """The same means with wrong labels on every training example, after its pairs were drawn."""
    examples = bench.training.examples
    wrong = torch.randint(4, examples.labels.shape, generator=torch.Generator().manual_seed(9))
    return replace(bench, training=replace(bench.training, examples=replace(examples, labels=wrong)))


@pytest.mark.parametrize("schedule", ["in-turn", "at-once"])
def test_hidden_modules_on_pairs_never_look_at_labels(schedule):
    changes = {"pairs": {"partners": 5}, "modules": 2, "schedule": schedule}
    honest, poisoned = bench_of(**changes), mislabelled(bench_of(**changes))
    assert told(train_hidden(honest)) == told(train_hidden(poisoned))
    labelled = {**changes, "pairs": None}
    assert told(train_hidden(bench_of(**labelled))) != told(train_hidden(mislabelled(bench_of(**labelled))))


def test_the_alignment_that_is_told_is_over_the_known_pairs():
    data = digits()
    table = draw_partners(data.labels, 4, np.random.default_rng(0))
    heard: list[list[float | None]] = []
    for classes in (4, 1):
        seen: list[Progress] = []
        blind = replace(data, pairs=table, labels=data.labels % classes, classes=data.classes[:classes])
        wanted = recipe(output=None, epochs=1, pairs=FROM_TABLE, held_out_share=0.0)
        train(wanted, blind, report=seen.append, should_stop=never)
        heard.append([progress.alignment for progress in seen])
    assert heard[0][-1] is not None
    assert heard[0][-1] == heard[1][-1]


def test_data_without_class_names_is_enough_for_hidden_modules():
    data = digits()
    pairs = draw_partners(data.labels, 10, np.random.default_rng(0))
    nameless = replace(data, labels=np.zeros_like(data.labels), classes=(TrainedClass(label="all", merged=("all",)),))
    wanted = recipe(output=None, pairs=FROM_TABLE, modules=2, epochs=8)
    network = train(wanted, replace(nameless, pairs=pairs), report=ignore, should_stop=never)
    tasks = [module.manifest.task for module in network.modules]
    among_training = 300 / 400 * 299 / 399 * len(pairs.first)
    assert [task.labels_known for task in tasks] == [0, 0]
    assert tasks[0].pairs_known == pytest.approx(among_training, rel=0.1)
    assert network.modules[0].metric("objective") > 0.7


def test_all_pairs_known_is_the_labelled_run():
    labelled = run(epochs=4, held_out_share=0.0)
    paired = run(epochs=4, held_out_share=0.0, pairs={"partners": 399})
    assert paired.modules[0].manifest.task.pairs_known == 400 * 399 // 2
    for name, weights in labelled.modules[0].tensors.items():
        assert paired.modules[0].tensors[name] == pytest.approx(weights, abs=1e-3)


def test_few_pairs_are_worse_than_many():
    first = [run(epochs=8, pairs={"partners": partners}).modules[0] for partners in (1, 50)]
    few, many = (module.metric("upper_triangle_alignment") for module in first)
    assert 0.4 < few < many


def test_two_views_of_an_image_are_known_to_be_the_same():
    known = PairsOfRun.of(table_of((0, 1, True), (1, 2, False), examples=4), PairsSpec(partners=1), CPU)
    same, told_of = known.of_batch(torch.tensor([0, 3, 0, 3]))
    assert same.tolist() == [[True, False, True, False], [False, True, False, True]] * 2
    assert torch.equal(told_of, same)
    assert run(pairs={"partners": 5}, augment=True, views=2).modules[-1].metric("accuracy") > 0.5


def test_an_order_brings_known_pairs_together_and_holds_every_example_once():
    labels = digits().labels
    known = PairsOfRun.of(draw_partners(labels, 1, np.random.default_rng(0)), PairsSpec(partners=1), CPU)
    order = known.order(torch.Generator().manual_seed(0))
    assert sorted(order.tolist()) == list(range(len(labels)))
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    linked, random = (
        sum(int(known.of_batch(part)[1].sum()) for part in torch.split(batches, 40)) for batches in (order, shuffled)
    )
    assert linked > 1.5 * random
    assert known.pairs_known == len(labels) // 2


def test_where_most_pairs_are_known_the_order_is_random():
    labels = np.arange(200, dtype=np.int64) % 2
    table = draw_partners(labels, 20, np.random.default_rng(0))
    known = PairsOfRun.of(table, PairsSpec(partners=20), CPU)
    assert known.dense
    order = known.order(torch.Generator().manual_seed(0))
    assert torch.equal(order, torch.randperm(200, generator=torch.Generator().manual_seed(0)))


def test_only_pairs_of_training_examples_count_and_there_must_be_some():
    table = table_of((0, 5, True), (5, 7, False), (1, 2, True), examples=9)
    chosen = among(table, np.array([5, 7, 8]))
    assert (chosen.first.tolist(), chosen.second.tolist(), chosen.same.tolist()) == ([0], [1], [False])
    assert chosen.examples == 3
    with pytest.raises(InvalidRecipeError, match="none of the 3 pairs is among the 2 training images"):
        among(table, np.array([0, 1]))


def test_a_recipe_with_a_table_needs_the_table():
    with pytest.raises(InvalidRecipeError, match=f"learns from the pairs of {DIGITS}, but no table is given"):
        run(pairs=FROM_TABLE)


@pytest.mark.parametrize("method", ["greedy", "similarity", "infopro", "end-to-end"])
def test_other_methods_need_labels(method):
    with pytest.raises(ValueError, match="only pairwise can do with pairs"):
        recipe(method=method, pairs={"partners": 1})


def csv(folder: Path, text: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_is_read_in_positions_among_the_rows(tmp_path):
    path = csv(tmp_path, "i, j ,same\n0,4,1\n4,6,different\n\n6,9,true\n2,4,SAME\n")
    table = read_pairs(path, rows=np.array([0, 4, 6, 8, 9]), images=10)
    assert table.examples == 5
    found = zip(table.first.tolist(), table.second.tolist(), table.same.tolist(), strict=True)
    assert list(found) == [(0, 1, True), (1, 2, False), (2, 4, True)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "begins with the line i,j,same; this one with ''"),
        ("0,1,1\n", "begins with the line i,j,same; this one with '0,1,1'"),
        ("i,j,same\n", "the table of pairs is empty"),
        ("i,j,same\n0,1,1\n1,2\n", "line 3 of the table of pairs is '1,2'"),
        ("i,j,same\n0,-1,1\n", "line 2 of the table of pairs is '0,-1,1'"),
        ("i,j,same\n0,1,maybe\n", "line 2 of the table of pairs is '0,1,maybe'"),
        ("i,j,same\n3,3,1\n", "pair 0 is of example 3 with itself"),
        ("i,j,same\n0,1,1\n1,2,1\n0,2,0\n", "examples 0 and 2 are different by pair 2 and the same by way of other"),
        ("i,j,same\n0,9,1\n", "line 2 of the table of pairs names image 9; the dataset has 9, 0 to 8"),
        ("i,j,same\n0,99999999999999999999,1\n", "line 2 of the table of pairs is .0,99999"),
        ("i,j,same\n" + "1" * 900 + ",1\n", "line 2 of the table of pairs is .1{80}\\.\\.\\."),
        ("i,j,same\n7,8,1\n", "none of the 1 pairs is among the 5 training images"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_by_line(text, words, tmp_path):
    with pytest.raises(InvalidRecipeError, match=words):
        read_pairs(csv(tmp_path, text), rows=np.arange(5), images=9)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"i,j,same\n0,1,1\n\xff\n", b"PK\x03\x04\x00\x00"])
def test_bytes_that_are_no_text_are_no_table(data, tmp_path):
    (tmp_path / "pairs.csv").write_bytes(data)
    with pytest.raises(InvalidRecipeError, match="table of pairs"):
        read_pairs(tmp_path / "pairs.csv", rows=np.arange(5), images=9)


def test_the_mark_that_spreadsheets_write_before_a_table_is_no_part_of_it(tmp_path):
    (tmp_path / "pairs.csv").write_bytes(b"\xef\xbb\xbfi,j,same\r\n0,1,1\r\n")
    assert read_pairs(tmp_path / "pairs.csv", rows=np.arange(5), images=9).same.tolist() == [True]
