import math

import pytest

from ieg.settings import schedules
from ieg.training.updates import ema_decay

GOLDEN = {  # (first cycle, t_mul): {step: rate}, base 0.1, m_mul 0.9
    (500, 1.5): {
        0: 0.1, 1: 0.09999901, 250: 0.05, 499: 9.8646e-7, 500: 0.09, 1249: 3.9428e-7, 1250: 0.081, 2374: 1.5691e-7,
        2375: 0.0729, 4063: 0.06560998, 5000: 0.04579839, 6594: 0.05904899, 85251: 6.2910e-6, 199999: 0.02515004,
    },
    (499, 1.5): {
        0: 0.1, 1: 0.09999901, 250: 0.04984260, 498: 9.894e-7, 499: 0.09, 1246: 8.905e-7, 1247: 9.92e-8,
        1248: 0.08099996, 2370: 9.66e-9, 5000: 0.04542278, 85250: 6.0894e-7, 85251: 5.9335e-7, 85329: 0.03138105,
        199999: 0.02511537,
    },
    (500, 2): {1499: 2.226e-7, 1500: 0.081, 3500: 0.0729, 63499: 0.0, 63500: 0.04782968},
}  # fmt: skip
FLOAT32 = 3e-9  # the golden values went through a float32 cosine: near the end of a cycle only its size is left


@pytest.mark.parametrize("cycle", GOLDEN)
def test_cosine_restarts_golden(cycle):
    for step, rate in GOLDEN[cycle].items():
        ours = schedules.cosine_restarts(step, 0.1, cycle[0], cycle[1], 0.9)
        assert ours == pytest.approx(rate, rel=2e-6, abs=2 * FLOAT32), step


@pytest.mark.parametrize(("first", "t_mul"), [(500, 1.5), (490, 1.5), (499, 1.5), (500, 2)])
def test_cycle_ends_are_the_last_steps_before_the_rate_jumps(first, t_mul):
    ends = schedules.cycle_ends(first, t_mul, 20000)
    rates = [schedules.cosine_restarts(step, 0.1, first, t_mul, 0.9) for step in range(20001)]
    # step k uses rate(k − 1), so the jump between rate(k − 1) and rate(k) follows step k
    assert ends == [step for step in range(1, 20001) if rates[step] > rates[step - 1]]


def test_cycle_ends_golden():
    assert schedules.cycle_ends(500, 2, 63500) == [500, 1500, 3500, 7500, 15500, 31500, 63500]
    unrounded = [500, 1250, 2375, 4062.5, 6593.75, 10390.62, 16085.94, 24628.91, 37443.36]
    assert schedules.cycle_ends(500, 1.5, 40000) == [math.ceil(restart) for restart in unrounded]


def test_other_schedules():
    for step, rate in {499: 0.1, 500: 0.09, 1000: 0.081, 5000: 0.03486784}.items():
        assert schedules.exponential(step, 0.1, 500) == pytest.approx(rate, rel=1e-6)
    for step, rate in {0: 0.1, 100000: 0.05, 199999: 0.0}.items():
        assert schedules.cosine_one(step, 0.1, 200000) == pytest.approx(rate, abs=1e-9)
    steps = {159: 0.1, 160: 0.001, 179: 0.001, 180: 0.00001}
    for step, rate in steps.items():
        assert schedules.custom_step(step, 0.1, (160, 180), 0.01) == pytest.approx(rate)
    assert [schedules.warmup(step, 0.1, 10) for step in (0, 5, 10)] == [0, 0.05, 0.1]


def test_ema_decay_golden():
    golden = {0: 0.1, 1: 0.18181818, 10: 0.55, 100: 0.91818182, 8981: 0.99899900, 8990: 0.999, 10000: 0.999}
    for step, decay in golden.items():
        assert ema_decay(step) == pytest.approx(decay, abs=5e-9)
