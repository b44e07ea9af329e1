"""What the tests of next-item models share: schemas, and a refusal of an option."""

from __future__ import annotations

import pytest

from ameir_pl.baselines import check_baseline
from ameir_pl.errors import AmeirError
from tests.models.examples import retrieval_schema, two_fields_schema

SCHEMAS = pytest.mark.parametrize("schema", [retrieval_schema(), two_fields_schema()], ids=["items", "two fields"])


def assert_refuses(name: str, **options: object) -> None:
    """The model names its option and what was found."""
    (option,) = options
    with pytest.raises(AmeirError, match=rf"model={name} .*model\.options\.{option}="):
        check_baseline(name, retrieval_schema(), options)
