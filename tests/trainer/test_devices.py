import copy
import shutil

import pytest
import torch
from torch import nn

from registry.networks.blocks import BasicBlock
from tests.trainer.examples import digits, ignore, never, recipe
from trainer.devices import choose_placement, compile_blocks
from trainer.run import train


def test_a_cpu_computes_in_float32():
    assert choose_placement("auto", device="cpu").precision == torch.float32


def test_images_and_convolutions_lie_with_channels_last_and_rows_as_they_are():
    placement = choose_placement("auto", device="cpu")
    images = placement.place_images(torch.zeros(2, 3, 4, 4))
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert placement.place_images(torch.zeros(4, 3).T).is_contiguous()
    convolution = placement.place(nn.Conv2d(3, 8, 3))
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)


def test_bfloat16_may_be_asked_for_on_a_cpu():
    network = train(recipe(precision="bfloat16"), digits(), report=ignore, should_stop=never)
    assert network.modules[-1].metric("accuracy") > 0.8
    assert all(values.dtype == "float32" for values in network.modules[0].tensors.values())


@pytest.mark.gpu
def test_a_gpu_computes_in_bfloat16():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    placement = choose_placement("auto")
    assert placement.precision == torch.bfloat16
    wanted = recipe(family="resnet18", width=8, modules=2, augment=True)
    network = train(wanted, digits(), report=ignore, should_stop=never)
    assert network.modules[-1].metric("accuracy") > 0.6


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU needs a C++ compiler")
def test_compiled_blocks_compute_the_same_and_keep_their_names():
    blocks = nn.Sequential(*(BasicBlock(4, 4, 1) for _ in range(3)))
    compiled = copy.deepcopy(blocks)
    compile_blocks(compiled)
    images = torch.rand(8, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for module in (blocks, compiled):
        module(images).sum().backward()
    assert list(compiled.state_dict()) == list(blocks.state_dict())
    for own, other in zip(blocks.parameters(), compiled.parameters(), strict=True):
        assert torch.allclose(own.grad, other.grad, atol=1e-3)
