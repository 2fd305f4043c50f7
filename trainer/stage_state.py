"""The tensors of a learner, by name: modules, objectives with their heads, and the state of the optimisers."""

import zlib
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainer.checkpoints import under
from trainer.learners import Learner


def weights_of_learner(learner: Learner) -> dict[str, Tensor]:
    """Weights of every module and of every objective that has some."""
    tensors: dict[str, Tensor] = {}
    for index, part in enumerate(learner.parts):
        tensors |= {f"{index}/module/{name}": tensor for name, tensor in part.module.state_dict().items()}
        tensors |= {f"{index}/objective/{name}": tensor for name, tensor in part.objective.state_dict().items()}
    return tensors


def stage_tensors(learner: Learner) -> dict[str, Tensor]:
    """Everything that learning goes on from: weights, and what the optimisers remember."""
    tensors = weights_of_learner(learner)
    for index, part in enumerate(learner.parts):
        for number, optimiser in enumerate(part.ascent.optimisers):
            tensors |= {f"{index}/optimiser/{number}/{name}": t for name, t in _remembered(optimiser).items()}
    return tensors


def restore(learner: Learner, tensors: Mapping[str, Tensor], *, optimisers: bool) -> None:
    """Put tensors back into a learner, in place.

    Args:
        learner: as it was built for the same stage.
        tensors: from `stage_tensors`, or from `weights_of_learner` where ``optimisers`` is false.
        optimisers: whether the state of the optimisers is among them.
    """
    for index, part in enumerate(learner.parts):
        part.module.load_state_dict(under(tensors, f"{index}/module/"))
        part.objective.load_state_dict(under(tensors, f"{index}/objective/"))
        if optimisers:
            for number, optimiser in enumerate(part.ascent.optimisers):
                _remember(optimiser, under(tensors, f"{index}/optimiser/{number}/"))


def go_on_drawing(generator: torch.Generator, state: Tensor) -> None:
    """Let a generator draw on from a state; where that is of another kind of device, by a seed made of it."""
    if len(state) == len(generator.get_state()):
        generator.set_state(state)
    else:
        generator.manual_seed(zlib.crc32(state.numpy().data))


def _remembered(optimiser: Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {
        f"{parameter}/{key}": torch.as_tensor(value) for parameter, of in state.items() for key, value in of.items()
    }


def _remember(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = _laid_out(tensor, like=parameters[int(index)])
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _laid_out(tensor: Tensor, *, like: Tensor) -> Tensor:
    """A tensor of a parameter's shape with its strides, too, as the optimiser made it; others as they are."""
    return torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor
