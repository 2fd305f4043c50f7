import pytest

from tests.trainer.examples import bench_of, run
from trainer.heads import Sight
from trainer.methods.choice import fresh_head, local_objective

CHANCE = 0.25
LENET = {"family": "lenet5", "width": 4}


@pytest.mark.parametrize("family", [{"family": "mlp"}, LENET], ids=["mlp", "lenet5"])
@pytest.mark.parametrize("schedule", ["in-turn", "at-once"])
@pytest.mark.parametrize("method", ["greedy", "similarity", "infopro"])
def test_every_local_method_learns_the_digits(method, schedule, family):
    network = run(method=method, schedule=schedule, modules=2, epochs=6, **family)
    assert network.modules[-1].metric("accuracy") > 3 * CHANCE
    assert [module.manifest.task.labels_known for module in network.modules] == [300] * 3
    assert all(module.metric("objective") is not None for module in network.modules)


@pytest.mark.parametrize("method", ["greedy", "similarity", "infopro"])
def test_heads_stand_below_the_classifiers_of_other_methods(method):
    network = run(method=method, modules=2, head="look-ahead", epochs=6, **LENET)
    assert network.modules[-1].metric("accuracy") > 3 * CHANCE


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_end_to_end_beats_chance_with_and_without_smoothing(smoothing):
    network = run(method="end-to-end", modules=2, epochs=6, smoothing=smoothing)
    assert network.modules[-1].metric("accuracy") > 3 * CHANCE


def test_end_to_end_has_no_local_objective():
    bench = bench_of(method="end-to-end")
    planned = bench.plan.hidden[0]
    with pytest.raises(ValueError, match="one objective for all modules"):
        local_objective(bench, planned, fresh_head(bench, planned, index=0), index=0)


def test_what_is_dropped_afterwards_is_drawn_by_the_seed():
    def objective(seed: int):
        bench = bench_of(method="similarity", modules=2, head="convolutions", seed=seed)
        planned = bench.plan.hidden[0]
        return local_objective(bench, planned, fresh_head(bench, planned, index=0), index=0).state_dict()

    one, same, other = objective(1), objective(1), objective(2)
    assert {name.split(".")[0] for name in one} == {"sight", "matched", "classifier"}
    assert all((one[name] == same[name]).all() for name in one)
    assert any((one[name] != other[name]).any() for name in one)


def test_sight_knows_its_size():
    bench = bench_of(**LENET, modules=2, head="convolutions")
    planned = bench.plan.hidden[0]
    sight = Sight(planned, fresh_head(bench, planned, index=0), bench.placement)
    outputs = bench.fresh(planned.architecture, index=0)(bench.training.batch(bench.training.labels[:2] * 0))
    features = sight(outputs)
    assert features.shape == (2, sight.size)
    assert features.norm(dim=1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
