"""Lightning callbacks: drawing paths, auditing fairness, progress, keeping the best epoch."""

from ameir_pl.callbacks.activation_counts import ActivationCounts
from ameir_pl.callbacks.best_weights import BestWeights
from ameir_pl.callbacks.progress import TrainingProgress
from ameir_pl.callbacks.uniform_sampling import UniformSampling

__all__ = ["ActivationCounts", "BestWeights", "TrainingProgress", "UniformSampling"]
