"""Numbers that a public benchmark has of its own split, to be set beside a run of the same rows and no other.

BARS' leaderboards (github.com/reczoo/BARS, docs/CTR/leaderboard: criteo_x1, criteo_x4_001, avazu_x1, avazu_x4_001,
taobaoad_x1; Zhu et al. 2021, 2022), in which each model has settings of its own. DCNv2, FinalNet and QNN-α on Criteo_x4
are from later work, QNN-α from Li et al. 2025 (arXiv 2505.17999).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ameir_pl.data.bars import SPLITS
from ameir_pl.reports.published import PUBLISHED, table

_CLICKS, _GROUPED = ("auc", "logloss"), ("gauc", "auc", "logloss")

BENCHMARKS: dict[str, dict[str, dict[str, float]]] = {
    "criteo_x1": table(_CLICKS, """
        lr 0.7886 0.4609
        fm 0.8022 0.4491
        afm 0.8044 0.4470
        nfm 0.8053 0.4459
        dnn 0.8137 0.4382
        ipnn 0.8137 0.4383
        wide_deep 0.8139 0.4380
        deepfm 0.8137 0.4381
        dcn 0.8138 0.4381
        dcnv2 0.8142 0.4378
        xdeepfm 0.8139 0.4380
        autoint 0.8139 0.4379
        fibinet 0.8130 0.4388
        masknet 0.8139 0.4380
        finalmlp 0.8149 0.4370"""),
    "criteo_x4": table(_CLICKS, """
        lr 0.7934 0.4568
        fm 0.8086 0.4431
        afm 0.8060 0.4455
        nfm 0.8093 0.4424
        dnn 0.8140 0.4380
        ipnn 0.8142 0.4378
        wide_deep 0.8142 0.4377
        deepfm 0.8143 0.4376
        dcn 0.8144 0.4376
        xdeepfm 0.8143 0.4376
        autoint 0.8132 0.4390
        fibinet 0.8131 0.4387""") | {"dcnv2": {"auc": 0.8145}},
    "avazu_x1": table(_CLICKS, """
        lr 0.7516 0.3735
        fm 0.7613 0.3677
        afm 0.7574 0.3705
        nfm 0.7627 0.3677
        dnn 0.7638 0.3674
        ipnn 0.7630 0.3676
        wide_deep 0.7649 0.3665
        deepfm 0.7648 0.3667
        dcn 0.7652 0.3665
        dcnv2 0.7656 0.3664
        xdeepfm 0.7647 0.3671
        autoint 0.7645 0.3668
        fibinet 0.7645 0.3673
        masknet 0.7643 0.3674
        finalmlp 0.7666 0.3658"""),
    "avazu_x4": table(_CLICKS, """
        lr 0.7775 0.3815
        fm 0.7887 0.3754
        afm 0.7823 0.3793
        nfm 0.7894 0.3743
        dnn 0.7928 0.3722
        ipnn 0.7944 0.3712
        wide_deep 0.7929 0.3720
        deepfm 0.7930 0.3719
        dcn 0.7931 0.3719
        xdeepfm 0.7933 0.3718
        autoint 0.7902 0.3746
        fibinet 0.7953 0.3705"""),
    "taobaoad_x1": table(_GROUPED, """
        fm 0.5638 0.6234 0.1969
        dnn 0.5733 0.6467 0.1931
        deepfm 0.5697 0.6364 0.1965
        dcn 0.5739 0.6488 0.1930
        dcnv2 0.5749 0.6495 0.1929
        xdeepfm 0.5729 0.6393 0.1953
        autoint 0.5744 0.6486 0.1930
        din 0.5765 0.6524 0.1924
        dien 0.5769 0.6529 0.1928"""),
}
"""By the name of the schema, model and metric. AutoInt is AutoInt+, which has an MLP beside, as here."""
OTHERS: dict[str, dict[str, float]] = {
    "criteo_x1": {"EDCN": 0.8147, "FinalNet": 0.8154},
    "criteo_x4": {"ONN": 0.8148, "FinalNet": 0.8150, "QNN-α": 0.8163},
    "avazu_x1": {"DESTINE": 0.7661, "FinalNet": 0.7672},
    "avazu_x4": {"FGCNN": 0.7944, "ONN": 0.7992},
    "taobaoad_x1": {"BST": 0.6511, "DMR": 0.6524},
}
"""AUC of the best of the models that are not here."""


def published(metrics: Mapping[str, Any]) -> tuple[str, dict[str, dict[str, float]]]:
    """Return who published numbers that may stand beside those of a ``metrics.json``, and the numbers by model.

    A benchmark's are those of its whole files: with other rows, or generated data, there are none.
    """
    dataset = metrics["dataset"]
    if "planted" in metrics:
        return "", {}
    if dataset not in BENCHMARKS:
        return "paper", PUBLISHED.get(dataset, {})
    return ("BARS", BENCHMARKS[dataset]) if SPLITS[dataset].is_whole(metrics["rows"]) else ("", {})


def benchmark_note(dataset: str) -> str:
    """Return what has to be known beside a benchmark's numbers."""
    best = ", ".join(f"{model} {auc:.4f}" for model, auc in OTHERS[dataset].items())
    return (f"BARS' numbers are of the same rows of {SPLITS[dataset].title}, each model with settings tuned for it. "
            f"AUC published there of models that are not here: {best}.")
