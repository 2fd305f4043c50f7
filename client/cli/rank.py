"""`zoo rank`: which modules would serve my data."""

from dataclasses import dataclass, field
from typing import Annotated

import typer

from client.cli.data import CLASSES_HELP, Sending, SendOption, check_use, existing, parse_classes, task_of
from client.cli.options import ZooOptions, module_ref, opened, secret, takes, wrong_use
from client.cli.output import answers, line, plain_table, write_json
from client.cli.plots import PlotOption, plot_format, write_plot
from client.cli.progress import bars
from client.cli.rank_here import ranked_here
from client.cli.scores import bar_scale, decision_text, interval_bar
from client.home_rankings import HomeRanking
from client.zoo import Zoo
from kernel_methods.kernels import RankBy
from registry.noise import DEFAULT_DELTA, LARGEST_DELTA, Noise
from registry.rankings import DEFAULT_SEED, POOLED, Ranking, RankingOptions, RankingQuestion, RankingRow, pooling_words


@dataclass(frozen=True, kw_only=True)
class RankOptions(ZooOptions):
    """What `zoo rank` takes."""

    data: Annotated[
        str,
        typer.Argument(help="Labelled images: zip, folder of class folders, parquet, npz; or a task or digest."),
    ]
    classes: Annotated[list[str], typer.Option(help=CLASSES_HELP)] = field(default_factory=list)
    candidates: Annotated[
        list[str], typer.Option(help="Only this module; may be repeated. Default: all that can be scored.")
    ] = field(default_factory=list)
    rank_by: Annotated[RankBy, typer.Option(help="The score that decides.")] = POOLED
    examples: Annotated[int | None, typer.Option(min=4, help="Examples to score on.")] = None
    seed: Annotated[int, typer.Option(min=0, help="Draws the examples.")] = DEFAULT_SEED
    top: Annotated[int | None, typer.Option(min=1, help="Only so many modules.")] = None
    leave_out_broken: Annotated[
        bool, typer.Option("--leave-out-broken", help="Leave out images that cannot be read.")
    ] = False
    send: SendOption = False
    here: Annotated[bool, typer.Option("--here", help="Run the modules here: no image leaves, only statistics do.")] = (
        False
    )
    noise: Annotated[
        float | None,
        typer.Option(
            max=100, help="With --here: add noise to the statistics, for differential privacy at this epsilon."
        ),
    ] = None
    noise_delta: Annotated[float, typer.Option(help="The delta of --noise.")] = DEFAULT_DELTA
    plot: PlotOption = None

    def check(self) -> None:
        """Find wrong use before anything is sent."""
        check_use(self.data, self.classes)
        plot_format(self.plot)
        if self.noise is not None and not self.here:
            raise typer.BadParameter("--noise is added at home; give --here too", param_hint="--noise")
        if self.send and self.here:
            raise typer.BadParameter("--send sends the images, --here keeps them here; give one", param_hint="--send")
        if self.here:
            existing(self.data)
            self.wanted_noise()

    def wanted_noise(self) -> Noise | None:
        """The noise that is to be added, or wrong use."""
        if self.noise is None:
            return None
        if not self.noise > 0:
            raise typer.BadParameter(f"epsilon must be above 0, got {self.noise:g}", param_hint="--noise")
        if not 0 < self.noise_delta < LARGEST_DELTA:
            told = f"delta must be above 0 and below {LARGEST_DELTA:g}, got {self.noise_delta:g}"
            raise typer.BadParameter(told, param_hint="--noise-delta")
        return Noise(epsilon=self.noise, delta=self.noise_delta)

    def asked(self) -> RankingOptions:
        """What is asked of the data, or wrong use."""
        candidates = tuple(module_ref(ref) for ref in self.candidates)
        with wrong_use():
            return RankingOptions(
                candidates=candidates or None,
                rank_by=self.rank_by,
                examples=self.examples,
                seed=self.seed,
                top=self.top,
            )


@takes(RankOptions)
def rank(options: RankOptions) -> None:
    """Rank the zoo's modules by how well they would serve your data.

    Each score comes with an interval (95 %), and with what chance would reach; modules that cannot be told apart
    share a rank. With --here the zoo is told the classes, how many images each has, and statistics; no image.
    """
    options.check()
    asked = options.asked()
    with opened(options) as zoo:
        ranking = _ranked_here(zoo, options, asked) if options.here else _ranked(zoo, options, asked)
        write_plot(zoo, ranking.query, options.plot)
    if options.json:
        write_json(ranking)
    else:
        write_ranking(ranking)


def _ranked_here(zoo: Zoo, options: RankOptions, asked: RankingOptions) -> Ranking:
    """Have the modules run beside the data, and wait for the answer."""
    request = HomeRanking(
        url=zoo.url,
        data=options.data,
        classes=parse_classes(options.classes),
        leave_out_broken=options.leave_out_broken,
        options=asked,
        noise=options.wanted_noise(),
    )
    return ranked_here(request, token=secret(options), as_json=options.json)


def _ranked(zoo: Zoo, options: RankOptions, asked: RankingOptions) -> Ranking:
    """Send the data where that is needed, ask, and wait for the answer."""
    sending = Sending(leave_out_broken=options.leave_out_broken, stated_too=options.send)
    task = task_of(zoo, options.data, options.classes, sending)
    with bars() as bar:
        on_progress = bar.work("ranking")
        question = RankingQuestion(**dict(asked), task=task)
        return zoo.queries.rank(question, on_state=lambda state: on_progress(state.progress))


def write_ranking(ranking: Ranking) -> None:
    """A line for each module, then what follows from it in a sentence."""
    console = answers()
    plain = not (console.encoding or "").lower().startswith("utf")
    scale = bar_scale(ranking.ranking)
    table = plain_table("rank", "module", "score", "interval (95 %)", "", "chance", "static", "n", "warnings")
    for row in ranking.ranking:
        table.add_row(*_cells(row), interval_bar(row, scale, plain=plain), *_doubts(row))
    console.print(table)
    for each in ranking.not_scored:
        line(f"not scored: {each.module.ref}: {each.reason}")
    for warning in ranking.warnings:
        line(warning)
    if ranking.rounds:
        line("in rounds: " + ", ".join(f"{told.modules} modules on {told.examples} images" for told in ranking.rounds))
    line(decision_text(ranking))
    pooled = pooling_words(ranking.ranking)
    if pooled is not None:
        line(pooled)
    line(f"by {ranking.rank_by}, seed {ranking.seed}, {len(ranking.classes)} classes, data {ranking.data}")
    line(f"tell what a module reached: zoo outcome {ranking.query} MODULE ACCURACY")


def _cells(row: RankingRow) -> tuple[str, str, str, str]:
    """What is left of the bar."""
    low, high = row.interval
    return str(row.rank), row.module.ref, f"{row.score:.3f}", f"{low:.3f} to {high:.3f}"


def _doubts(row: RankingRow) -> tuple[str, str, str, str]:
    """What is right of the bar."""
    static = "-" if row.static is None else f"{row.static:.3f}"
    return f"{row.chance:.3f}", static, str(row.n), "; ".join(row.warnings)
