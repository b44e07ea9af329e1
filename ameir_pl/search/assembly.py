"""Assembly: the results of the steps put together as AMEIR-A, -B and -C, with the weights they were found with."""

from __future__ import annotations

from dataclasses import replace

from ameir_pl.errors import AmeirError
from ameir_pl.models.ameir import Ameir, Derived
from ameir_pl.models.derive import inherit, inherit_interactions
from ameir_pl.search.problem import Problem
from ameir_pl.search.run_folder import SUPERNET, WINNER, load_weights
from ameir_pl.space.architecture import Architecture

VARIANTS = {"AMEIR-A": (1,), "AMEIR-B": (1, 2), "AMEIR-C": (1, 2, 3)}
"""Which steps' results a variant is made of."""


def available(problem: Problem) -> list[str]:
    """Return the variants this dataset has, plainest first (AMEIR-A needs step 1, -B step 2, -C step 3)."""
    return [name for name, steps in VARIANTS.items() if steps[-1] in problem.stages]


def steps_of(problem: Problem, variant: str) -> tuple[int, ...]:
    """Return the steps of this dataset that a variant is made of; raises ``AmeirError`` if the dataset has none."""
    if variant not in available(problem):
        raise AmeirError(f"{variant} does not exist on {problem.schema.dataset}, whose steps are "
                         f"{', '.join(map(str, problem.stages))}. There is: {', '.join(available(problem))}.")
    return tuple(s for s in VARIANTS[variant] if s in problem.stages)


def variant_architecture(problem: Problem, variant: str) -> Architecture:
    """Return the architecture of a variant from the finished stages; a missing one is named with its command."""
    steps = steps_of(problem, variant)
    for step in steps:
        problem.folder.require(step, variant)
    blocks = problem.folder.architecture(1).blocks if 1 in steps else ()
    interactions = problem.folder.architecture(2).interactions if 2 in steps else ()
    mlp = problem.folder.architecture(3).mlp if 3 in steps else problem.predefined
    return Architecture(blocks, interactions, mlp)


def restricted(problem: Problem, architecture: Architecture, variant: str, source: str) -> Architecture:
    """Return the parts of an architecture that a variant is made of: AMEIR-A its blocks, -B its interactions too, each
    with the pre-defined MLP; -C all of it.

    Args:
        problem: the dataset, which says what variants there are and its pre-defined MLP.
        architecture: the whole.
        variant: a name in :data:`VARIANTS`.
        source: where the architecture is from, for messages.

    Raises:
        AmeirError: the dataset has no such variant, or the architecture lacks what the variant adds.
    """
    steps = steps_of(problem, variant)
    lacks = {1: ("blocks", not architecture.blocks), 2: ("interactions", not architecture.interactions),
             3: ("hidden layers", not architecture.mlp)}
    name, missing = lacks[steps[-1]]
    if missing:
        raise AmeirError(f"{source} has no {name}, which {variant} is made of. Leave variant={variant} out, or name "
                         "another architecture.")
    return Architecture(architecture.blocks if 1 in steps else (), architecture.interactions if 2 in steps else (),
                        architecture.mlp if 3 in steps else problem.predefined)


def stage_model(problem: Problem, stage: int, *, winner: bool) -> Ameir:
    """Return a finished stage's supernet, or its winner, with its weights."""
    path = problem.folder.file(stage, WINNER if winner else SUPERNET)
    state, capacity = load_weights(path)
    model = Ameir(problem.schema, capacity, **problem.sizes())
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise AmeirError(f"{path} does not fit this dataset's models: {str(error).splitlines()[-1].strip()} "
                         "Make its stage again with overwrite=true.") from error
    return model


def assembled(problem: Problem, variant: str, *, weights: bool = True) -> Derived:
    """Return the model of a variant.

    With ``weights`` it inherits those of the steps: AMEIR-A and -C the winner's of their step; AMEIR-B the winner of
    step 1 (or, without a step 1, the supernet of step 2) and from step 2 the first hidden layer's columns of the
    selected interactions. Without, they are random (retraining from scratch).
    """
    problem.seeded(f"assemble/{variant}")
    model = problem.derived(variant_architecture(problem, variant))
    if not weights:
        return model
    steps = steps_of(problem, variant)
    if steps[-1] == 2:
        interactions = stage_model(problem, 2, winner=False)
        if 1 in steps:
            inherit(model, stage_model(problem, 1, winner=True))
            inherit_interactions(model, interactions)
        else:
            inherit(model, interactions)
    else:
        inherit(model, stage_model(problem, steps[-1], winner=True))
    return model


def best_so_far(problem: Problem) -> Architecture:
    """Return the architecture assembled from the stages that are finished; later ones that a remade stage left
    behind do not count."""
    done = [s for s in problem.stages if problem.folder.usable(s)]
    names = [v for v in available(problem) if set(steps_of(problem, v)) <= set(done)]
    return variant_architecture(problem, names[-1]) if names else replace(Architecture(), mlp=problem.predefined)
