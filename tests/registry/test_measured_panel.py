"""What questions need beside statistics: in plans and keys, from workers that may lie, and why there is no value."""

from collections.abc import Sequence

import numpy as np
import pytest
from pydantic import ValidationError

from kernel_methods.estimators.nce import nce
from kernel_methods.estimators.transrate import transrate
from kernel_methods.evidence import Evidence
from kernel_methods.measured import Measured
from kernel_methods.statistics import TaskStatistics
from registry.errors import InvalidInputError
from registry.manifest import FeatureMap, Role
from registry.measured_panel import (
    Scored,
    beside_of,
    check_asked,
    measured_value,
    most_bytes_beside,
    why_unmeasured,
)
from registry.module_file import module_bytes
from registry.names import Digest, ModuleName
from registry.noise import SharedNoise
from registry.plans import PlannedTask, keys_brought, statistics_key
from registry.rankings import PANEL, Ranking, RankingQuestion, ScoreOptions
from registry.recipes import TaskSpec
from registry.work import Beside, ScoreHereWork, ScoreWork
from registry.zoo import Zoo
from tests.builders import module_manifest
from tests.numpy_worker import (
    OWNER,
    add_dataset,
    output_module,
    publish,
    publish_only,
    quadrant_module,
    verify_all,
    work_all,
)

RELU = FeatureMap(activation="relu", k_min=0.0)
MODULE, HEAD = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
EVERYTHING = ("class_moments", "knn", "linear_probe", "source_head")
GROUPS = ((0, 1), (2,))


def work(beside: Sequence[str] = (), **changes: object) -> ScoreWork:
    task = TaskSpec(dataset=MODULE, classes={label: (label,) for label in "abc"})
    fields = {"task": task, "chains": ((MODULE,),), "examples": 100, "beside": tuple(beside)}
    return ScoreWork.model_validate(fields | changes)


def asking() -> ScoreWork:
    return work(EVERYTHING, groups=GROUPS, heads={MODULE: HEAD})


def test_the_usual_panel_needs_nothing_beside() -> None:
    assert beside_of(ScoreOptions()) == ()
    assert beside_of(ScoreOptions(panel=PANEL)) == ()
    assert beside_of(ScoreOptions(panel=("nce", "knn", "leep", "alignment"))) == ("knn", "source_head")
    assert beside_of(ScoreOptions(panel=("transrate",))) == ("class_moments",)


def test_keys_stay_as_they_are_without_anything_beside() -> None:
    plain = work()
    sent = plain.model_dump(mode="json", exclude={"beside", "groups", "heads"})
    assert statistics_key((MODULE,), ScoreWork.model_validate(sent)) == statistics_key((MODULE,), plain)
    assert [key((MODULE,)) for key in keys_brought(plain)] == [statistics_key((MODULE,), plain)]


def test_keys_hold_everything_that_a_value_depends_on() -> None:
    works = [
        work(),
        work(("class_moments",)),
        work(("knn",), groups=GROUPS),
        work(("knn",), groups=((0,), (1, 2))),
        work(("source_head",), groups=GROUPS),
        work(("source_head",), groups=GROUPS, heads={MODULE: HEAD}),
        work(("source_head",), groups=GROUPS, heads={MODULE: MODULE}),
    ]
    assert len({statistics_key((MODULE,), each) for each in works}) == len(works)
    for each in works[1:]:
        assert [key((MODULE,)) for key in keys_brought(each)][1] == statistics_key((MODULE,), work())


@pytest.mark.parametrize(
    "changes",
    [
        {"beside": ("linear_probe", "knn"), "groups": GROUPS},
        {"beside": ("knn", "knn"), "groups": GROUPS},
        {"beside": ("knn",)},
        {"beside": ("knn",), "groups": ((0,), (1,))},
        {"beside": ("knn",), "groups": ((0, 1, 2), ())},
        {"beside": ("class_moments",), "groups": GROUPS},
        {"beside": ("knn",), "groups": GROUPS, "heads": {MODULE: HEAD}},
        {"beside": ("source_head",), "groups": GROUPS, "heads": {HEAD: MODULE}},
        {"beside": ("everything",)},
    ],
)
def test_work_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        work(**changes)


