"""What the templates are given: one frozen value a page, made from the services' answers."""

from dataclasses import dataclass

from api.pages.bars import Axis, Bar
from api.pages.words import advice_words, architecture_words, decision_words, listed
from registry.architectures.contracts import parameter_count
from registry.rankings import QueryState, Ranking, RankingRow, pooling_words
from registry.records import (
    Dataset,
    Facet,
    Lineage,
    ModuleOverview,
    ModulePage,
    ModuleSearch,
    PublishedModule,
    QueryStatus,
)

CLASSES_NAMED = 6


@dataclass(frozen=True, slots=True)
class ModuleCard:
    """One module in the catalogue."""

    module: PublishedModule
    architecture: str
    trained_on: str
    objective: str
    parameters: int


@dataclass(frozen=True, slots=True)
class CatalogueView:
    """One page of a search, with what it may be narrowed by."""

    search: ModuleSearch
    cards: tuple[ModuleCard, ...]
    facets: dict[str, tuple[Facet, ...]]
    first_page: bool
    next_cursor: str | None

    @property
    def narrowed(self) -> bool:
        """Whether anything was asked for."""
        return self.search != ModuleSearch()


@dataclass(frozen=True, slots=True)
class ModuleView:
    """One version of a module with everything around it."""

    card: ModuleCard
    overview: ModuleOverview
    lineage: Lineage
    file_url: str
    file_name: str


@dataclass(frozen=True, slots=True)
class RankedLine:
    """One row of a ranking with its bar."""

    row: RankingRow
    bar: Bar


@dataclass(frozen=True, slots=True)
class RankingView:
    """A ranking, whole or so far; `decision` is empty while it is not whole."""

    ranking: Ranking
    axis: Axis
    lines: tuple[RankedLine, ...]
    decision: str
    advice: str
    pooling: str | None
    dataset: Dataset | None


@dataclass(frozen=True, slots=True)
class QueryView:
    """A question on its way, or answered."""

    state: QueryState
    ranking: RankingView | None

    @property
    def running(self) -> bool:
        """Whether an answer is still to come."""
        return self.state.status is QueryStatus.RUNNING

    @property
    def said(self) -> str:
        """How far it is, for the status line."""
        progress = self.state.progress
        if self.running:
            return f"{progress.stage.capitalize()}: {progress.done} of {progress.total} steps done."
        words = {QueryStatus.DONE: "The ranking is complete.", QueryStatus.CANCELLED: "This ranking was cancelled."}
        return words.get(self.state.status, "This ranking failed.")


def module_card(module: PublishedModule) -> ModuleCard:
    """A module in short."""
    classes = [each.label for each in module.task.classes] if module.task else []
    return ModuleCard(
        module=module,
        architecture=architecture_words(module.architecture),
        trained_on=listed(classes, most=CLASSES_NAMED),
        objective=_objective(module),
        parameters=parameter_count(module.architecture),
    )


def catalogue_view(search: ModuleSearch, page: ModulePage, *, first_page: bool) -> CatalogueView:
    """One page of a search."""
    return CatalogueView(
        search=search,
        cards=tuple(module_card(module) for module in page.items),
        facets=page.facets or {},
        first_page=first_page,
        next_cursor=page.next_cursor,
    )


def ranking_view(ranking: Ranking, dataset: Dataset | None, *, whole: bool) -> RankingView:
    """A ranking with its picture and its decision."""
    axis = Axis.over(ranking.ranking)
    return RankingView(
        ranking=ranking,
        axis=axis,
        lines=tuple(RankedLine(row, axis.bar(row)) for row in ranking.ranking),
        decision=decision_words(ranking) if whole else "",
        advice=advice_words(ranking) if whole else "",
        pooling=pooling_words(ranking.ranking),
        dataset=dataset,
    )


def _objective(module: PublishedModule) -> str:
    """What the module was trained for; an output module learns from labels, whatever those below it had."""
    if module.recipe is None:
        return ""
    if module.recipe.method == "end-to-end":
        return "end to end"
    if module.labels is not None:
        return module.recipe.output.loss if module.recipe.output else ""
    return module.recipe.objective
