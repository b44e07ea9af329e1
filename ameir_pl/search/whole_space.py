"""The whole space of a dataset: the subspaces of all its steps, for strategies that draw whole architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ameir_pl.errors import AmeirError
from ameir_pl.search.problem import Problem
from ameir_pl.space.architecture import Architecture, Interaction, MlpLayer
from ameir_pl.space.space import BlockSpace, InteractionSpace, MlpSpace


@dataclass(frozen=True)
class WholeSpace:
    """Architectures of a stack of blocks, some interactions and an MLP, as far as the dataset has the steps.

    Args:
        blocks: of step 1; None: architectures have no blocks.
        interactions: of step 2.
        count: M, the interactions of an architecture; 0 without a step 2.
        highest_order: the most fields of an interaction.
        mlp: step 3's space on the given interactions; None: all have the pre-defined MLP.
        predefined: the MLP of datasets without a step 3.
    """

    blocks: BlockSpace | None
    interactions: InteractionSpace
    count: int
    highest_order: int
    mlp: Callable[[tuple[Interaction, ...]], MlpSpace] | None
    predefined: tuple[MlpLayer, ...]

    def size(self) -> int:
        """Return the number of distinct architectures. That of MLPs does not depend on the interactions: their ratios
        do not."""
        stacks = 1 if self.blocks is None else self.blocks.size()
        sets = self.interactions.sets(self.count, self.highest_order)
        some = () if self.mlp is None else self.interactions.sample(self.count, self.highest_order, Random(0))
        return stacks * sets * (1 if self.mlp is None else self.mlp(some).size())

    def sample(self, rng: Random) -> Architecture:
        """Draw an architecture: its blocks as step 1 draws its candidates, its interactions uniformly over all sets of
        M, its MLP uniformly over those that they allow."""
        blocks = () if self.blocks is None else self.blocks.sample(rng)
        interactions = self.interactions.sample(self.count, self.highest_order, rng)
        mlp = self.predefined if self.mlp is None else self.mlp(interactions).sample(rng)
        return Architecture(blocks, interactions, mlp)


def whole_space(problem: Problem) -> WholeSpace:
    """Return the whole space of a problem. Interactions have at most as many fields as step 2 can give them:
    ``narrowing.highest_order``, or one more than evolution has cycles.

    Raises:
        AmeirError: the fields give fewer interactions than an architecture has.
    """
    fields, count = problem.schema.field_names, problem.model.interactions if 2 in problem.stages else 0
    highest = problem.budget.cycles + 1 if problem.narrowing is None else problem.narrowing.highest_order
    space = InteractionSpace(fields)
    if space.size(highest) < count:
        raise AmeirError(f"The dataset's {len(fields)} fields give {space.size(highest)} interactions, fewer than "
                         f"dataset.model.interactions={count}.")
    return WholeSpace(problem.block_space() if 1 in problem.stages else None, space, count, highest,
                      problem.mlp_space if 3 in problem.stages else None, problem.predefined)
