"""Pictures of answers are there, name what they show, and are the same bytes for the same answer."""

from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import pytest

from api.plots import draw_ranking
from registry.manifest import Preprocessing
from registry.names import Digest
from registry.rankings import RankedModule, Ranking, RankingRow

DATA = Digest("sha256:" + "d" * 64)
MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml"}
PREPROCESSING = Preprocessing(colour="grey", height=8, width=8, mean=(0.5,), std=(0.5,))


def row_of(place, *, ref=None, static=0.3):
    score = 0.9 - 0.05 * place
    return RankingRow(
        rank=place + 1,
        module=RankedModule(ref=ref or f"digits/module-{place}@1", digest=DATA),
        score=score,
        interval=(score - 0.04, score + 0.03),
        chance=0.02,
        p_value=0.001,
        panel={"centred_alignment": score},
        static=static,
        n=100,
        n_per_class={"cat": 50, "dog": 50},
        preprocessing=PREPROCESSING,
        warnings=(),
        cached=False,
        milliseconds=3.5,
    )


def ranking_of(*rows):
    return Ranking(
        query="query-1",
        rank_by="centred_alignment",
        decision="ranked",
        seed=0,
        examples=100,
        task="task-1",
        data=DATA,
        classes={"cat": ("cat",), "dog": ("dog",)},
        scorer="statistics-1",
        serial=3,
        candidates=max(len(rows), 1),
        ranking=rows,
    )


@pytest.mark.parametrize("kind", ["png", "svg"])
@pytest.mark.parametrize("size", [0, 1, 70])
def test_a_ranking_is_a_picture_at_every_length(kind, size):
    picture = draw_ranking(ranking_of(*(row_of(place) for place in range(size))), kind)
    assert picture.startswith(MAGIC[kind])
    assert len(picture) > 3_000


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_answer_gives_the_same_bytes_also_when_drawn_at_once(kind):
    ranking = ranking_of(row_of(0), row_of(1, static=None))
    with ThreadPoolExecutor(4) as pool:
        rankings = list(pool.map(lambda _: draw_ranking(ranking, kind), range(4)))
    assert len(set(rankings)) == 1


def test_other_scores_give_other_pictures():
    assert draw_ranking(ranking_of(row_of(0)), "png") != draw_ranking(ranking_of(row_of(1)), "png")


def test_svg_is_well_formed_and_holds_no_date():
    picture = draw_ranking(ranking_of(row_of(0)), "svg")
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert b"dc:date" not in picture


@pytest.mark.parametrize("name", ["$x^{$", "猫", "<script>alert(1)</script>", "\n\t", "x" * 5_000, "\\frac"])
def test_no_name_of_a_module_breaks_a_picture(name):
    picture = draw_ranking(ranking_of(row_of(0, ref=name)), "svg")
    assert b"<script" not in picture
    ElementTree.fromstring(picture)
