"""The pages, through the whole app on SQLite and a folder; a NumPy worker scores what they ask for."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from api.pages.rendering import ASSETS
from registry.errors import NotScorableError
from registry.names import ModuleName
from registry.recipes import TaskSpec, TrainingRecipe
from registry.settings import Settings
from registry.work import ScoreResult
from storage.wiring import open_zoo
from tests.api.serving import serving
from tests.builders import digest_of, trained_on
from tests.numpy_worker import linear_module, publish, quadrant_module, quadrant_zip, score, work_all
from tests.registry.dataset_samples import folders, zip_bytes

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
PIECE = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """The database of an empty zoo, made once."""
    home = tmp_path_factory.mktemp("empty")
    open_zoo(Settings(home=home))
    return home / "zoo.sqlite3"


@pytest.fixture
def zoo(service_of_pages):
    return service_of_pages.zoo


@pytest.fixture
def visitor(service_of_pages):
    return service_of_pages.http


@pytest.fixture
def service_of_pages(tmp_path, empty):
    shutil.copy(empty, tmp_path)
    with serving(tmp_path) as service:
        yield service


def ask(visitor, data=None, *, headers=None, follow_redirects=False, **fields):
    files = {"data": ("images.zip", quadrant_zip() if data is None else data, "application/zip")}
    return visitor.post("/rank", files=files, data=fields, headers=headers, follow_redirects=follow_redirects)


def publish_two(zoo):
    publish(zoo, "ada/seeing", quadrant_module())
    publish(zoo, "ada/blind", quadrant_module(blind=True))


class Outline(HTMLParser):
    """Tags and attributes of a page, for what must and must not be in it."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((tag, name, value) for name, value in attrs)


def check_policy(response):
    """A page needs nothing that its content policy forbids."""
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    outline = Outline(response.text)
    assert "style" not in outline.tags
    for tag, name, value in outline.attributes:
        assert not name.startswith("on"), (tag, name, value)
        assert name != "style"
        if tag == "script":
            assert name in ("src", "defer")
    assert len(re.findall(r"<script\b", response.text)) == outline.tags.count("script")


def test_an_empty_catalogue_says_how_to_fill_it(visitor):
    response = visitor.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "zoo publish" in response.text
    check_policy(response)


def test_the_catalogue_tells_a_module_in_short(zoo, visitor):
    changes = {"task": trained_on("data", "cat", "dog"), "license": "CC0-1.0", "tags": ("fur",)}
    publish(zoo, "ada/pets", linear_module(1, **changes))
    text = visitor.get("/").text
    for part in ("pets", "1 × 8 × 8 → 4", "flatten, linear", "cat, dog", "260 parameters", "CC0-1.0", "fur"):
        assert part in text
    assert 'href="/ui/modules/ada/pets?version=1"' in text


def test_the_catalogue_narrows_and_remembers_what_was_asked(zoo, visitor):
    publish(zoo, "ada/cats", linear_module(1, tags=("fur",)))
    publish(zoo, "bob/cars", linear_module(2))
    text = visitor.get("/", params={"tag": "fur", "q": " cats "}).text
    assert "cats" in text
    assert "cars" not in text
    assert '<option value="fur" selected>' in text
    assert 'value="cats"' in text
    assert "No module fits" in visitor.get("/", params={"namespace": "nobody", "role": "hidden"}).text


def test_the_catalogue_turns_pages(zoo, visitor):
    for seed in range(26):
        publish(zoo, f"ada/module-{seed:02}", linear_module(seed))
    first = visitor.get("/").text
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following is not None
    second = visitor.get(following[1].replace("&amp;", "&")).text
    names = [re.findall(r"/ui/modules/ada/(module-\d\d)\?", text) for text in (first, second)]
    assert sorted(names[0] + names[1]) == [f"module-{seed:02}" for seed in range(26)]
    assert 'rel="next"' not in second
    assert "First page" in second


