"""``ameir derive``: the run's result becomes a bundle with inherited weights."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from ameir_pl import ranks
from ameir_pl.architecture_file import write_architecture
from ameir_pl.cli.command import command
from ameir_pl.cli.command_line import named_run
from ameir_pl.cli.config import Config
from ameir_pl.cli.search_keys import refuse_step_command
from ameir_pl.cli.setup import Session, open_session
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import ARCHITECTURE, Bundle, read_bundle, write_bundle
from ameir_pl.progress import console
from ameir_pl.search.assembly import assembled, available, best_so_far, steps_of


def derived_variant(session: Session, config: Config) -> str:
    """Return the variant that is derived: ``variant=``, or the most complete one of the dataset. Finetuning puts the
    best of all in its place where ``variant=`` asks for none."""
    variant = asked_variant(config) or available(session.problem)[-1]
    steps_of(session.problem, variant)  # raises for one the dataset does not have
    return variant


def asked_variant(config: Config) -> str | None:
    """Return the variant that ``variant=`` asks for, None where validation rows are to say."""
    return named_variant(config.variant) if config.variant else None


def named_variant(asked: str) -> str:
    """Return the whole name of a variant that may be given by its letter."""
    return f"AMEIR-{asked.upper()}" if len(asked) == 1 else asked


def made_from(session: Session, variant: str) -> str:
    """Return the digests of the stages a variant is derived from."""
    problem = session.problem
    for step in steps_of(problem, variant):
        problem.folder.require(step, variant)
    return " ".join(problem.folder.digest(step) for step in steps_of(problem, variant))


def run_model(session: Session, config: Config, variant: str | None) -> Bundle | None:
    """Return the bundle in ``model/``, derived or finetuned; None without one.

    Args:
        session: of the run.
        config: of the run.
        variant: which it must be; None: any.

    Raises:
        AmeirError: there is another model: of another variant, or derived from stages that were made again since.
    """
    folder = session.problem.folder.path / "model"
    if not folder.exists():
        return None
    bundle = read_bundle(folder)
    again = (f"Replace it: ameir derive {named_run(config)} {'' if variant is None else f'variant={variant} '}"
             "overwrite=true")
    if bundle.variant != (variant or bundle.variant) or bundle.variant not in available(session.problem):
        raise AmeirError(f"{folder} holds {bundle.variant}, not {variant or 'what this search derives'}. {again}")
    if bundle.made_from != made_from(session, bundle.variant):
        raise AmeirError(f"{folder} was derived from other stages than those that are there now. {again}")
    return bundle


def write_result(session: Session, config: Config) -> None:
    """Write ``architecture.yaml``: that of the run's finetuned model or, before there is one, of the stages so far."""
    try:
        bundle = run_model(session, config, None)
    except AmeirError:  # a model that the stages have left behind, or a damaged one: who needs it says so
        bundle = None
    finetuned = bundle is not None and bundle.state == "finetuned"
    write_architecture(session.problem.folder.path / ARCHITECTURE,
                       bundle.model.architecture if bundle is not None and finetuned else best_so_far(session.problem))


def derive_bundle(session: Session, config: Config) -> Path:
    """Write ``model/`` unless it is there already, derived from these stages."""
    problem, asked = session.problem, asked_variant(config)
    variant, folder = derived_variant(session, config), session.problem.folder.path / "model"
    sources = made_from(session, variant)
    there = None if config.overwrite else run_model(session, config, asked)
    if ranks.agreed(there is not None):
        name = variant if there is None else there.variant
        console().print(f"{name} is derived: {folder} (overwrite=true makes it again).")
        return folder
    model = assembled(problem, variant, weights=config.inherit is not False)
    write_bundle(folder, model, session.vocabulary, variant=variant, state="derived", made_from=sources,
                 temperature=session.problem.objective.temperature)
    write_result(session, config)
    console().print(f"Derived {variant}: {folder}")
    return folder


@command("search", continues=True)
def main(config: Config, composed: DictConfig) -> Path:
    """Assemble the finished stages and write the bundle ``model/`` with inherited weights."""
    refuse_step_command(config, "derive")
    session = open_session(config, composed)
    made_from(session, derived_variant(session, config))  # raises, naming the command, when a stage is missing
    with session:
        return derive_bundle(session, config)
