"""`zoo publish --torchvision`: options become a request, and the parts of a backbone are published in order."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models
from typer.testing import CliRunner

from client.cli.app import application
from client.cli.publish import PublishOptions, name_of, wrap_command
from registry.names import ModuleName
from registry.wrapping import WrapRequest
from tests.api.serving import Service

pytestmark = pytest.mark.usefixtures("no_logs_of_the_service")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    file = tmp_path / "weights.safetensors"
    save_file(models.squeezenet1_1(weights=None).state_dict(), file)
    return file


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(application(arguments), list(arguments))
    return result.exit_code, result.output


def options(**changes: object) -> PublishOptions:
    return PublishOptions(file=Path(__file__), name="ada/net", **changes)  # type: ignore[arg-type]


def test_every_option_reaches_the_request() -> None:
    given = options(
        torchvision="resnet18",
        cut=[1, 3],
        preset="IMAGENET1K_V1",
        image_size=64,
        mean="0.5,0.4,0.3",
        std="1,1,1",
        description="mine",
        license="MIT",
        tag=["small"],
    )
    assert given.request() == WrapRequest(
        library="torchvision",
        backbone="resnet18",
        cuts=(1, 3),
        preset="IMAGENET1K_V1",
        image_size=64,
        mean=(0.5, 0.4, 0.3),
        std=(1.0, 1.0, 1.0),
        description="mine",
        license="MIT",
        tags=("small",),
    )
    assert options(timm="resnet50.a1_in1k", modules=2).request() == WrapRequest(
        library="timm", backbone="resnet50.a1_in1k", modules=2
    )
    assert options().request() is None


def test_the_trainer_is_told_where_everything_is(tmp_path: Path) -> None:
    assert wrap_command(Path("w.safetensors"), tmp_path) == [
        *(sys.executable, "-m", "trainer", "wrap", "--request", str(tmp_path / "request.json")),
        *("--weights", "w.safetensors", "--out", str(tmp_path), "--name", "backbone"),
    ]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--torchvision", "resnet51", "--name", "a/b"], "resnet50"),
        (["--torchvision", "resnet18", "--timm", "resnet18", "--name", "a/b"], "weights of one network"),
        (["--torchvision", "resnet18"], "NAMESPACE/NAME once"),
        (["a/b", "--torchvision", "resnet18", "--name", "a/b"], "NAMESPACE/NAME once"),
        (["a/b", "--modules", "2", "--image-size", "64"], "--modules, --image-size"),
        (["a/b", "--torchvision", "resnet18", "--mean", "0.5,x"], "not three numbers"),
        (["a/b", "--torchvision", "resnet18", "--image-size", "5000"], "image_size"),
        (["a/b", "--timm", "hf_hub:evil/model"], "backbone"),
    ],
)
def test_wrong_use_ends_before_anything_is_started(typed: list[str], said: str) -> None:
    code, output = run("publish", __file__, *typed)
    assert code == 2
    assert said in output.replace("\n", " ")


def test_a_backbone_is_published_with_one_command(
    service: Service, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_URL", str(service.http.base_url).rstrip("/"))
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    options = ("--name", "ada/squeeze", "--image-size", "64", "--modules", "2", "--json")
    code, text = run("publish", "--torchvision", "squeezenet1_1", str(weights), *options)
    modules = json.loads(text)["modules"]
    assert (code, [module["name"] for module in modules]) == (0, ["squeeze-input", "squeeze-hidden-1"])
    assert modules[1]["below"] == modules[0]["digest"]


def test_one_part_has_the_name_itself_and_several_have_endings() -> None:
    name = ModuleName.parse("ada/net")
    assert name_of(name, Path("backbone-input.safetensors"), alone=True) == "ada/net"
    assert name_of(name, Path("backbone-hidden-2.safetensors"), alone=False) == "ada/net-hidden-2"
