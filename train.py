"""Train one model: ``python train.py dataset=alimama model=din``."""

from ameir_pl.cli.train import main

if __name__ == "__main__":
    main()
