"""Outcomes: of what a finished query ranked, the last one stands, all or none, gone with the data."""

import pytest

from registry.errors import ConflictError, InvalidInputError, NotFoundError
from registry.outcome_records import PostedOutcome
from registry.rankings import MapQuestion, Ranking, RankingQuestion, ReusabilityQuestion
from registry.recipes import TaskSpec
from registry.zoo import Zoo
from tests.builders import digest_of, trained_on
from tests.numpy_worker import OWNER, add_dataset, linear_module, publish, quadrant_module, quadrant_zip, work_all


def answered(zoo: Zoo, data: str, **asked: object) -> str:
    """The id of a ranking that is done."""
    query = zoo.reusability.ask_ranking(RankingQuestion.model_validate({"task": data, **asked}), owner=OWNER)
    work_all(zoo)
    return query


@pytest.fixture
def query(zoo: Zoo) -> str:
    publish(zoo, "ada/seeing", quadrant_module())
    for seed in (1, 2):
        publish(zoo, f"ada/linear-{seed}", linear_module(seed))
    return answered(zoo, add_dataset(zoo))


def told(module: str, value: float, **changes: object) -> PostedOutcome:
    return PostedOutcome.model_validate({"module": module, "value": value, **changes})


def ranking(zoo: Zoo, query: str) -> Ranking:
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert isinstance(answer, Ranking)
    return answer


def test_an_outcome_is_kept_beside_what_was_predicted(zoo: Zoo, query: str) -> None:
    posted = [told("ada/seeing@1", 0.9, how="fine_tuned", note="one epoch"), told("ada/linear-1@1", 0.5)]
    kept = zoo.outcomes.post(query, posted, owner=OWNER)
    assert (kept.created, kept.replaced) == (2, 0)
    answer = ranking(zoo, query)
    row = next(row for row in answer.ranking if row.module.ref == "ada/seeing@1")
    one = kept.outcomes[0]
    assert (one.module, one.value, one.metric) == (row.module, 0.9, "accuracy")
    assert (one.how, one.note) == ("fine_tuned", "one epoch")
    assert (one.query, one.task, one.data, one.rank_by) == (query, answer.task, answer.data, answer.rank_by)
    assert one.predicted == {**row.panel, answer.rank_by: row.score}
    assert one.static == row.static
    listed = zoo.outcomes.list(query, owner=OWNER, limit=9, cursor=None).items
    assert sorted(listed, key=lambda each: -each.value) == list(kept.outcomes)


def test_the_score_that_ranked_is_a_prediction_though_the_panel_lacks_it(zoo: Zoo, query: str) -> None:
    data = ranking(zoo, query).data
    narrow = answered(zoo, data, rank_by="centred_alignment", panel=["raw"])
    kept = zoo.outcomes.post(narrow, [told("ada/seeing@1", 0.9)], owner=OWNER)
    assert set(kept.outcomes[0].predicted) == {"raw", "centred_alignment"}


def test_the_same_again_changes_nothing_and_another_value_replaces(zoo: Zoo, query: str) -> None:
    first = zoo.outcomes.post(query, [told("ada/seeing@1", 0.9)], owner=OWNER)
    again = zoo.outcomes.post(query, [told("ada/seeing@1", 0.9)], owner=OWNER)
    assert (again.outcomes, again.created, again.replaced) == (first.outcomes, 0, 0)
    other = zoo.outcomes.post(query, [told("ada/seeing@1", 0.8)], owner=OWNER)
    assert (other.created, other.replaced) == (0, 1)
    assert [one.value for one in zoo.outcomes.list(query, owner=OWNER, limit=9, cursor=None).items] == [0.8]


def test_a_module_may_be_named_by_version_or_digest(zoo: Zoo, query: str) -> None:
    digest = ranking(zoo, query).ranking[0].module.digest
    ref = ranking(zoo, query).ranking[0].module.ref
    name = ref.partition("@")[0]
    for named in (ref, digest, f"{name}@{digest}"):
        kept = zoo.outcomes.post(query, [told(named, 0.9)], owner=OWNER)
        assert kept.outcomes[0].module.ref == ref
    assert len(zoo.outcomes.list(query, owner=OWNER, limit=9, cursor=None).items) == 1


def test_every_module_that_was_not_ranked_is_named_and_nothing_is_kept(zoo: Zoo, query: str) -> None:
    posted = [told("ada/seeing@1", 0.9), told("ada/seeing@latest", 0.9), told(digest_of("other"), 0.1)]
    with pytest.raises(InvalidInputError, match=r"'ada/seeing@latest' is not in the answer.* ranked ada/") as refused:
        zoo.outcomes.post(query, posted, owner=OWNER)
    faults = [(fault.pointer, fault.code) for fault in refused.value.faults]
    assert faults == [("/outcomes/1/module", "not_ranked"), ("/outcomes/2/module", "not_ranked")]
    assert zoo.outcomes.list(query, owner=OWNER, limit=9, cursor=None).items == ()