def test_noise_and_what_it_does_not_hide_do_not_go_together() -> None:
    noise = SharedNoise(epsilon=1.0, modules=1)
    at_home = {**dict(asking()), "kind": "score-here", "noise": noise}
    with pytest.raises(ValidationError, match="noise does not hide"):
        ScoreHereWork.model_validate(at_home)
    task = PlannedTask(id="task", dataset=MODULE, classes={"a": ("a",), "b": ("b",)}, labels=("a", "b"))
    options = ScoreOptions(panel=("knn",))
    assert task.measuring(options).beside == ("knn",)
    assert task.model_copy(update={"noise": noise}).measuring(options).beside == ()


def evidence(measured: Measured | None) -> Evidence:
    features, labels = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 3
    return Evidence((TaskStatistics.of(features, labels, classes=3),), None, measured)


def whole() -> Measured:
    features, labels = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 3
    moments = TaskStatistics.of(features, labels, classes=3, class_moments=True).class_moments
    counts = np.array([[10, 0, 2], [0, 10, 8]])
    return Measured({"knn": 0.5, "leep": -0.1}, GROUPS, moments, counts)


def test_values_come_from_what_was_measured() -> None:
    found = evidence(whole())
    merged = found.merge_classes(GROUPS)
    assert measured_value("knn", merged, RELU) == 0.5
    assert measured_value("knn", found, RELU) is None
    assert measured_value("linear_probe", merged, RELU) is None
    assert measured_value("nce", merged, RELU) == nce(np.array([[10, 2], [10, 8]]))
    assert measured_value("alignment", merged, RELU) is None
    features, labels = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 3
    direct = transrate(TaskStatistics.of(features, labels, classes=3, class_moments=True))
    assert measured_value("transrate", found, RELU) == pytest.approx(direct)
    assert measured_value("negative_mean_squared_error_neo", found, RELU) is not None
    for name in ("knn", "nce", "transrate", "negative_mean_squared_error_neo"):
        assert measured_value(name, evidence(None), RELU) is None
        assert measured_value(name, evidence(Measured()), RELU) is None


def test_values_of_one_class_are_none() -> None:
    one = evidence(whole()).merge_classes(((0, 1, 2),))
    assert [measured_value(name, one, RELU) for name in ("nce", "transrate", "knn")] == [None] * 3


@pytest.mark.parametrize(
    ("measured", "beside", "labels", "message"),
    [
        (whole(), ("class_moments", "knn"), None, "counts of a source head, leep of a module|leep, counts"),
        (whole(), ("knn", "source_head"), 2, "class moments came"),
        (whole(), ("class_moments", "source_head"), 2, "knn came"),
        (whole(), EVERYTHING, None, "leep of a module without a source head"),
        (whole(), EVERYTHING, 3, "source head with 3 labels cannot have counts of 2"),
        (whole().merge_classes(((2,), (0, 1))), EVERYTHING, 2, "other classes"),
    ],
)
def test_what_nobody_asked_for_is_refused(
    measured: Measured, beside: Sequence[str], labels: int | None, message: str
) -> None:
    groups = GROUPS if set(beside) - {"class_moments"} else ()
    with pytest.raises(InvalidInputError, match=message):
        check_asked(measured, work(beside, groups=groups), source_labels=labels)


def test_what_was_asked_for_is_taken_and_nothing_must_come() -> None:
    check_asked(whole(), asking(), source_labels=2)
    check_asked(Measured(), asking(), source_labels=2)


