"""Write some classes of a parquet dataset (the layout of the Hugging Face hub) as a zip of class folders.

    python examples/class_zip.py cifar10-test.parquet unseen.zip bird=2 frog=6 ship=8 --per-class 100

Each class is written NAME=LABEL, with the label as the parquet has it. The same images give the same bytes.
"""

import argparse
import zipfile
from pathlib import Path

import pyarrow.parquet as pq


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parquet", type=Path)
    parser.add_argument("zip", type=Path)
    parser.add_argument("classes", nargs="+", metavar="NAME=LABEL")
    parser.add_argument("--per-class", type=int, default=100)
    given = parser.parse_args()
    names = {int(label): name for name, _, label in (text.partition("=") for text in given.classes)}
    written = dict.fromkeys(names, 0)
    with zipfile.ZipFile(given.zip, "w") as archive:
        for row in pq.read_table(given.parquet).to_pylist():
            label = row["label"]
            if label in names and written[label] < given.per_class:
                written[label] += 1
                name = f"{names[label]}/{written[label]:04}.jpg"
                archive.writestr(zipfile.ZipInfo(name), row["img"]["bytes"])
    print(f"{given.zip}: " + ", ".join(f"{names[label]} {count}" for label, count in written.items()))


if __name__ == "__main__":
    main()
