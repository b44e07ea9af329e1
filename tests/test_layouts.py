"""The layouts of the paper's datasets, and the arithmetic that proves them."""

from __future__ import annotations

import pytest

from ameir_pl.data.layouts import LAYOUTS, paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Schema

# Per dataset: K and M (Sec. 3 and Appendix D of the paper), and K0 that follows from Tables 9 and 11.
WIDTHS = {"alimama": (4, 5, 105), "criteo": (5, 15, 218), "avazu": (40, 15, 1560)}
COUNTS = {"alimama": (15, 2, 1, 50), "criteo": (26, 0, 13, 0), "avazu": (24, 0, 0, 0), "beauty": (0, 1, 0, 15),
          "steam": (0, 1, 0, 25)}


def test_every_dataset_of_the_paper_has_a_layout() -> None:
    assert set(LAYOUTS) == set(COUNTS)


@pytest.mark.parametrize("dataset", COUNTS)
def test_counts_of_fields(dataset: str) -> None:
    schema = paper_schema(dataset)
    assert (len(schema.fields), len(schema.behaviors), len(schema.dense), schema.max_len) == COUNTS[dataset]
    assert schema.dataset == dataset
    assert schema.slots == len(schema.fields)
    assert Schema.from_dict(schema.to_dict()) == schema


@pytest.mark.parametrize("dataset", WIDTHS)
def test_width_of_the_mlp_input(dataset: str) -> None:
    schema, (k, m, width) = paper_schema(dataset), WIDTHS[dataset]
    # h_a: the sum over positions, the last position's state, and target attention when there is a target.
    h_a = (3 if schema.has_target else 2) * len(schema.behaviors) * k
    assert h_a + len(schema.fields) * k + m * k + len(schema.dense) == width


def test_behaviors_of_alimama_share_the_vocabularies_of_the_target() -> None:
    schema = paper_schema("alimama")
    assert [schema.field_names[i] for i in schema.target_of if i is not None] == ["cate_id", "brand"]
    assert {f.group for f in schema.fields} == {"user", "context", "target"}
    assert len(schema.vocabularies) == 15


def test_beauty_and_steam_rank_items() -> None:
    for dataset in ("beauty", "steam"):
        schema = paper_schema(dataset, 12)
        assert (schema.task, schema.item, schema.vocabularies, schema.has_target) == ("retrieval", "item",
                                                                                     {"item": 12}, False)


def test_sizes_of_vocabularies() -> None:
    assert set(paper_schema("avazu", 7).vocabularies.values()) == {7}
    sizes = {f"C{i}": i + 2 for i in range(1, 27)}
    schema = paper_schema("criteo", dict(reversed(sizes.items())))
    assert schema.vocabularies == sizes
    assert schema.fingerprint() == paper_schema("criteo", sizes).fingerprint()


@pytest.mark.parametrize(("dataset", "sizes", "message"), [
    ("alimamma", 10, "Did you mean 'alimama'?"),
    ("beauty", {"itm": 3}, "unknown vocabulary 'itm'. Did you mean 'item'?"),
    ("beauty", {}, "no size was given for the vocabularies item"),
    ("beauty", 1, "at least 2"),
])
def test_errors(dataset: str, sizes: int | dict[str, int], message: str) -> None:
    with pytest.raises(AmeirError, match=message):
        paper_schema(dataset, sizes)
