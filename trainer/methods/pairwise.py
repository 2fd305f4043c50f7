"""The method: hidden modules in turn on pairs, each frozen before the next begins; then the output module."""

from dataclasses import replace

from trainer.hidden import train_hidden
from trainer.inputs import Inputs, above
from trainer.measure import measure_hidden, measure_output
from trainer.output import train_output
from trainer.workbench import Trained, Workbench


def train_in_turn(bench: Workbench) -> list[Trained]:
    """Train every module of the plan, the input module first.

    Source:
        Duan, Yu, Principe (2022), Modularizing Deep Learning via Pairwise Learning With Kernels.
    """
    training: Inputs = bench.training
    watched: Inputs = bench.held_out if bench.has_held_out else bench.training
    trained = []
    for index, planned in enumerate(bench.plan.hidden):
        made = train_hidden(bench, planned, training, index=index)
        training = above(training, made.module, placement=bench.placement, keep=bench.keeps)
        watched = above(watched, made.module, placement=bench.placement, keep=True)
        metrics = measure_hidden(bench, planned, watched, on=bench.measured_on)
        trained.append(replace(made, metrics=made.metrics + metrics))
    if bench.plan.output is not None:
        made = train_output(bench, bench.plan.output, training)
        metrics = measure_output(made.module, watched, bench=bench, on=bench.measured_on)
        trained.append(replace(made, metrics=made.metrics + metrics))
    return trained
