"""What a model is trained for and measured by: click-through rate, or the next item."""

from ameir_pl.objectives.base import Objective, make_objective
from ameir_pl.objectives.ctr import Ctr
from ameir_pl.objectives.grouped_auc import GroupedAUC
from ameir_pl.objectives.retrieval import Retrieval

__all__ = ["Ctr", "GroupedAUC", "Objective", "Retrieval", "make_objective"]
