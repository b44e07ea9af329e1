"""The commands: Hydra and OmegaConf live here and nowhere else."""

import os

# OpenMP's threads wait for each other by spinning, which takes the processor from the one that is waited for as soon as
# another process runs beside it. It is read when torch is loaded, which no module before this one does.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
