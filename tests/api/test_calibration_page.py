"""The page about how good the scores are: empty, with few queries, with a picture, and who may see it."""

import re

import pytest

from api.pages.bars import Axis
from api.pages.calibration import calibration_view
from api.pages.scatter import MOST_DOTS, axis_over, from_top, scatter
from registry.calibration import reliability
from registry.outcome_records import PostedOutcome
from registry.rankings import RankingQuestion
from tests.api.serving import serving
from tests.api.test_pages import check_policy
from tests.numpy_worker import linear_module, publish, quadrant_module, quadrant_zip, work_all
from tests.outcome_samples import case

REFS = ("ada/seeing@1", "ada/one@1", "ada/two@1")
GOOD, BAD, REACHED = (0.3, 0.2, 0.1), (0.1, 0.2, 0.3), (0.9, 0.7, 0.5)


@pytest.fixture
def service(tmp_path):
    with serving(tmp_path) as running:
        yield running


def rank(zoo, *, seed=0):
    """The id of a ranking of three modules."""
    owner = "admin"
    data = zoo.datasets.add(zoo.blobs.put(quadrant_zip(seed=seed)), owner=owner).dataset.digest
    query = zoo.reusability.ask_ranking(RankingQuestion(task=data), owner=owner)
    work_all(zoo)
    return query


def tell(zoo, query, **changes):
    told = [
        PostedOutcome(module=ref, value=value, how="linear_probe", **changes)
        for ref, value in zip(REFS, REACHED, strict=True)
    ]
    zoo.outcomes.post(query, told, owner="admin")


def publish_three(zoo):
    publish(zoo, "ada/seeing", quadrant_module())
    publish(zoo, "ada/one", linear_module(1))
    publish(zoo, "ada/two", linear_module(2))


def test_an_empty_page_says_how_to_tell_an_outcome(service):
    response = service.http.get("/rank/calibration")
    assert response.status_code == 200
    check_policy(response)
    assert "No outcomes yet" in response.text
    assert "zoo outcome QUERY MODULE ACCURACY" in response.text
    assert 'href="/rank/calibration" aria-current="page"' in response.text
    assert response.headers["cache-control"] == "no-store"


def test_the_page_shows_every_estimator_with_the_static_one_and_says_when_queries_are_few(service):
    publish_three(service.zoo)
    query = rank(service.zoo)
    tell(service.zoo, query)
    response = service.http.get("/rank/calibration")
    check_policy(response)
    text = response.text
    assert "Accuracy, by a linear probe" in text
    assert "Too few queries to tell the estimators apart: 1 of at least 3" in text
    for name in ("centred alignment", "static"):
        assert f">{name}</a></th>" in text
    assert f'href="/rank/{query}"' in text
    assert len(re.findall(r'<circle class="dot"', text)) >= 3
    for seed in (1, 2):
        tell(service.zoo, rank(service.zoo, seed=seed))
    assert "Too few" not in service.http.get("/rank/calibration").text


def test_an_estimator_can_be_chosen_for_the_picture(service):
    publish_three(service.zoo)
    tell(service.zoo, rank(service.zoo))
    chosen = service.http.get("/rank/calibration", params={"estimator": "raw", "how": "linear_probe"}).text
    assert "Accuracy by raw:" in chosen
    assert "All metrics and ways" in chosen
    wrong = service.http.get("/rank/calibration", params={"estimator": "luck"})
    assert wrong.status_code == 422
    assert "<h1>" in wrong.text


def test_a_ranking_leads_to_the_page_and_names_the_command(service):
    publish_three(service.zoo)
    query = rank(service.zoo)
    text = service.http.get(f"/rank/{query}").text
    assert f"zoo outcome {query} MODULE ACCURACY" in text
    assert 'href="/rank/calibration"' in text


def test_outcomes_of_two_modules_are_not_enough_and_said_so(service):
    publish_three(service.zoo)
    query = rank(service.zoo)
    told = [PostedOutcome(module=ref, value=0.5) for ref in REFS[:2]]
    service.zoo.outcomes.post(query, told, owner="admin")
    assert "Not enough outcomes yet: a query counts from 3 modules" in service.http.get("/rank/calibration").text


def test_with_a_token_only_visitors_who_gave_it_see_the_page(tmp_path):
    with serving(tmp_path, token="s3cret") as guarded:
        refused = guarded.http.get("/rank/calibration")
        assert refused.status_code == 401
        assert "data-token" in refused.text
        guarded.http.post("/rank/token", headers={"Authorization": "Bearer s3cret"}).raise_for_status()
        assert guarded.http.get("/rank/calibration").status_code == 200


def test_the_picture_is_of_the_best_estimator_unless_another_is_chosen():
    outcomes = case("one", REACHED, {"ridge": GOOD, "raw": BAD}, static=GOOD)
    (best,) = calibration_view(outcomes, metric=None, how=None, chosen=None).groups
    assert [figure.judged.estimator for figure in best.figures] == ["ridge", "static"]
    (other,) = calibration_view(outcomes, metric=None, how=None, chosen="raw").groups
    assert [figure.judged.estimator for figure in other.figures] == ["raw", "static"]
    (missing,) = calibration_view(outcomes, metric=None, how=None, chosen="nce").groups
    assert missing.chosen == "ridge"


def test_without_static_scores_there_is_one_picture():
    (group,) = calibration_view(case("one", REACHED, {"ridge": GOOD}), metric=None, how=None, chosen=None).groups
    assert [figure.judged.estimator for figure in group.figures] == ["ridge"]


def test_what_is_larger_is_higher_and_every_dot_is_inside():
    up = Axis(0.0, 1.0)
    assert (from_top(up, 0.0), from_top(up, 1.0), from_top(up, 0.75)) == ("100.00%", "0.00%", "25.00%")
    pairs = [(float(number), number % 7 / 7) for number in range(2000)]
    drawn = scatter(pairs, reliability(pairs), up=axis_over([value for _, value in pairs]))
    assert len(drawn.dots) <= MOST_DOTS
    assert all(0 <= float(place[:-1]) <= 100 for dot in drawn.dots for place in (dot.x, dot.y))
    assert [tick.place for tick in drawn.up_ticks] == [from_top(drawn.up, tick.value) for tick in drawn.up_ticks]


def test_an_axis_of_one_value_has_a_width():
    assert axis_over([0.5, 0.5]).place(0.5) == "50.00%"
