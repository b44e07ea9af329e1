"""The configuration as closed, typed dataclasses: an unknown or mistyped key stops the run before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ameir_pl.search.settings import Budget, ModelSettings, Narrowing, SpaceSettings


@dataclass
class TrainSettings:
    """How models of a dataset are trained.

    Args:
        batch_size: rows of a training batch.
        eval_batch_size: rows of a batch that is only evaluated.
        learning_rate: of Adam.
        weight_decay: L2 on weights and embeddings.
        loss: ``logloss`` for CTR; ``sampled_bce`` or ``sampled_softmax`` for retrieval; null: the first that fits.
        negatives: for retrieval, negatives a row (sampled_bce) or a batch (sampled_softmax).
        drawn_by: for sampled_softmax: negatives are drawn uniformly, or by popularity.
        log_q: for sampled_softmax: subtract from each score the logarithm of how likely the item is drawn.
        similarity: for retrieval: of queries and items, ``dot`` or ``cosine``.
        temperature: that cosines are divided by.
        clips: for retrieval: clips of a user an epoch: a number, ``all`` of them, or ``auto``.
    """

    batch_size: int = 512
    eval_batch_size: int = 2048
    learning_rate: float = 0.001
    weight_decay: float = 0.0
    loss: str | None = "logloss"
    negatives: int = 0
    drawn_by: str = "uniform"
    log_q: bool = False
    similarity: str = "dot"
    temperature: float = 0.05
    clips: Any = 1


@dataclass
class DatasetSettings:
    """A dataset and the sizes of its models.

    Args:
        name: registered name.
        source: a file or folder of the user's; null: what ``ameir data fetch`` put under ``paths.data``.
        max_len: T, the most behaviors of a history.
        on_bad_row: what a row does that cannot be read: ``fail`` stops, ``skip`` leaves it out and counts it.
        options: settings of this dataset alone.
        stages: which of 1, 2, 3 the search has here; null: what the dataset says.
        model: sizes.
        train: training.
    """

    name: str = "movielens"
    source: str | None = None
    max_len: int = 0
    on_bad_row: str = "fail"
    options: dict[str, Any] = field(default_factory=dict)
    stages: list[int] | None = None
    model: ModelSettings = field(default_factory=ModelSettings)
    train: TrainSettings = field(default_factory=TrainSettings)


@dataclass
class RecipeSettings:
    """How next-item models are trained, as far as the dataset's settings take it from here.

    Args:
        name: ``best`` or ``paper``.
        others: as in :class:`TrainSettings` and :class:`~ameir_pl.search.problem.ModelSettings`.
    """

    name: str = "best"
    batch_size: int = 256
    loss: str = "sampled_softmax"
    negatives: int = 1000
    drawn_by: str = "uniform"
    log_q: bool = False
    similarity: str = "cosine"
    temperature: float = 0.05
    clips: Any = "auto"
    weight_decay: float = 0.0
    embedding_dropout: float = 0.7
    block_dropout: float = 0.5


@dataclass
class Paths:
    """Where things are: ``runs/<dataset>/<run>``, ``data/raw`` and ``data/encoded``."""

    runs: str = "runs"
    data: str = "data"


@dataclass
class CheckpointSettings:
    """How often training is saved; a signal saves it, too.

    Args:
        every_steps: updates between two checkpoints.
        every_minutes: minutes between two checkpoints.
    """

    every_steps: int = 1000
    every_minutes: float = 10.0


@dataclass
class FinetuningSettings:
    """The rate of finetuning inherited weights.

    Args:
        peak: the rate rises to this share of dataset.train.learning_rate and decays along a cosine; null: it is
            constant, as from scratch.
        warmup: the share of the updates in which it rises.
    """

    peak: float | None = None
    warmup: float = 0.1


@dataclass
class ModelChoice:
    """The model that ``ameir train`` trains.

    Args:
        name: registered name, or ``ameir``.
        options: settings of this model alone.
    """

    name: str = "dnn"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Config:
    """Every key of conf/search.yaml and conf/train.yaml; see there for what each means."""

    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    preset: str | None = None
    recipe: RecipeSettings = field(default_factory=RecipeSettings)
    budget: Budget = field(default_factory=Budget)
    space: SpaceSettings = field(default_factory=SpaceSettings)
    paths: Paths = field(default_factory=Paths)
    optimizer: dict[str, Any] = field(default_factory=dict)
    scheduler: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    finetuning: FinetuningSettings = field(default_factory=FinetuningSettings)
    stage: Any = "all"
    run: str = "default"
    seed: int = 1
    runs: Any = 1
    strategy: str = "ameir"
    as_long_as: str | None = None
    seconds: float | None = None
    trainings: int | None = None
    fairness: str = "split"
    inherit: Any = True
    shared_l2: bool = False
    interaction_search: str = "evolution"
    narrowing: Narrowing = field(default_factory=Narrowing)
    variant: str | None = None
    reference: str | None = "dnn"
    ablation: bool = True
    overwrite: bool = False
    measure_test: bool = True
    metrics: list[str] | None = None
    detect_anomaly: bool = False
    debug: bool = False
    launcher: str = "local"
    preparation: str = "local"
    model: ModelChoice = field(default_factory=ModelChoice)
    architecture: str | None = None


@dataclass
class GenerateConfig(Config):
    """Every key of conf/generate.yaml.

    Args:
        rows: how many rows to make.
        noise: share of labels that are drawn at the base rate, whatever the row.
        output: the folder; null: where the dataset's raw files are looked for.
    """

    rows: int = 100_000
    noise: float = 0.1
    output: str | None = None


@dataclass
class ExportConfig(Config):
    """Every key of conf/export.yaml.

    Args:
        format: of the file; there is ``onnx``.
    """

    format: str = "onnx"


@dataclass
class CompareConfig(Config):
    """Every key of conf/compare.yaml.

    Args:
        models: ``all`` that the dataset allows, or a list of names, ``ameir:ARCHITECTURE`` among them.
        seeds: how many, from 1 on, or a list.
        runs: finished runs of the search whose models are set beside.
        tuned: train each model with what ``ameir tune`` found best for it.
        options: of models, by name, where they are not to have their defaults: ``{dcn: {layers: 1}}``.
        plot: write quality_cost.html.
    """

    models: Any = "all"
    seeds: Any = 1
    runs: list[str] = field(default_factory=list)
    tuned: bool = False
    options: Any = None
    plot: bool = True


@dataclass
class TuneConfig(Config):
    """Every key of conf/tune.yaml.

    Args:
        sampler: ``grid`` tries every combination, ``optuna`` goes where earlier trials were good.
        trials: how many; null: the whole grid, or 30 with optuna.
        learning_rates, weight_decays, dropouts: the values; null: those of the paper's Appendix D.
    """

    sampler: str = "grid"
    trials: int | None = None
    learning_rates: list[float] | None = None
    weight_decays: list[float] | None = None
    dropouts: list[float] | None = None


@dataclass
class DiagnoseConfig(Config):
    """Every key of conf/diagnose.yaml.

    Args:
        n: architectures that are trained alone and scored.
        seeds: with which each is trained alone.
        plot: write the page.
    """

    n: int = 24
    seeds: int = 1
    plot: bool = True


@dataclass
class InferConfig:
    """Every key of conf/infer.yaml.

    Args:
        input: the table: a file, a folder or a glob.
        label: its column with the label.
        events: a second table with behaviors.
        output: the description to write; null: named after the input.
        overwrite: replace a description that is there.
        time: its column with the time; none: rows are split at random; null: guessed.
        time_format: how its times are written; null: the values tell.
        user: its column with the user; null: guessed.
        item: its column with the item; null: guessed.
        positive: the values of the label that are a click; null: guessed.
        separator: between columns of text; null: told by the first lines.
        columns: names of the columns of text without a header.
        debug: show the traceback of an error.
    """

    input: str | None = None
    label: str | None = None
    events: str | None = None
    output: str | None = None
    overwrite: bool = False
    time: str | None = None
    time_format: str | None = None
    user: str | None = None
    item: str | None = None
    positive: Any = None
    separator: str | None = None
    columns: Any = None
    debug: bool = False


CONFIGS: dict[str, type] = {"search": Config, "train": Config, "export": ExportConfig,
                            "generate": GenerateConfig, "infer": InferConfig, "compare": CompareConfig,
                            "tune": TuneConfig, "diagnose": DiagnoseConfig}
"""The type of each file conf/NAME.yaml."""

RESULT_KEYS = ("dataset.name", "dataset.max_len", "dataset.on_bad_row", "dataset.options", "dataset.stages",
               "dataset.model", "dataset.train", "budget", "space", "optimizer", "scheduler", "trainer.precision",
               "trainer.gradient_clip_val", "trainer.gradient_clip_algorithm", "trainer.accumulate_grad_batches",
               "trainer.limit_train_batches", "seed", "fairness", "inherit", "measure_test")
"""What a run's results depend on: a run folder holds results of one such configuration."""

TRAIN_KEYS = ("model.name", "model.options", "architecture")
"""What they also depend on when ``ameir train`` made them; a search has neither."""
