"""What a ranking at home is asked with: plain data for the process that runs the modules beside the images."""

from pydantic import Field

from registry.frozen import Frozen
from registry.noise import Noise
from registry.rankings import RankingOptions


class HomeRanking(Frozen):
    """Which modules of a zoo serve the images in a file that stays here? Without classes, those of its labels."""

    url: str
    data: str
    classes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    leave_out_broken: bool = False
    options: RankingOptions = RankingOptions()
    noise: Noise | None = None
