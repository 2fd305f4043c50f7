"""Who may see what pages tell of somebody's data, where the zoo has a token."""

import re

import pytest

from tests.api.serving import serving
from tests.api.test_pages import PIECE, ask, publish_two
from tests.numpy_worker import quadrant_zip


@pytest.fixture
def guarded(tmp_path):
    with serving(tmp_path, token="s3cret") as service:
        publish_two(service.zoo)
        yield service.http


def test_with_a_token_the_form_asks_for_it_but_never_as_a_field(guarded):
    text = guarded.get("/rank").text
    assert "data-token" in text
    assert not re.search(r"<input[^>]*data-token[^>]* name=", text)
    assert ask(guarded).status_code == 401


def test_whoever_asked_with_the_token_may_look_and_nobody_else(guarded):
    response = ask(guarded, headers={"Authorization": "Bearer s3cret"})
    address, cookie = response.headers["location"], response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "s3cret" not in cookie
    assert guarded.get(address).status_code == 200
    guarded.cookies.clear()
    for path in (address, f"{address}/ranking.json", f"{address}/ranking.svg"):
        response = guarded.get(path)
        assert response.status_code == 401
        assert "data-token" in response.text
    assert guarded.get(f"{address}/progress", headers=PIECE).status_code == 286


def test_the_token_opens_a_ranking_that_was_shared(guarded):
    address = ask(guarded, headers={"Authorization": "Bearer s3cret"}).headers["location"]
    guarded.cookies.clear()
    assert guarded.post("/rank/token", headers={"Authorization": "Bearer wrong"}).status_code == 401
    opened = guarded.post("/rank/token", headers={"Authorization": "Bearer s3cret"})
    assert opened.headers["hx-refresh"] == "true"
    assert guarded.get(address).status_code == 200


def test_the_cookie_lets_nobody_write(guarded):
    ask(guarded, headers={"Authorization": "Bearer s3cret"})
    assert ask(guarded).status_code == 401
    assert guarded.post("/datasets", content=quadrant_zip()).status_code == 401
