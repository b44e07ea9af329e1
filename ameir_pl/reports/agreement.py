"""What a diagnosis found, as lines and as a page: scores of the supernet against training alone, epoch by epoch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from ameir_pl.atomic import write_text
from ameir_pl.reports.comparison import LABELS
from ameir_pl.reports.quality_cost import check_plotly


def agreement_lines(found: Mapping[str, Any]) -> list[str]:
    """Return what to say of a diagnosis (:func:`ameir_pl.search.diagnosis.diagnose`)."""
    noise, kept = found["noise"], found["kept"]
    name = LABELS.get(found["metric"], found["metric"])
    seeds = f", {noise['seeds_sd']:.4f} over seeds of one (tau between two seeds {noise['tau_between_seeds']:.2f})" \
        if "seeds_sd" in noise else "; seeds=2 or more also tell the noise of training"
    lines = [f"{found['n']} architectures alone: validation {name} {noise['mean']:.4f}, deviation "
             f"{noise['architectures_sd']:.4f}{seeds}."]
    for epoch, line in [*found["by_epoch"].items(), ("kept", kept)]:
        low, high = line["tau_interval"]
        when = "kept weights" if epoch == "kept" else f"epoch {epoch}"
        lines.append(f"{when:>12}: mean of the children {line['mean']:.4f}, "
                     f"tau {line['tau']:+.2f} [{low:+.2f}, {high:+.2f}], "
                     f"without the worst {line['tau_without_worst']:+.2f}, rho {line['rho']:+.2f}, regret of the first "
                     f"{line['regret_top1']:.4f}, of the best of five {line['regret_top5']:.4f}")
    return lines


def write_agreement(path: Path, found: Mapping[str, Any], title: str) -> None:
    """Write a page: scores shared against alone, agreement by epoch, effects of choices in both.

    Args:
        path: of the page; it needs no network.
        found: the diagnosis.
        title: above the plots.

    Raises:
        AmeirError: Plotly is not installed.
    """
    check_plotly()
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    name = LABELS.get(found["metric"], found["metric"])
    figure = make_subplots(rows=1, cols=3, horizontal_spacing=0.07,
                           subplot_titles=("each architecture", "by epoch of the supernet", "each choice"))
    figure.add_trace(go.Scatter(x=found["alone"], y=found["shared"], mode="markers", showlegend=False,
                                text=[escape(json.dumps(a)) for a in found["architectures"]],
                                hovertemplate="alone %{x:.4f}, shared %{y:.4f}<br>%{text}<extra></extra>"), 1, 1)
    epochs = [int(epoch) for epoch in found["by_epoch"]]
    lines = list(found["by_epoch"].values())
    figure.add_trace(go.Scatter(x=epochs, y=[line["tau"] for line in lines], name="Kendall's tau", error_y={
        "symmetric": False, "array": [line["tau_interval"][1] - line["tau"] for line in lines],
        "arrayminus": [line["tau"] - line["tau_interval"][0] for line in lines]}), 1, 2)
    figure.add_trace(go.Scatter(x=epochs, y=[line["rho"] for line in lines], name="Spearman's rho"), 1, 2)
    effects = found["effects"]
    figure.add_trace(go.Scatter(x=[e["alone"] for e in effects], y=[e["shared"] for e in effects], mode="markers+text",
                                text=[escape(str(e["choice"])) for e in effects], textposition="top center",
                                customdata=[[escape(e["decision"]), e["count"]] for e in effects], showlegend=False,
                                hovertemplate="%{customdata[0]} %{text} (%{customdata[1]})<extra></extra>"), 1, 3)
    for column, (x, y) in enumerate(((f"{name}, trained alone", f"{name}, inherited"), ("epoch", ""),
                                     ("effect alone", "effect in the supernet")), 1):
        figure.update_xaxes(title_text=x, row=1, col=column)
        figure.update_yaxes(title_text=y, row=1, col=column)
    figure.update_layout(title=escape(title), template="plotly_white", height=480)
    write_text(path, figure.to_html(include_plotlyjs=True, full_html=True, div_id="agreement"))


__all__ = ["agreement_lines", "check_plotly", "write_agreement"]
