import pytest
import torch

from tests.trainer.examples import digits, ignore, never, recipe
from trainer.devices import choose_placement
from trainer.run import train


def test_a_cpu_computes_in_float32_and_row_major():
    placement = choose_placement("auto", device="cpu")
    assert placement.precision == torch.float32
    assert placement.memory_format == torch.contiguous_format


def test_bfloat16_may_be_asked_for_on_a_cpu():
    network = train(recipe(precision="bfloat16"), digits(), report=ignore, should_stop=never)
    assert network.modules[-1].metric("accuracy") > 0.8
    assert all(values.dtype == "float32" for values in network.modules[0].tensors.values())


@pytest.mark.gpu
def test_a_gpu_computes_in_bfloat16_and_channels_last():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    placement = choose_placement("auto")
    assert placement.memory_format == torch.channels_last
    wanted = recipe(family="resnet18", width=8, modules=2, augment=True)
    network = train(wanted, digits(), report=ignore, should_stop=never)
    assert network.modules[-1].metric("accuracy") > 0.6