@pytest.mark.parametrize(
    ("fields", "told"), [({"role": "king"}, "king"), ({"cursor": "not-one"}, "cursor"), ({"q": "x" * 201}, "q")]
)
def test_a_wrong_search_is_refused_as_a_page(http, fields, told):
    response = http.get("/", params=fields)
    assert response.status_code == 422
    assert response.headers["content-type"].startswith("text/html")
    assert told in response.text


def test_a_module_page_tells_everything_and_how_to_fetch(zoo, visitor):
    below = publish(zoo, "ada/pets", linear_module(1, description="Sees fur.", metrics=[_metric()]))
    text = visitor.get("/ui/modules/ada/pets").text
    url = f"{visitor.base_url}/modules/ada/pets/versions/1/file"
    for part in ("zoo fetch ada/pets@1", url, below.digest, "Sees fur.", "0.9312", "relu, no pooling"):
        assert part in text
    check_policy(visitor.get("/ui/modules/ada/pets"))
    assert visitor.get(url).status_code == 200


def test_a_module_page_tells_the_usual_learning_rate_where_the_recipe_names_none(zoo, visitor):
    recipe = TrainingRecipe(task=TaskSpec(dataset=digest_of("data")), family="mlp")
    publish(zoo, "ada/pets", linear_module(1, recipe=recipe.model_dump(mode="json")))
    assert f"muon at {recipe.optimiser.peak_rate}," in visitor.get("/ui/modules/ada/pets").text


def _metric():
    return {"name": "accuracy", "on": "held out", "value": 0.93121}


def test_a_module_page_shows_any_version_and_what_stands_on_it(zoo, visitor):
    publish(zoo, "ada/pets", linear_module(1))
    publish(zoo, "ada/pets", linear_module(2))
    zoo.modules.yank(ModuleName("ada", "pets"), 1, HOSTILE)
    assert "@2</span>" in visitor.get("/ui/modules/ada/pets").text
    response = visitor.get("/ui/modules/ada/pets?version=1")
    assert "hidden from searches" in response.text
    check_policy(response)
    zoo.modules.yank(ModuleName("ada", "pets"), 2, "")
    assert "@2</span>" in visitor.get("/ui/modules/ada/pets").text


@pytest.mark.parametrize(
    "path", ["/ui/modules/ada/none", "/rank/query-none", "/static/none.css", "/rank/x/ranking.svg"]
)
def test_what_is_not_there_is_told_as_a_page(http, path):
    response = http.get(path)
    assert response.status_code == 404
    assert "<h1>Not found</h1>" in response.text


@pytest.mark.parametrize("path", ["/ui/modules/ADA/x", "/ui/modules/ada/x?version=0", "/rank/x/ranking.gif"])
def test_a_wrong_address_is_told_as_a_page(http, path):
    response = http.get(path)
    assert response.status_code == 422
    assert "<h1>" in response.text


def test_hostile_text_stays_text(zoo, visitor):
    changes = {"description": HOSTILE, "license": HOSTILE, "task": trained_on("data", HOSTILE, "b")}
    publish(zoo, "ada/pets", linear_module(1, **changes))
    for path in ("/", "/ui/modules/ada/pets"):
        response = visitor.get(path, params={"q": HOSTILE} if path == "/" else None)
        check_policy(response)
        assert "img" not in Outline(response.text).tags
    assert "&lt;script&gt;" in visitor.get("/ui/modules/ada/pets").text
    assert "img" not in Outline(visitor.get("/", params={"role": HOSTILE}).text).tags


def test_hostile_class_names_stay_text_in_a_ranking(zoo, visitor):
    publish_two(zoo)
    names = ("<img src=x onerror=alert(3)>", "<script>alert(4)<script>", "c", "d")
    address = ask(visitor, quadrant_zip(classes=names)).headers["location"]
    work_all(zoo)
    response = visitor.get(address)
    assert "alert(3)" in response.text
    assert "img" not in Outline(response.text).tags
    check_policy(response)


