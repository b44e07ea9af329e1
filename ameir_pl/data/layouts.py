"""The field layouts of the paper's datasets (Appendix B), so that its models can be built without their data."""

from __future__ import annotations

from dataclasses import dataclass

from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.schema import Field, Group, Schema, Task


@dataclass(frozen=True)
class Layout:
    """What of a dataset's schema does not depend on its rows: everything but the sizes of the vocabularies.

    Args:
        task: ``ctr`` or ``retrieval``.
        fields: the N non-sequential fields.
        behaviors: the N_a fields of one behavior element.
        dense: names of the D dense fields.
        max_len: T, the most behaviors kept (Appendix D).
        item: the vocabulary that is ranked, for retrieval.
        sessions: whether behaviors have times.
    """

    task: Task
    fields: tuple[Field, ...] = ()
    behaviors: tuple[Field, ...] = ()
    dense: tuple[str, ...] = ()
    max_len: int = 0
    item: str = ""
    sessions: bool = False

    @property
    def vocabularies(self) -> tuple[str, ...]:
        """Names of the vocabularies, each once, in the order of the fields that use them."""
        return tuple(dict.fromkeys(f.vocabulary for f in (*self.fields, *self.behaviors)))


def _fields(names: str, group: Group) -> tuple[Field, ...]:
    return tuple(Field(name, vocabulary=name, group=group) for name in names.split())


# F01 to F15 of Table 9. A behavior is a (cate_id, brand) pair, which shares its embeddings with the ad's.
ALIMAMA = Layout(
    task="ctr",
    fields=(*_fields("userid", "user"), *_fields("adgroup_id", "target"), *_fields("pid", "context"),
            *_fields("cms_segid cms_group_id final_gender_code age_level pvalue_level shopping_level occupation "
                     "new_user_class_level", "user"),
            *_fields("campaign_id customer cate_id brand", "target")),
    behaviors=(Field("cate_id", "cate_id"), Field("brand", "brand")),
    dense=("price",),
    max_len=50,
    sessions=True,
)
# The fields of Criteo are anonymous: no group of theirs is known.
CRITEO = Layout(
    task="ctr",
    fields=tuple(Field(f"C{i}", f"C{i}", "context") for i in range(1, 27)),
    dense=tuple(f"I{i}" for i in range(1, 14)),
)
AVAZU = Layout(
    task="ctr",
    fields=(*_fields("hour day weekday C1 banner_pos site_id site_domain site_category app_id app_domain app_category",
                     "context"),
            *_fields("device_id device_ip device_model device_type device_conn_type", "user"),
            *_fields("C14 C15 C16 C17 C18 C19 C20 C21", "context")),
)
BEAUTY = Layout(task="retrieval", behaviors=(Field("item", "item"),), max_len=15, item="item")
STEAM = Layout(task="retrieval", behaviors=(Field("item", "item"),), max_len=25, item="item")

LAYOUTS: dict[str, Layout] = {"alimama": ALIMAMA, "criteo": CRITEO, "avazu": AVAZU, "beauty": BEAUTY, "steam": STEAM}
"""The layouts by the name of their dataset."""


def paper_schema(dataset: str, vocabulary_size: int | dict[str, int] = 10) -> Schema:
    """Return the schema of one of the paper's datasets.

    Args:
        dataset: a name in :data:`LAYOUTS`.
        vocabulary_size: one size for every vocabulary, or the size of each; ``PAD`` and ``OOV`` count.

    Raises:
        AmeirError: the dataset is not the paper's, or the sizes do not fit its vocabularies.
    """
    if dataset not in LAYOUTS:
        raise AmeirError(f"Unknown dataset of the paper '{dataset}'.{did_you_mean(dataset, LAYOUTS)}")
    layout = LAYOUTS[dataset]
    known = layout.vocabularies
    sizes = dict.fromkeys(known, vocabulary_size) if isinstance(vocabulary_size, int) else vocabulary_size
    for name in sizes:
        if name not in known:
            raise AmeirError(f"Schema of {dataset}: unknown vocabulary '{name}'.{did_you_mean(name, known)}")
    missing = [name for name in known if name not in sizes]
    if missing:
        raise AmeirError(f"Schema of {dataset}: no size was given for the vocabularies {', '.join(missing)}.")
    return Schema(dataset=dataset, task=layout.task, fields=layout.fields, behaviors=layout.behaviors,
                  dense=layout.dense, vocabularies={name: sizes[name] for name in known}, max_len=layout.max_len,
                  item=layout.item, sessions=layout.sessions)
