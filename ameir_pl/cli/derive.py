"""``ameir derive``: the run's result becomes a bundle with inherited weights."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from ameir_pl import ranks
from ameir_pl.cli.command import command
from ameir_pl.cli.command_line import named_run
from ameir_pl.cli.config import Config
from ameir_pl.cli.setup import Session, open_session
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import read_bundle, write_bundle
from ameir_pl.progress import console
from ameir_pl.search.assembly import assembled, available, steps_of


def chosen_variant(session: Session, config: Config) -> str:
    """Return the variant that becomes the run's model: ``variant=``, or the most complete one of the dataset."""
    names = available(session.problem)
    variant = named_variant(config.variant or names[-1])
    steps_of(session.problem, variant)  # raises for one the dataset does not have
    return variant


def named_variant(asked: str) -> str:
    """Return the whole name of a variant that may be given by its letter."""
    return f"AMEIR-{asked.upper()}" if len(asked) == 1 else asked


def made_from(session: Session, variant: str) -> str:
    """Return the digests of the stages a variant is derived from."""
    problem = session.problem
    for step in steps_of(problem, variant):
        problem.folder.require(step, variant)
    return " ".join(problem.folder.digest(step) for step in steps_of(problem, variant))


def bundle_state(session: Session, config: Config, variant: str) -> str | None:
    """Return ``derived`` or ``finetuned`` for the bundle of this variant, None without one.

    Raises:
        AmeirError: there is another model: of another variant, or derived from stages that were made again since.
    """
    folder = session.problem.folder.path / "model"
    if not folder.exists():
        return None
    bundle = read_bundle(folder)
    again = (f"Replace it: ameir derive {named_run(config)} variant={variant} "
             "overwrite=true")
    if bundle.variant != variant:
        raise AmeirError(f"{folder} holds {bundle.variant}, not {variant}. {again}")
    if bundle.made_from != made_from(session, variant):
        raise AmeirError(f"{folder} was derived from other stages than those that are there now. {again}")
    return bundle.state


def derive_bundle(session: Session, config: Config) -> Path:
    """Write ``model/`` unless it is there already, derived from these stages."""
    problem, variant = session.problem, chosen_variant(session, config)
    folder = problem.folder.path / "model"
    sources = made_from(session, variant)
    if ranks.agreed(not config.overwrite and bundle_state(session, config, variant) is not None):
        console().print(f"{variant} is derived: {folder} (overwrite=true makes it again).")
        return folder
    model = assembled(problem, variant, weights=config.inherit is not False)
    write_bundle(folder, model, session.vocabulary, variant=variant, state="derived", made_from=sources)
    console().print(f"Derived {variant}: {folder}")
    return folder


@command("search", continues=True)
def main(config: Config, composed: DictConfig) -> Path:
    """Assemble the finished stages and write the bundle ``model/`` with inherited weights."""
    session = open_session(config, composed)
    made_from(session, chosen_variant(session, config))  # raises, naming the command, when a stage is missing
    with session:
        return derive_bundle(session, config)
