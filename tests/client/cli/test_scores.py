"""Scores for people."""

from collections.abc import Sequence

import pytest

from client.cli.rank import write_ranking
from client.cli.scores import BAR_WIDTH, bar_scale, decision_text, interval_bar
from registry.manifest import Preprocessing
from registry.noise import SharedNoise
from registry.rankings import Decision, NotScored, RankedModule, Ranking, RankingRow
from tests.builders import digest_of

NOISE_WARNING = SharedNoise(epsilon=1.0, modules=3).warning
TOO_FEW_WARNING = "too few examples to tell from chance: shuffling their labels has too few outcomes"


def row(rank: int, score: float, *, doubt: float = 0.05, chance: float = 0.1) -> RankingRow:
    return RankingRow(
        rank=rank,
        module=RankedModule(ref=f"ada/m{rank}-{score}@1", digest=digest_of(score)),
        score=score,
        interval=(score - doubt, score + doubt),
        chance=chance,
        p_value=0.01,
        panel={"centred_alignment": score},
        static=None,
        n=100,
        n_per_class={"a": 50, "b": 50},
        preprocessing=Preprocessing(colour="grey", height=8, width=8, mean=(0.5,), std=(0.5,)),
        warnings=(),
        cached=False,
        milliseconds=1.0,
    )


def ranking(decision: Decision, rows: Sequence[RankingRow]) -> Ranking:
    return Ranking(
        query="query-1",
        rank_by="centred_alignment",
        decision=decision,
        seed=0,
        examples=100,
        task="task-1",
        data=digest_of("data"),
        classes={"a": ("a",), "b": ("b",)},
        scorer="statistics-1",
        serial=1,
        candidates=len(rows),
        ranking=tuple(rows),
    )


def test_candidates_that_were_not_scored_stand_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    left_out = NotScored(module=RankedModule(ref="ada/narrow@1", digest=digest_of(1)), reason="it has no feature map")
    undefined = row(1, 0.6).model_copy(update={"panel": {"centred_alignment": 0.6, "raw": None}})
    write_ranking(ranking("ranked", [undefined]).model_copy(update={"not_scored": (left_out,)}))
    lines = capsys.readouterr().out.splitlines()
    assert "ada/m1-0.6@1" in lines[1]
    assert lines[2] == "not scored: ada/narrow@1: it has no feature map"


def test_a_bar_shows_score_interval_and_chance_on_one_scale() -> None:
    rows = (row(1, 0.6), row(2, 0.3))
    scale = bar_scale(rows)
    assert scale == (0.1, 0.65)
    first, second = (interval_bar(each, scale, plain=True) for each in rows)
    assert (first[0], first[-1]) == ("|", "-")
    assert first.index("o") > second.index("o")
    assert len(first) == len(second) == BAR_WIDTH
    assert set(interval_bar(rows[0], scale)) == set(" ─●┆")


def test_a_scale_is_never_empty() -> None:
    low, high = bar_scale([row(1, 0.1, doubt=0.0)])
    assert low < 0.1 < high
    assert bar_scale([]) == (-0.5, 0.5)


@pytest.mark.parametrize(
    ("decision", "rows", "told"),
    [
        ("ranked", [row(1, 0.6), row(2, 0.3)], "ada/m1-0.6@1 serves this task best: 0.600 (95 %: 0.550 to 0.650)"),
        ("tie", [row(1, 0.6), row(1, 0.59), row(3, 0.2)], "ada/m1-0.6@1, ada/m1-0.59@1 cannot be told apart"),
        ("tie", [row(1, 0.6 + i / 100) for i in range(5)], "and 2 more cannot"),
        ("none_better_than_chance", [row(1, 0.05)], "None of the 1 modules is better than chance"),
        ("none_better_than_chance", [], "No module of this zoo can be scored"),
    ],
)
def test_a_decision_is_a_sentence(decision: Decision, rows: list[RankingRow], told: str) -> None:
    assert told in decision_text(ranking(decision, rows))


@pytest.mark.parametrize(
    ("warnings", "told"),
    [
        ((), "train one with `zoo train`"),
        ((TOO_FEW_WARNING,), "too few examples to tell any of the 1 modules from chance"),
        ((NOISE_WARNING,), "raise epsilon (--noise), add images, or name fewer --candidates"),
        ((NOISE_WARNING, TOO_FEW_WARNING), "give more images of each class"),
    ],
)
def test_where_nothing_beats_chance_the_likely_reason_decides_the_remedy(warnings: tuple[str, ...], told: str) -> None:
    said = decision_text(ranking("none_better_than_chance", [row(1, 0.05).model_copy(update={"warnings": warnings})]))
    assert told in said
    assert ("zoo train" in said) == (warnings == ())
