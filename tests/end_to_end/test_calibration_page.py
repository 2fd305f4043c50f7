"""The page about how good the scores are, in a real browser: it fits, it is read, nothing breaks its content policy."""

import os
from pathlib import Path

import pytest

from registry.outcome_records import PostedOutcome
from registry.rankings import Ranking, RankingQuestion
from tests.api.serving import serving
from tests.end_to_end.test_browser import (
    CHROMIUM,
    Complaints,
    browser,
    check_fits,
    expect,
    page,
    publish_three,
    url_of,
)
from tests.numpy_worker import quadrant_zip, work_all

__all__ = ["browser", "page"]

OWNER = "admin"
SHOTS = os.environ.get("ZOO_TEST_SCREENSHOTS")
"""A folder for pictures of what the tests see, for people; none without it."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH; install it to test the pages in a browser"),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("zoo")) as running:
        publish_three(running.zoo)
        for seed in range(4):
            tell(running.zoo, seed)
        yield running


def tell(zoo, seed):
    """Rank, and tell that every module reached something near its score."""
    data = zoo.datasets.add(zoo.blobs.put(quadrant_zip(seed=seed)), owner=OWNER).dataset.digest
    query = zoo.reusability.ask_ranking(RankingQuestion(task=data), owner=OWNER)
    work_all(zoo)
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert isinstance(answer, Ranking)
    told = [
        PostedOutcome(module=row.module.digest, value=0.5 + row.score / 2 + 0.03 * (place + seed) % 0.1)
        for place, row in enumerate(answer.ranking)
    ]
    zoo.outcomes.post(query, told, owner=OWNER)


def shoot(page, name):
    if SHOTS is not None:
        width = page.viewport_size["width"]
        page.screenshot(path=str(Path(SHOTS) / f"{name}-{width}.png"), full_page=True)


def test_every_estimator_is_read_and_one_is_chosen_for_the_picture(page, service):
    complaints = Complaints(page)
    page.goto(url_of(service, "/"))
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="How good are the scores?").click()
    table = page.get_by_role("table").first
    expect(table).to_contain_text("static")
    expect(page.get_by_role("img")).to_have_count(2)
    check_fits(page)
    shoot(page, "calibration")
    table.get_by_role("link", name="raw", exact=True).click()
    label = page.get_by_role("img").first.get_attribute("aria-label")
    assert label.startswith("accuracy by raw, 12 dots")
    page.get_by_text("Raw in bins").click()
    page.get_by_text("The newest queries").click()
    expect(page.get_by_role("cell", name="query-").first).to_be_visible()
    check_fits(page)
    shoot(page, "calibration-open")
    assert complaints.said == []


def test_without_outcomes_the_page_says_how_to_tell_one(page, tmp_path):
    with serving(tmp_path) as empty:
        complaints = Complaints(page)
        page.goto(url_of(empty, "/rank/calibration"))
        expect(page.get_by_text("No outcomes yet")).to_be_visible()
        expect(page.get_by_text("zoo outcome QUERY MODULE ACCURACY")).to_be_visible()
        check_fits(page)
        assert complaints.said == []
