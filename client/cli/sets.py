"""`zoo sets`: which few modules together would serve my data."""

from dataclasses import dataclass, field
from typing import Annotated

import typer

from client.cli.data import CLASSES_HELP, Sending, SendOption, check_use, task_of
from client.cli.options import ZooOptions, module_ref, opened, takes, wrong_use
from client.cli.output import answers, line, plain_table, write_json
from client.cli.progress import bars
from client.zoo import Zoo
from kernel_methods.kernels import RankerName
from registry.rankings import (
    DEFAULT_SEED,
    RANKERS,
    ModuleSets,
    RankingQuestion,
    ScoreOptions,
    SetQuestion,
    SetScore,
    SetStep,
)
from registry.work import MOST_JOINED


@dataclass(frozen=True, kw_only=True)
class SetOptions(ZooOptions):
    """What `zoo sets` takes."""

    data: Annotated[
        str,
        typer.Argument(help="Labelled images: zip, folder of class folders, parquet, npz; or a task or digest."),
    ]
    classes: Annotated[list[str], typer.Option(help=CLASSES_HELP)] = field(default_factory=list)
    candidates: Annotated[
        list[str], typer.Option(help="A module that may be in a set; repeat it. Default: the six that rank best.")
    ] = field(default_factory=list)
    size: Annotated[int, typer.Option(min=2, max=4, help="Modules of the largest set.")] = 3
    rank_by: Annotated[RankerName, typer.Option(help="The score that decides.")] = RANKERS[0]
    examples: Annotated[int | None, typer.Option(min=4, help="Examples to score on.")] = None
    seed: Annotated[int, typer.Option(min=0, help="Draws the examples.")] = DEFAULT_SEED
    leave_out_broken: Annotated[
        bool, typer.Option("--leave-out-broken", help="Leave out images that cannot be read.")
    ] = False
    send: SendOption = False

    def asked(self) -> ScoreOptions:
        """Which score on which examples, or wrong use."""
        with wrong_use():
            return ScoreOptions(rank_by=self.rank_by, examples=self.examples, seed=self.seed)

    def named(self) -> tuple[str, ...]:
        """The modules that were named, or wrong use."""
        named = tuple(module_ref(ref) for ref in self.candidates)
        if len(named) == 1 or len(named) > MOST_JOINED:
            told = f"a set is chosen among 2 to {MOST_JOINED} modules, got {len(named)}"
            raise typer.BadParameter(told, param_hint="--candidates")
        return named


@takes(SetOptions)
def sets(options: SetOptions) -> None:
    """Show which few of the zoo's modules would serve your data best together, and what each of them adds.

    The modules are those that you name, or the best of a ranking, which is asked first. Each line adds the module that
    raises the score most; the first that is not shown to help is the last.
    """
    check_use(options.data, options.classes)
    named = options.named()
    options.asked()
    sending = Sending(leave_out_broken=options.leave_out_broken, stated_too=options.send)
    with opened(options) as zoo:
        task = task_of(zoo, options.data, options.classes, sending)
        found = _asked(zoo, options, task, named)
    if options.json:
        write_json(found)
    else:
        write_sets(found)


def _asked(zoo: Zoo, options: SetOptions, task: str, named: tuple[str, ...]) -> ModuleSets:
    """Ask, after a ranking where no modules are named, and wait for the answer."""
    asked = options.asked().model_dump(include={"rank_by", "examples", "seed"})
    query = None
    if not named:
        with bars() as bar:
            ranking = bar.work("ranking")
            question = RankingQuestion.model_validate({"task": task, **asked})
            query = zoo.queries.rank(question, on_state=lambda state: ranking(state.progress)).query
    with bars() as bar:
        joining = bar.work("putting together")
        sets_of = SetQuestion.model_validate(
            {"task": task, "candidates": named or None, "query": query, "size": options.size, **asked}
        )
        return zoo.queries.sets(sets_of, on_state=lambda state: joining(state.progress))


def write_sets(found: ModuleSets) -> None:
    """A line for each step, then what follows from it in a sentence."""
    table = plain_table("modules", "together with", "score", "interval (95 %)", "gain", "interval of the gain", "helps")
    for place, step in enumerate(found.steps):
        table.add_row(str(place + 1), step.modules[-1].ref, *_scores(step), "yes" if step.helps else "not shown")
    answers().print(table)
    for each in found.not_scored:
        line(f"not scored: {each.module.ref}: {each.reason}")
    for warning in found.warnings:
        line(warning)
    line(sets_text(found))
    if found.best is not None:
        line(_missed_text(found.best, found.steps[-1]))
    line(f"by {found.rank_by}, seed {found.seed}, {found.n} examples, {len(found.classes)} classes, data {found.data}")


def sets_text(found: ModuleSets) -> str:
    """What follows from the steps, in one sentence."""
    first, last = found.steps[0], [step for step in found.steps if step.helps][-1:]
    match found.decision:
        case "none_better_than_chance":
            return (
                f"None of the {len(found.candidates)} modules is better than chance on this task "
                f"(best: {first.score:.3f}, chance reaches {first.chance:.3f})."
            )
        case "no_gain_shown":
            return _no_gain_text(found)
        case "set_helps":
            return (
                f"{_together(last[0])} serve this task best together: {last[0].score:.3f}, where "
                f"{first.modules[0].ref} alone has {first.score:.3f}."
            )


def _no_gain_text(found: ModuleSets) -> str:
    """One module is enough only where little speaks for a second one: most of the interval of its gain is below 0."""
    first, second = found.steps[0], found.steps[1] if len(found.steps) > 1 else None
    alone = f"{first.modules[0].ref} alone has {first.score:.3f}"
    if second is None:
        return f"No gain shown: {alone}, and no other module could be put beside it."
    added = second.modules[-1].ref
    if second.gain_interval is None:
        return f"No gain shown: {alone}; so few examples do not tell what {added} adds; give more."
    low, high = second.gain_interval
    if low + high > 0:
        return f"No gain shown: {alone}, and {added} may add nothing ({low:.3f} to {high:.3f}); ask with more examples."
    return f"{first.modules[0].ref} is enough: no other module is shown to add to its {first.score:.3f}."


def _missed_text(best: SetScore, last: SetStep) -> str:
    low, high = best.gain_interval or (float("nan"), float("nan"))
    return (
        f"Of all sets of {len(best.modules)}, {_together(best)} score best: {best.score:.3f}, "
        f"{best.gain or 0.0:.3f} ({low:.3f} to {high:.3f}) more than {_together(last)}."
    )


def _together(some: SetScore) -> str:
    *others, last = (module.ref for module in some.modules)
    return f"{', '.join(others)} and {last}" if others else last


def _scores(step: SetStep) -> tuple[str, str, str, str]:
    """Score and gain, each with its interval."""
    low, high = step.interval
    told = (f"{step.score:.3f}", f"{low:.3f} to {high:.3f}")
    if step.gain is None:
        return (*told, "-" if len(step.modules) == 1 else "unknown", "")
    least, most = step.gain_interval or (step.gain, step.gain)
    return (*told, f"{step.gain:+.3f}", f"{least:.3f} to {most:.3f}")