def test_a_question_leads_to_an_address_that_stays(zoo, visitor):
    publish_two(zoo)
    response = ask(visitor)
    address = response.headers["location"]
    assert response.status_code == 303
    assert re.fullmatch(r"/rank/query-[0-9a-f]+", address)
    assert ask(visitor).headers["location"] == address
    piece = ask(visitor, headers=PIECE)
    assert piece.status_code == 204
    assert piece.headers["hx-redirect"] == address


def test_a_running_ranking_polls_and_a_finished_one_does_not(zoo, visitor):
    publish_two(zoo)
    address = ask(visitor).headers["location"]
    waiting = visitor.get(address)
    assert f'hx-get="{address}/progress"' in waiting.text
    assert "http-equiv" in waiting.text
    assert "zoo work" in waiting.text
    assert visitor.get(f"{address}/progress", headers=PIECE).status_code == 200
    work_all(zoo)
    done = visitor.get(f"{address}/progress", headers=PIECE)
    assert done.status_code == 286
    assert "<html" not in done.text
    assert "hx-get" not in visitor.get(address).text


def test_a_ranking_says_which_module_and_how_sure(zoo, visitor):
    publish_two(zoo)
    address = ask(visitor, rank_by="alignment").headers["location"]
    work_all(zoo)
    response = visitor.get(address)
    text = response.text
    ranking = json.loads(visitor.get(f"{address}/ranking.json").text)
    best = ranking["ranking"][0]
    assert ranking["rank_by"] == "alignment"
    assert best["module"]["ref"] == "ada/seeing@1"
    assert "ada/seeing@1 ranks first." in text
    assert f"score {best['score']:.3f}, interval" in text
    assert text.index("ada/seeing@1</a>") < text.index("ada/blind@1</a>")
    assert "80 images of 4 classes" in text
    check_policy(response)


def test_a_ranking_can_be_kept_as_a_picture(zoo, visitor):
    publish_two(zoo)
    address = ask(visitor).headers["location"]
    work_all(zoo)
    svg, png = visitor.get(f"{address}/ranking.svg"), visitor.get(f"{address}/ranking.png")
    assert svg.headers["content-type"].startswith("image/svg+xml")
    assert png.content.startswith(b"\x89PNG")


def test_a_partial_ranking_shows_while_work_is_left(zoo, visitor):
    publish_two(zoo)
    address = ask(visitor).headers["location"]
    job = zoo.jobs.claim(["score"], worker="numpy")
    zoo.jobs.finish(job.id, attempt=job.attempt, result=ScoreResult(statistics=score(zoo, job.work)))
    response = visitor.get(f"{address}/progress", headers=PIECE)
    assert response.status_code == 200
    assert "So far: 1 of 2 modules are scored" in response.text
    assert "ranks first" not in response.text
    assert "1 of 2 steps" in response.text


def test_a_failed_ranking_says_why_and_stops_polling(zoo, visitor):
    publish_two(zoo)
    address = ask(visitor).headers["location"]
    while job := zoo.jobs.claim(["score"], worker="numpy"):
        zoo.jobs.fail(job.id, attempt=job.attempt, error="the disk of <b>the worker</b> is full")
    response = visitor.get(f"{address}/progress", headers=PIECE)
    assert response.status_code == 286
    assert "the disk of &lt;b&gt;the worker&lt;/b&gt; is full" in response.text


def test_a_module_that_could_not_be_scored_stands_below_the_others_with_the_reason(zoo, visitor):
    publish_two(zoo)
    address = ask(visitor).headers["location"]
    job = zoo.jobs.claim(["score"], worker="numpy")
    zoo.jobs.fail(job.id, attempt=job.attempt, error="the disk of <b>the worker</b> is full")
    work_all(zoo)
    shown = visitor.get(address).text
    below = shown.partition("</table>")[2]
    assert "Not scored" in below
    assert "the disk of &lt;b&gt;the worker&lt;/b&gt; is full" in below
    assert "/ui/modules/ada/" in below


