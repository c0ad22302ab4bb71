import itertools

import pytest

from common.errors import UsageError
from re_sln.settings.names import model_name


@pytest.mark.parametrize(
    "sigma, mo, lc, name",
    [(0, False, -1, "ce"), (0.5, False, -1, "sln"), (0.5, True, -1, "sln-mo"), (0.5, True, 1, "sln-mo-lc"),
     (0.5, True, 9, "sln-mo-lc")],
)  # fmt: skip
def test_the_four_models(sigma, mo, lc, name):
    assert model_name(sigma, mo, lc, 10) == name


def test_everything_else_is_refused_and_the_four_are_named():
    good = {(0, False, -1), (1, False, -1), (1, True, -1), (1, True, 5)}
    for sigma, mo, lc in set(itertools.product((0, 1), (False, True), (-2, -1, 0, 5, 10, 11))) - good:
        with pytest.raises(UsageError, match=r"none of the four models: CE .* SLN .* SLN-MO .* SLN-MO-LC"):
            model_name(sigma, mo, lc, 10)


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), float("inf"), float("-inf")])
def test_sigma_is_a_number_from_0_on(sigma):
    with pytest.raises(UsageError, match="--sigma="):
        model_name(sigma, False, -1, 10)