def test_bytes_are_bounded_by_what_is_asked_for() -> None:
    assert most_bytes_beside(work(), features=100) == 0
    assert most_bytes_beside(work(("class_moments",)), features=100) >= 8 * 3 * 5050
    assert most_bytes_beside(work(("class_moments",)), features=30_000) < 1000
    assert most_bytes_beside(asking(), features=100) > 8 * 10_000 * 3


@pytest.mark.parametrize(
    ("name", "scored", "reason"),
    [
        ("leep", Scored(10, 3, 4, has_head=False), "no verified output module"),
        ("nce", Scored(10, 3, 4, has_head=True), "no finite numbers"),
        ("knn", Scored(60_000, 3, 4, has_head=False), "ask for at most 50000 `examples`"),
        ("linear_probe", Scored(10, 3, 4, has_head=False), "undefined"),
        ("transrate", Scored(10, 1000, 2048, has_head=False), "too large to keep"),
        ("transrate", Scored(10, 3, 4, has_head=False, noisy=True), "noise hides"),
    ],
)
def test_what_was_not_measured_says_why(name: str, scored: Scored, reason: str) -> None:
    (said,) = why_unmeasured({name: None, "alignment": None, "raw": 1.0}, scored)
    assert said.startswith(f"{name} was not measured: ")
    assert reason in said


def head_of(zoo: Zoo, data: Digest, *, seed: int) -> Digest | None:
    """The source head of the zoo's one module that can be scored, as a job names it."""
    zoo.reusability.ask_ranking(RankingQuestion(task=data, panel=("leep",), seed=seed), owner=OWNER)
    job = zoo.jobs.claim(["score"], worker="numpy")
    assert job is not None
    assert isinstance(job.work, ScoreWork)
    return next(iter(job.work.heads.values()), None)


def other_head(below: Digest) -> bytes:
    tensors = {"2.weight": np.ones((2, 4), np.float32), "2.bias": np.zeros(2, np.float32)}
    return module_bytes(module_manifest(Role.OUTPUT, below=below), tensors)


def test_the_source_head_is_the_newest_that_is_verified_and_not_yanked(zoo: Zoo) -> None:
    data, below = add_dataset(zoo), publish(zoo, "ada/seeing", quadrant_module()).digest
    assert head_of(zoo, data, seed=1) is None
    first = publish(zoo, "ada/first", output_module(below))
    assert head_of(zoo, data, seed=2) == first.digest
    second = publish_only(zoo, "ada/second", other_head(below))
    assert head_of(zoo, data, seed=3) == first.digest
    verify_all(zoo)
    assert head_of(zoo, data, seed=4) == second.digest
    zoo.modules.yank(ModuleName.parse("ada/second"), 1, "odd")
    assert head_of(zoo, data, seed=5) == first.digest


def test_a_worker_that_measures_nothing_leaves_nulls_that_say_why(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    question = RankingQuestion(task=add_dataset(zoo), panel=("knn", "leep", "alignment"))
    query = zoo.reusability.ask_ranking(question, owner=OWNER)
    (job,) = work_all(zoo)
    assert isinstance(job.work, ScoreWork)
    asked: tuple[Beside, ...] = ("knn", "source_head")
    assert (job.work.beside, job.work.groups, job.work.heads) == (asked, ((0,), (1,), (2,), (3,)), {})
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert isinstance(answer, Ranking)
    (row,) = answer.ranking
    assert (row.panel["knn"], row.panel["leep"]) == (None, None)
    assert row.panel["alignment"] is not None
    assert [said.split(" was")[0] for said in row.warnings if "not measured" in said] == ["knn", "leep"]


def test_what_was_asked_for_brings_the_usual_statistics_too(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    waiting = zoo.reusability.ask_ranking(RankingQuestion(task=data, panel=("knn",)), owner=OWNER)
    usual = zoo.reusability.ask_ranking(RankingQuestion(task=data), owner=OWNER)
    assert len(work_all(zoo)) == 1
    for query in (waiting, usual):
        assert zoo.queries.state(query, owner=OWNER).status == "done"
