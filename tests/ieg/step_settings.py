"""The hyper-parameters of a step, for several tests."""

import dataclasses

from ieg.methods.step import Settings, settings_of
from ieg.settings.flags import Flags


def step_settings(**changes) -> Settings:
    """Those of the flags' defaults, but for the changes."""
    return dataclasses.replace(settings_of(Flags()), **changes)
