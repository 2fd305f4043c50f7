"""A zoo is held to the noise that was asked for: whoever holds the images need not trust it."""

import pytest

from registry.errors import JobFailedError
from registry.noise import Noise, SharedNoise
from trainer.noising import NoisePromise

WANTED = Noise(epsilon=1.0)
SHARED = SharedNoise(epsilon=1.0, modules=2)


def test_as_many_statistics_leave_as_the_noise_is_shared_among() -> None:
    promise = NoisePromise(WANTED)
    promise.spend(SHARED)
    promise.spend(SHARED)
    with pytest.raises(JobFailedError, match="2 have been sent"):
        promise.spend(SHARED)


@pytest.mark.parametrize(
    "noise",
    [None, SharedNoise(epsilon=2.0, modules=2), SharedNoise(epsilon=1.0, delta=1e-3, modules=2)],
)
def test_nothing_leaves_with_other_noise_than_was_asked_for(noise: SharedNoise | None) -> None:
    with pytest.raises(JobFailedError, match="none are sent"):
        NoisePromise(WANTED).spend(noise)


def test_noise_that_was_shared_among_some_modules_is_not_shared_among_others_later() -> None:
    promise = NoisePromise(WANTED)
    promise.spend(SharedNoise(epsilon=1.0, modules=1))
    with pytest.raises(JobFailedError, match="1 have been sent"):
        promise.spend(SharedNoise(epsilon=1.0, modules=100))