def test_a_module_told_twice_is_refused_by_whatever_name(zoo: Zoo, query: str) -> None:
    digest = next(row.module.digest for row in ranking(zoo, query).ranking if row.module.ref == "ada/seeing@1")
    zoo.outcomes.post(query, [told("ada/seeing@1", 0.9), told(digest, 0.9, how="fine_tuned")], owner=OWNER)
    with pytest.raises(InvalidInputError, match="two outcomes of accuracy, other") as refused:
        zoo.outcomes.post(query, [told("ada/seeing@1", 0.9), told(digest, 0.8)], owner=OWNER)
    assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [("/outcomes/1/module", "duplicate")]


def test_a_query_without_an_answer_has_no_outcomes(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    query = zoo.reusability.ask_ranking(RankingQuestion(task=add_dataset(zoo)), owner=OWNER)
    with pytest.raises(ConflictError, match="is running and has no answer; post outcomes once it is done"):
        zoo.outcomes.post(query, [told("ada/seeing@1", 0.9)], owner=OWNER)
    zoo.queries.cancel(query, owner=OWNER)
    with pytest.raises(ConflictError, match="is cancelled and has no answer; ask again"):
        zoo.outcomes.post(query, [told("ada/seeing@1", 0.9)], owner=OWNER)
    assert zoo.outcomes.list(query, owner=OWNER, limit=9, cursor=None).items == ()


def test_an_answer_that_nobody_has_asked_for_yet_is_made(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    query = answered(zoo, add_dataset(zoo))
    assert zoo.outcomes.post(query, [told("ada/seeing@1", 0.9)], owner=OWNER).created == 1


def test_one_score_takes_an_outcome_and_a_map_takes_none(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    publish(zoo, "ada/seeing", quadrant_module())
    one = zoo.reusability.ask_reusability(ReusabilityQuestion(module="ada/seeing@1", task=data), owner=OWNER)
    work_all(zoo)
    assert zoo.outcomes.post(one, [told("ada/seeing@1", 0.9)], owner=OWNER).created == 1
    for name, labels in (("ada/ab", ("a", "b")), ("ada/cd", ("c", "d"))):
        zoo.tasks.create(TaskSpec(dataset=data, classes={label: (label,) for label in labels}), owner=OWNER)
        publish(zoo, name, linear_module(len(name), task={**trained_on("x", *labels), "data": data}))
    mapped = zoo.reusability.ask_map(MapQuestion(), owner=OWNER)
    work_all(zoo)
    with pytest.raises(InvalidInputError, match="is a map"):
        zoo.outcomes.post(mapped, [told("ada/ab@1", 0.9)], owner=OWNER)


def test_nobody_else_may_know_of_a_query_or_its_outcomes(zoo: Zoo, query: str) -> None:
    zoo.outcomes.post(query, [told("ada/seeing@1", 0.9)], owner=OWNER)
    with pytest.raises(NotFoundError):
        zoo.outcomes.post(query, [told("ada/seeing@1", 0.1)], owner="eve")
    with pytest.raises(NotFoundError):
        zoo.outcomes.list(query, owner="eve", limit=9, cursor=None)
    assert zoo.outcomes.calibration(owner="eve").outcomes == 0
    assert zoo.outcomes.calibration(owner=OWNER).outcomes == 1


def test_outcomes_go_with_their_dataset(zoo: Zoo, query: str) -> None:
    zoo.outcomes.post(query, [told("ada/seeing@1", 0.9)], owner=OWNER)
    zoo.datasets.remove(ranking(zoo, query).data, owner=OWNER)
    assert zoo.outcomes.calibration(owner=None).outcomes == 0
    with pytest.raises(NotFoundError):
        zoo.outcomes.list(query, owner=OWNER, limit=9, cursor=None)


def test_outcomes_outlive_a_change_of_the_zoo(zoo: Zoo, query: str) -> None:
    zoo.outcomes.post(query, [told("ada/seeing@1", 0.9)], owner=OWNER)
    publish(zoo, "ada/new", linear_module(9))
    newer = answered(zoo, ranking(zoo, query).data)
    assert newer != query
    assert zoo.outcomes.list(newer, owner=OWNER, limit=9, cursor=None).items == ()
    assert len(zoo.outcomes.list(query, owner=OWNER, limit=9, cursor=None).items) == 1


def test_what_was_predicted_is_held_against_what_was_reached(zoo: Zoo, query: str) -> None:
    data = [ranking(zoo, query).data, *(add_dataset(zoo, quadrant_zip(seed=seed)) for seed in (1, 2))]
    for each in data:
        asked = answered(zoo, each)
        answer = ranking(zoo, asked)
        worst_last = [told(row.module.digest, 0.9 - 0.1 * place) for place, row in enumerate(answer.ranking)]
        zoo.outcomes.post(asked, worst_last, owner=OWNER)
    (group,) = zoo.outcomes.calibration(owner=OWNER, metric="accuracy").groups
    assert (group.queries, group.datasets, group.modules, group.too_few) == (3, 3, 3, False)
    best = next(each for each in group.estimators if each.estimator == ranking(zoo, query).rank_by)
    assert best.mean is not None
    assert best.mean.weighted_tau == pytest.approx(1.0)
    assert best.mean.regret == 0.0
    assert any(each.estimator == "static" for each in group.estimators)
    assert zoo.outcomes.calibration(owner=OWNER, metric="recall").groups == ()
