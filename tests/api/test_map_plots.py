"""Pictures of maps are there at every size, and are the same bytes for the same map; labels hide nothing."""

from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from api.map_plots import draw_map
from api.point_labels import PointLabels, label_points
from registry.names import Digest
from registry.rankings import MapEmbedding, MapSource, MapTarget, RankedModule, TaskMap
from registry.task_map import task_map

DATA = Digest("sha256:" + "d" * 64)
MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml"}


def map_of(sources, targets, *, names=("cat", "dog"), scores=None):
    if scores is None:
        scores = np.random.default_rng(sources + 100 * targets).uniform(size=(sources, targets))
    layout = task_map(scores)
    return TaskMap(
        query="query-1",
        rank_by="centred_alignment",
        seed=0,
        examples=100,
        scorer="statistics-1",
        serial=3,
        sources=tuple(
            MapSource(
                module=RankedModule(ref=f"a/b{place}@1", digest=DATA),
                task=f"task-{place}" if place < targets else None,
                data=DATA,
                classes={f"{name}{place}": (name,) for name in names},
                cluster=layout.clusters[place],
            )
            for place in range(sources)
        ),
        targets=tuple(
            MapTarget(task=f"task-{place}", data=DATA, classes={f"{name}{place}": (name,) for name in names})
            for place in range(targets)
        ),
        tasks=(),
        scores=tuple(tuple(float(score) for score in row) for row in scores),
        tree=tuple(tuple(merge) for merge in layout.tree),
        order=layout.order,
        target_order=tuple(range(targets)),
        clusters=layout.clusters,
        embedding=MapEmbedding(coordinates=layout.embedding.coordinates, kept=layout.embedding.kept),
    )


@pytest.mark.parametrize("kind", ["png", "svg"])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (4, 9), (21, 3)])
def test_a_map_is_a_picture_at_every_size(kind, size):
    picture = draw_map(map_of(*size), kind)
    assert picture.startswith(MAGIC[kind])
    assert len(picture) > 3_000


@pytest.mark.parametrize("panels", ["matrix", "embedding"])
@pytest.mark.parametrize("size", [(1, 4), (14, 14), (61, 2)])
def test_each_panel_stands_alone(panels, size):
    assert draw_map(map_of(*size), "png", panels=panels).startswith(MAGIC["png"])


def test_the_panels_are_different_pictures():
    pictures = {draw_map(map_of(3, 3), "svg", panels=panels) for panels in ("both", "matrix", "embedding")}
    assert len(pictures) == 3


def test_sources_that_do_not_differ_are_drawn():
    assert draw_map(map_of(5, 4, scores=np.ones((5, 4))), "png").startswith(MAGIC["png"])
    assert draw_map(map_of(15, 4, scores=np.zeros((15, 4))), "png").startswith(MAGIC["png"])


def test_sources_of_unknown_training_are_named_by_their_module():
    known = map_of(2, 2)
    unknown = known.model_copy(
        update={"sources": tuple(source.model_copy(update={"classes": {}}) for source in known.sources)}
    )
    assert draw_map(unknown, "svg") != draw_map(known, "svg")


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_map_gives_the_same_bytes_also_when_drawn_at_once(kind):
    with ThreadPoolExecutor(4) as pool:
        maps = list(pool.map(lambda _: draw_map(map_of(4, 4), kind), range(4)))
    assert len(set(maps)) == 1


def test_svg_is_well_formed_and_holds_no_date():
    picture = draw_map(map_of(4, 4), "svg")
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert b"dc:date" not in picture


@pytest.mark.parametrize("name", ["$x^{$", "猫", "<script>alert(1)</script>", "\n\t", "x" * 5_000, "\\frac"])
def test_no_class_name_breaks_a_picture(name):
    picture = draw_map(map_of(2, 2, names=(name, "dog")), "svg")
    assert b"<script" not in picture
    ElementTree.fromstring(picture)


def written(points, texts):
    """Figure and labels of points in a plane of 5 by 5 inches, as they were placed."""
    figure = Figure(figsize=(5, 5))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-1, 1), ylim=(-1, 1))
    figure.draw_without_rendering()
    label_points(PointLabels(axes, np.array(points, dtype=np.float64), texts))
    figure.draw_without_rendering()
    return figure, list(axes.texts)


@pytest.mark.parametrize("seed", range(3))
def test_labels_of_scattered_points_lie_inside_and_apart(seed):
    points = np.random.default_rng(seed).uniform(-0.9, 0.9, size=(30, 2))
    figure, texts = written(points, [str(place) for place in range(30)])
    words = [Text.get_window_extent(text) for text in texts]
    frame = figure.axes[0].get_window_extent()
    assert all(frame.contains(*corner) for box in words for corner in box.corners())
    assert not any(one.overlaps(other) for place, one in enumerate(words) for other in words[:place])


def test_points_in_one_place_share_a_label_with_ranges():
    _, texts = written([(0, 0)] * 5 + [(0.5, 0.5)], ["7", "3", "1", "2", "12", "9"])
    assert [text.get_text() for text in texts] == ["1-3, 7, 12", "9"]
    _, texts = written([(0, 0)] * 2, ["cat / dog", "ship"])
    assert [text.get_text() for text in texts] == ["cat / dog\nship"]


def test_points_without_text_have_no_label():
    assert written([(0, 0), (0.5, 0)], ["", ""])[1] == []
