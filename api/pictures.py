"""Pictures of answers, by a library that is loaded when the first is asked for: it takes more memory than an upload."""

from typing import Literal, TypeAlias

from registry.errors import InvalidInputError
from registry.rankings import MapPanels, ModuleSets, Ranking, Reusability, TaskMap

PictureFormat: TypeAlias = Literal["png", "svg"]
MEDIA_TYPES: dict[PictureFormat, str] = {"png": "image/png", "svg": "image/svg+xml"}


def picture_of(
    scores: Ranking | Reusability | TaskMap | ModuleSets, kind: PictureFormat, *, panels: MapPanels = "both"
) -> bytes:
    """An answer as a picture; `panels` says what that of a map shows.

    Raises:
        InvalidInputError: the answer is neither a ranking nor a map.
    """
    from api.map_plots import draw_map  # noqa: PLC0415 - loads matplotlib
    from api.plots import draw_ranking  # noqa: PLC0415 - loads matplotlib

    match scores:
        case TaskMap():
            return draw_map(scores, kind, panels=panels)
        case Ranking():
            return draw_ranking(scores, kind)
        case Reusability() | ModuleSets():
            told = "one score has" if isinstance(scores, Reusability) else "sets have"
            raise InvalidInputError(f"{told} no picture; ask for a ranking or a map, or accept JSON")
