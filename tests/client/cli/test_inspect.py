"""`zoo inspect`: which files are meant, the table and the picture of what was found, and one run from end to end."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from client.cli.app import application
from client.cli.depth_plot import draw_depth, picture_inches
from client.cli.inspect import InspectOptions, modules_of, run_in
from client.cli.inspection_table import BAR_WIDTH, depth_bar, write_inspection
from client.zoo import Zoo
from tests.api.serving import serving
from tests.client.inspection_samples import estimate, inspection, network
from tests.trainer.inspecting import damage, unseen, unseen_pictures, write_network

DEEP = [(f"module-{place // 9}", 0.1 + 0.01 * place) for place in range(36)]


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(application(arguments), list(arguments))
    return result.exit_code, result.output


def test_one_run_from_files_to_verdict_and_picture(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    paths, picture = write_network(tmp_path), tmp_path / "depth.png"
    damage(paths[1])
    data = unseen(tmp_path)
    code, out = run("inspect", *map(str, paths), str(data), "--json", "--plot", str(picture))
    assert code == 0, out + capfd.readouterr().err
    found = json.loads(out[out.index("{") : out.rindex("}") + 1])
    assert found["verdict"]["module"] == "digits-hidden-1"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_broken_images_are_left_out_where_that_is_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["inspect", *map(str, write_network(tmp_path)), str(unseen_pictures(tmp_path, broken=1)), "--json"]
    code, _ = run(*words)
    assert code == 1
    assert "7/broken-0.png" in capfd.readouterr().err
    code, out = run(*words, "--leave-out-broken")
    assert code == 0, out + capfd.readouterr().err
    assert "1 of the items were left out" in out


def test_the_modules_of_a_pipeline_are_fetched_from_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    paths = write_network(tmp_path)
    with serving(tmp_path / "service") as service:
        url = str(service.http.base_url).rstrip("/")
        with Zoo(url) as zoo:
            refs = [zoo.modules.publish(f"ada/{path.stem}", path).ref for path in paths]
            zoo.pipelines.compose("digits", refs)
        modules = modules_of(InspectOptions(pipeline=["digits"], data="unused", url=url))
    assert [module.name for module in modules] == refs
    assert [Path(module.file).read_bytes() for module in modules] == [path.read_bytes() for path in paths]


def test_the_modules_of_a_run_are_those_that_stand_on_each_other(tmp_path: Path) -> None:
    paths = write_network(tmp_path)
    for named in (str(tmp_path), str(tmp_path / "digits")):
        modules = modules_of(InspectOptions(pipeline=[named], data="unused"))
        assert [module.file for module in modules] == [str(path) for path in paths]


def test_a_run_in_a_folder_is_found_by_its_input_module(tmp_path: Path) -> None:
    for name in ("digits", "digits-end-to-end"):
        (tmp_path / f"{name}-input.safetensors").touch()
    assert run_in(tmp_path) == "digits"
    (tmp_path / f"{tmp_path.name}-input.safetensors").touch()
    assert run_in(tmp_path) == tmp_path.name


def test_a_folder_of_no_run_or_of_several_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="0 runs; train with this --out first"):
        run_in(tmp_path)
    for name in ("one", "two"):
        (tmp_path / f"{name}-input.safetensors").touch()
    with pytest.raises(typer.BadParameter, match=r"2 runs; name one of the runs in it: .*one, .*two"):
        run_in(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["inspect", "pipeline"], "Missing argument"),
        (["inspect", "no-such.safetensors", __file__], "no-such.safetensors"),
        (["inspect", "a.safetensors", "pipeline", __file__], "'pipeline' is no module file"),
        (["inspect", "pipeline", "no-such.zip"], "no-such.zip"),
        (["inspect", "pipeline", __file__, "--plot", "plot.gif"], "plot.gif"),
        (["inspect", "pipeline", __file__, "--examples", "3"], "--examples"),
    ],
)
def test_wrong_use_is_told_and_ends_with_2(arguments: list[str], told: str) -> None:
    code, text = run(*arguments)
    assert (code, told in " ".join(text.split())) == (2, True), text


def test_the_table_has_a_line_for_every_boundary(capsys: pytest.CaptureFixture[str]) -> None:
    write_inspection(inspection(("low", 0.3), ("low", 0.25), ("high", 0.26), sentence="Look at low."))
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["module", "images", "low", "2", "high"]
    assert "▲ +0.200 (+0.180 to +0.220)" in lines[2]
    assert "▼ -0.050" in lines[3]
    assert "· +0.010" in lines[4]
    assert lines[5].startswith("out: accuracy 70.0% (68.0% to 72.0%), mean log-likelihood -0.900")
    assert lines[6] == "Look at low."
    assert "note: mind the gap" in err


def test_a_bar_is_solid_up_to_the_low_end_and_shaded_up_to_the_high_end() -> None:
    assert depth_bar(estimate(0.5, reach=0.25), top=1.0, plain=True) == "######------------      "
    assert depth_bar(estimate(-0.2), top=1.0) == " " * BAR_WIDTH
    assert len(depth_bar(estimate(2.0), top=1.0)) == BAR_WIDTH


@pytest.mark.parametrize("scores", [[("only", 0.2)], [("low", 0.3), ("high", 0.2)], DEEP], ids=["one", "two", "deep"])
def test_the_same_inspection_gives_the_same_picture(scores: list[tuple[str, float]]) -> None:
    found = inspection(*scores, sentence="$E=mc^2$ \u4e2d " * 12)
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        picture = draw_depth(found, kind)  # type: ignore[arg-type]
        assert picture.startswith(start)
        assert picture == draw_depth(found, kind)  # type: ignore[arg-type]


def test_the_picture_is_wide_enough_for_names_and_no_wider_than_a_screen() -> None:
    short, long = network(("a", 0.2), ("b", 0.3)), network(*((name * 26, 0.2) for name in "abcde"))
    assert picture_inches(short) < picture_inches(long) < picture_inches(network(*DEEP)) <= 18.0
