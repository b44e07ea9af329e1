"""Synthetic clicks, made on the fly: the demo that needs no download, and whose best architecture is known."""

from __future__ import annotations

from pathlib import Path

from ameir_pl.atomic import write_text
from ameir_pl.data.bad_rows import Policy
from ameir_pl.data.dataset import DATASETS, Dataset
from ameir_pl.data.planted import GENERATORS
from ameir_pl.data.store import Tables
from ameir_pl.data.table import Table
from ameir_pl.errors import AmeirError

DESCRIPTION = """\
# Clicks with a planted truth (truth.json), described as any table of your own would be.
input: clicks.parquet
task: ctr
label: click
user: user_id
time: time
split: {type: time, column: time, valid: 0.1, test: 0.1}
fields:
  - {name: user_id, type: categorical, dtype: int, group: user}
  - {name: segment, type: categorical, dtype: str, group: user}
  - {name: age_level, type: categorical, dtype: int, group: user}
  - {name: city, type: categorical, dtype: str, group: user}
  - {name: hour, type: categorical, dtype: int, group: context}
  - {name: position, type: categorical, dtype: int, group: context}
  - {name: item_id, type: categorical, dtype: int, group: target}
  - {name: category, type: categorical, dtype: str, group: target}
  - {name: brand, type: categorical, dtype: str, group: target}
  - {name: tags, type: multivalent, dtype: str, group: target}
  - {name: price, type: dense}
behaviors:
  input: events.parquet
  user: user_id
  time: time
  max_len: 20
  fields:
    - {name: category, dtype: str, share_embedding: category}
    - {name: brand, dtype: str, share_embedding: brand}
    - {name: kind, dtype: str}
"""


@DATASETS.register("synthetic")
class Synthetic(Dataset):
    """Clicks drawn from a known model (see :mod:`ameir_pl.data.planted.synthetic`), as a table described by a YAML.

    Args:
        raw, encoded, max_len, on_bad_row: as :class:`Dataset`; files are made in a folder of ``raw`` when first needed.
        source: a folder that ``ameir data generate dataset=synthetic output=FOLDER`` made, taken instead.
        rows, data_seed, noise: of the generated clicks.

    Raises:
        AmeirError: a setting is out of range.
    """

    name = "synthetic"
    offered = "made on the fly"
    terms = "free to use."

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None, max_len: int = 20,
                 on_bad_row: Policy = "fail", rows: int = 40_000, data_seed: int = 1, noise: float = 0.0) -> None:
        super().__init__(raw=raw, encoded=encoded, source=source, max_len=max_len, on_bad_row=on_bad_row)
        if max_len < 1:
            raise AmeirError(f"synthetic: max_len={max_len}; a history needs at least 1 behavior.")
        self.rows, self.data_seed, self.noise = rows, data_seed, float(noise)

    @property
    def protocol(self) -> str:
        """How rows are split."""
        return "time split 80/10/10"

    def files(self) -> dict[str, Path]:
        """Return the generated files and their description; makes what is not there yet."""
        place = self.source or self.raw / f"rows-{self.rows}-seed-{self.data_seed}-noise-{self.noise:g}"
        files = {"rows": place / "clicks.parquet", "events": place / "events.parquet",
                 "description": place / "clicks.yaml"}
        gone = [path for part, path in files.items() if part != "description" and not path.is_file()]
        if gone and self.source is not None:
            raise self.missing(gone)
        if gone:
            GENERATORS.get(self.name)(place, self.rows, self.data_seed, self.noise)
        if not files["description"].is_file():
            write_text(files["description"], DESCRIPTION)
        return files

    def encode(self, files: dict[str, Path], folder: Path) -> Tables:
        """Encode the clicks as their description says."""
        table = Table(raw=self.raw, encoded=self.encoded, source=files["description"], max_len=self.max_len,
                      on_bad_row=self.on_bad_row)
        table.name = self.name  # type: ignore[misc]  # the schema's name
        return table.encode(table.files(), folder)
