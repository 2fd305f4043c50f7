"""Ask a zoo from Python which of its modules would serve some labelled images.

    python examples/ask.py photos.zip

The zoo is the one at ZOO_URL, or on this machine; ZOO_TOKEN is its token, where it wants one.
"""

import os
import sys
from pathlib import Path

from client.zoo import Zoo
from registry.rankings import RankingQuestion


def main() -> None:
    url = os.environ.get("ZOO_URL", "http://127.0.0.1:8000")
    with Zoo(url, os.environ.get("ZOO_TOKEN")) as zoo:
        dataset = zoo.datasets.publish(Path(sys.argv[1]))
        ranking = zoo.queries.rank(RankingQuestion(task=dataset.digest, top=3))
    for row in ranking.ranking:
        low, high = row.interval
        print(f"{row.rank}  {row.module.ref}  {row.score:.3f} ({low:.3f} to {high:.3f}), chance {row.chance:.3f}")
    print(ranking.decision)


if __name__ == "__main__":
    main()
