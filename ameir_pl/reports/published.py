"""The paper's numbers on test rows (arXiv version, Tables 1 to 3), by dataset, model and metric."""

from __future__ import annotations

from collections.abc import Sequence


def table(metrics: Sequence[str], rows: str) -> dict[str, dict[str, float]]:
    """Read lines of a model and one number a metric."""
    lines = [line.split() for line in rows.split("\n") if line.strip()]
    return {name: dict(zip(metrics, map(float, values), strict=True)) for name, *values in lines}


_CLICKS, _RANKS = ("auc", "logloss"), ("hr@5", "ndcg@5")

PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    "alimama": table(("auc",), """
        dnn 0.6304
        wide_deep 0.6313
        deepfm 0.6320
        din 0.6341
        dien 0.6344
        dsin 0.6352
        AMEIR-A 0.6357
        AMEIR-B 0.6359
        AMEIR-C 0.6383"""),
    "beauty": table(_RANKS, """
        pop 0.175 0.114
        bpr 0.301 0.227
        gru4rec_plus 0.300 0.215
        stamp 0.215 0.149
        narm 0.243 0.166
        caser 0.298 0.217
        nextitnet 0.334 0.243
        srgnn 0.214 0.148
        bert4rec 0.337 0.252
        AMEIR-A 0.341 0.257"""),
    "steam": table(_RANKS, """
        pop 0.517 0.365
        bpr 0.527 0.369
        gru4rec_plus 0.626 0.468
        stamp 0.642 0.483
        narm 0.658 0.501
        caser 0.670 0.510
        nextitnet 0.679 0.517
        srgnn 0.651 0.494
        bert4rec 0.676 0.513
        AMEIR-A 0.681 0.517"""),
    "criteo": table(_CLICKS, """
        dnn 0.7983 0.4549
        wide_deep 0.7992 0.4538
        deepfm 0.801 0.4496
        ipnn 0.7975 0.4578
        dcn 0.7981 0.4611
        xdeepfm 0.8019 0.4497
        fibinet 0.8021 0.4487
        autocross 0.8022 0.4494
        autofis 0.8015 0.4504
        autoctr 0.8027 0.4489
        AMEIR-I 0.8024 0.4491
        AMEIR-B 0.8030 0.4486
        AMEIR-C 0.8034 0.4482"""),
    "avazu": table(_CLICKS, """
        dnn 0.7746 0.3831
        wide_deep 0.7749 0.3839
        deepfm 0.7753 0.3825
        ipnn 0.7787 0.3806
        dcn 0.7772 0.3815
        xdeepfm 0.7759 0.3818
        fibinet 0.7789 0.3798
        autocross 0.7776 0.3810
        autofis 0.7789 0.3801
        autoctr 0.7791 0.3800
        AMEIR-I 0.7791 0.3799
        AMEIR-B 0.7798 0.3794
        AMEIR-C 0.7802 0.3792"""),
}
"""Means of the paper's runs; those of generated data or other rows are not to be set beside them."""
