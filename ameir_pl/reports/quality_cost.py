"""Quality against cost: what each model reaches, and what it takes, as a page to look at."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ameir_pl.atomic import write_text
from ameir_pl.errors import AmeirError
from ameir_pl.reports.comparison import LABELS, Line, fitness

COSTS = (("seconds", "seconds of training"), ("params", "parameters beside the embedding matrix"))


def check_plotly() -> None:
    """Raise ``AmeirError`` where Plotly is not installed."""
    try:
        import plotly.subplots  # noqa: F401
    except ImportError as error:
        raise AmeirError(f"The plot needs Plotly, which is not installed ({error}). Install it with `pip install "
                         "'ameir-pl[report]'`, or leave the plot out with plot=false.") from error


def write_quality_cost(path: Path, lines: Sequence[Line], title: str) -> None:
    """Write a page with one plot for each cost, a point a model, bars of one deviation over seeds.

    A model that costs nothing has no place on a logarithmic axis: its quality is written beside the axis's name.

    Args:
        path: of the page; it needs no network.
        lines: the models.
        title: above the plots.

    Raises:
        AmeirError: Plotly is not installed.
    """
    check_plotly()
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    metric = fitness(lines[0].means)
    name = LABELS.get(metric, metric.upper())
    figure = make_subplots(rows=1, cols=len(COSTS), shared_yaxes=True, horizontal_spacing=0.04)
    for column, (cost, label) in enumerate(COSTS, 1):
        shown = [line for line in lines if getattr(line, cost) > 0]
        figure.add_trace(go.Scatter(
            x=[getattr(line, cost) for line in shown], y=[line.means[metric] for line in shown],
            error_y={"array": [line.deviations.get(metric, 0.0) for line in shown]}, mode="markers+text",
            text=[escape(line.model) for line in shown], textposition="top center", showlegend=False,
            hovertemplate="%{text}<br>" + name + " %{y:.4f}<br>" + label + " %{x}<extra></extra>"), row=1, col=column)
        free = ", ".join(f"{escape(line.model)} {line.means[metric]:.4f}" for line in lines if line not in shown)
        figure.update_xaxes(type="log", title_text=label + (f"<br>none: {free}" if free else ""), row=1, col=column)
    figure.update_yaxes(title_text=f"{name} of the test rows", row=1, col=1)
    figure.update_layout(title=escape(title), template="plotly_white", height=560)
    write_text(path, figure.to_html(include_plotlyjs=True, full_html=True, div_id="quality-cost"))
