"""Search an architecture: ``python search.py dataset=alimama stage=1``."""

from ameir_pl.cli.search import main

if __name__ == "__main__":
    main()
