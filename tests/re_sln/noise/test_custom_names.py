"""The name of a custom noise file holds what decides its content."""

import pytest

from re_sln.noise.noise_request import custom_path
from tests.re_sln.small_runs import config_of

CIFAR = {"dataset_name": "cifar10", "image_size": 32, "custom_noise": True, "network": "wrn-28-2"}


@pytest.mark.parametrize(
    "flags, name",
    [
        (CIFAR | {"noise_mode": "dependent"}, "dependent0.4_custom_seed123.csv"),
        (CIFAR | {"noise_mode": "dependent", "dependent_epochs": 6}, "dependent0.4_custom_seed123_epochs-6.csv"),
        ({"noise_mode": "dependent"}, "dependent0.4_custom_seed123_size-8_wrn-10-1.csv"),
        ({"noise_mode": "openset"}, "openset0.4_custom_seed123_size-8.csv"),
        ({"noise_mode": "openset", "image_size": 32, "network": "wrn-16-2"}, "openset0.4_custom_seed123.csv"),
        ({"noise_mode": "sym"}, "sym0.4_custom_seed123.csv"),
    ],
)
def test_what_is_not_the_default(flags, name):
    noise = config_of(p=0.4, **flags).noise
    assert noise is not None and custom_path(noise).name == name