def test_the_form_promises_nothing_that_is_not_there(http):
    assert "--here" not in http.get("/rank").text


def test_data_no_module_can_tell_apart_is_said_to_be_so(zoo, visitor):
    publish(zoo, "ada/blind", quadrant_module(blind=True))
    address = ask(visitor).headers["location"]
    work_all(zoo)
    assert "None of the 1 modules is better than chance" in visitor.get(address).text


def test_two_of_a_kind_cannot_be_told_apart(zoo, visitor):
    publish(zoo, "ada/one", quadrant_module())
    publish(zoo, "ada/two", quadrant_module())
    publish(zoo, "ada/three", linear_module(1, description="other"))
    address = ask(visitor).headers["location"]
    work_all(zoo)
    assert "ada/one@1 and ada/two@1 cannot be told apart" in visitor.get(address).text


@pytest.mark.parametrize(
    ("data", "told"),
    [(b"PK\x03\x04broken", "zip"), (b"no archive", "zip"), (quadrant_zip(classes=("only",)), "class")],
)
@pytest.mark.parametrize("headers", [{}, PIECE])
def test_a_bad_file_is_refused_readably_and_not_kept(service, http, data, told, headers):
    publish_two(service.zoo)
    response = ask(http, data, headers=headers)
    assert response.status_code == 422
    assert told in response.text
    assert 'role="alert"' in response.text
    assert ("<html" in response.text) == (not headers)
    assert service.zoo.datasets.list(owner=None, limit=10, cursor=None).items == ()


HINT = "Images that cannot be read may also be left out"


def test_leaving_out_is_offered_for_broken_images_only_and_bytes_are_shown_as_text(http):
    script = ask(http, b"import numpy as np").text
    assert "begins with the text &#34;import numpy&#34;" in script
    assert HINT not in script
    broken = ask(http, zip_bytes({**folders(), "cat/bad.png": b"bad"}))
    assert broken.status_code == 422
    assert HINT in broken.text


@pytest.mark.parametrize(("name", "value"), [("rank_by", "beauty"), ("examples", "3"), ("examples", "many")])
def test_wrong_options_are_refused_and_nothing_is_kept(service, http, name, value):
    publish_two(service.zoo)
    response = ask(http, **{name: value})
    assert response.status_code == 422
    assert name in response.text
    assert service.zoo.datasets.list(owner=None, limit=10, cursor=None).items == ()


def test_a_form_without_a_file_is_refused(http):
    assert http.post("/rank", files={"data": ("", b"")}).status_code == 422
    assert http.post("/rank", data={"rank_by": "raw"}).status_code == 422


def test_an_empty_zoo_has_nothing_to_rank(visitor):
    response = ask(visitor)
    assert response.status_code == NotScorableError.status
    assert "publish one first" in response.text


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path):
    with serving(tmp_path, dataset_limit_bytes=1000) as service:
        response = service.http.post("/rank", content=bytes(200_000))
    assert response.status_code == 413


def test_a_form_of_another_site_is_refused(http):
    assert ask(http, headers={"Origin": "https://elsewhere.example"}).status_code == 403


@pytest.mark.parametrize("name", sorted(ASSETS))
def test_files_of_pages_are_kept_for_ever_under_the_address_that_names_their_bytes(http, name):
    tagged = http.get(f"/static/{name}", params={"v": ASSETS[name].tag})
    assert tagged.content == ASSETS[name].data
    assert "immutable" in tagged.headers["cache-control"]
    assert http.get(f"/static/{name}").headers["cache-control"] == "no-cache"
    tag = tagged.headers["etag"]
    for held in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        assert http.get(f"/static/{name}", headers={"If-None-Match": held}).status_code == 304
    assert http.get(f"/static/{name}", headers={"If-None-Match": '"other"'}).status_code == 200


def test_pages_refer_only_to_files_that_are_there(http):
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', http.get("/rank").text):
        response = http.get(path)
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]
