"""One body, two devices: which of them runs is the session's choice."""


def test_the_device_is_one_of_two(device):
    assert device in ("cpu", "cuda")
