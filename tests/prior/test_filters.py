from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from humanmotion.errors import UsageError
from humanmotion.prior.filters import STEP, WANDER, one_euro, rts_smoother, savitzky_golay

FPS = 30.0
FILTERS = {
    "savgol": partial(savitzky_golay, window=11),
    "euro": partial(one_euro, fps=FPS),
    "rts": partial(rts_smoother, fps=FPS, process_sigma=20.0, measurement_sigma=0.02),
}
SECONDS = np.arange(60) / FPS


def line(*, shape: tuple[int, ...] = (4, 3)) -> np.ndarray:
    generator = np.random.default_rng(0)
    start, speed = generator.normal(size=(2, *shape))
    return start + speed * SECONDS.reshape(-1, *(1,) * len(shape))


def white(frames: int = 400) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(frames, 5))


@pytest.mark.parametrize("name", FILTERS)
class TestEveryFilter:
    @pytest.mark.parametrize("shape", [(), (1,), (22, 3)])
    def test_constants_pass(self, name, shape):
        constant = np.broadcast_to(np.random.default_rng(2).normal(size=shape), (40, *shape))
        found = FILTERS[name](constant)
        assert found.shape == constant.shape
        assert np.allclose(found, constant, atol=1e-9)

    @pytest.mark.parametrize("frames", [1, 2, 3, 4, 7])
    def test_short_sequences_pass_as_constants_do(self, name, frames):
        assert np.allclose(FILTERS[name](np.ones((frames, 2))), 1)

    def test_noise_shrinks(self, name):
        noise = 0.02 * white()
        assert FILTERS[name](noise)[20:-20].var() < 0.6 * noise.var()

    def test_channels_do_not_mix_and_the_given_array_stays(self, name):
        x = white(50)
        before = x.copy()
        found = FILTERS[name](x)
        assert np.array_equal(x, before)
        assert np.allclose(found[:, 2], FILTERS[name](x[:, 2]))
        assert np.array_equal(found, FILTERS[name](x))

    def test_moving_all_moves_all(self, name):
        x = white(50)
        assert np.allclose(FILTERS[name](x + 3), FILTERS[name](x) + 3, atol=1e-6)

    def test_what_cannot_be_filtered(self, name):
        for wrong in (np.zeros((0, 3)), np.array((1.0, np.nan))):
            with pytest.raises(UsageError, match="give \\(T"):
                FILTERS[name](wrong)


@pytest.mark.parametrize("name", ["savgol", "rts"])
class TestSmoothers:
    def test_lines_pass(self, name):
        assert np.allclose(FILTERS[name](line()), line(), atol=1e-6)

    def test_time_has_no_direction(self, name):
        x = white(50)
        assert np.allclose(FILTERS[name](x[::-1])[::-1], FILTERS[name](x), atol=1e-5)


class TestSavitzkyGolay:
    def test_cubics_pass_and_quartics_do_not(self):
        powers = SECONDS[:, None] ** np.arange(5)
        cubic = powers @ np.array((1.0, -2.0, 3.0, 1.5, 0.0))
        assert np.allclose(savitzky_golay(cubic, window=15), cubic)
        assert not np.allclose(savitzky_golay(powers[:, 4], window=15), powers[:, 4], atol=1e-7)

    def test_it_is_a_polynomial_fit_of_each_window(self):
        x = white(30)[:, 0]
        plain = [
            np.polyval(np.polyfit(np.arange(-4, 5), x[t - 4 : t + 5], 2), 0) for t in range(4, 26)
        ]
        assert np.allclose(savitzky_golay(x, window=9, order=2)[4:26], plain)

    @pytest.mark.parametrize(("window", "order"), [(4, 2), (3, 3), (5, -1)])
    def test_windows_that_do_not_fit(self, window, order):
        with pytest.raises(UsageError, match="odd"):
            savitzky_golay(SECONDS, window=window, order=order)


class TestOneEuro:
    def test_it_sees_no_future(self):
        x = white(50)
        assert np.array_equal(
            one_euro(x, fps=FPS, beta=0.1)[:20], one_euro(x[:20], fps=FPS, beta=0.1)
        )

    def test_without_beta_it_is_an_exponential_mean(self):
        x, keep = white(50), 1 / (1 + FPS / (2 * np.pi * 2.0))
        plain = [x[0]]
        for now in x[1:]:
            plain.append((1 - keep) * plain[-1] + keep * now)
        assert np.allclose(one_euro(x, fps=FPS, min_cutoff=2.0), plain)

    def test_a_line_is_followed_at_a_fixed_distance_which_beta_shortens(self):
        ramp = np.arange(600) / FPS
        lag = ramp - one_euro(ramp, fps=FPS, min_cutoff=1.0)
        # Steady state of an exponential mean: slope times (1 - keep) / keep.
        assert np.isclose(lag[-1], 1 / (2 * np.pi * 1.0), rtol=1e-3)
        assert (ramp - one_euro(ramp, fps=FPS, beta=5.0))[-1] < 0.3 * lag[-1]

    def test_arguments(self):
        with pytest.raises(UsageError, match="min_cutoff"):
            one_euro(SECONDS, fps=FPS, min_cutoff=0.0)
        with pytest.raises(UsageError, match="beta"):
            one_euro(SECONDS, fps=FPS, beta=-1.0)


class TestRts:
    def plain(self, x: np.ndarray, *, jerk: float) -> np.ndarray:
        """All frames at once by least squares, the start unknown."""
        frames = len(x)
        root = np.linalg.inv(np.linalg.cholesky(WANDER)) / jerk
        rows = np.zeros((frames + 3 * (frames - 1), 3 * frames))
        rows[np.arange(frames), 3 * np.arange(frames)] = 1
        for t in range(frames - 1):
            at = slice(frames + 3 * t, frames + 3 * t + 3)
            rows[at, 3 * t : 3 * t + 3] = -root @ STEP
            rows[at, 3 * t + 3 : 3 * t + 6] = root
        seen = np.concatenate((x, np.zeros((3 * (frames - 1), x.shape[1]))))
        return np.linalg.lstsq(rows, seen, rcond=None)[0][::3]

    def test_it_is_least_squares_over_the_whole_sequence(self):
        x, process, measurement = white(40), 300.0, 0.5
        found = rts_smoother(x, fps=FPS, process_sigma=process, measurement_sigma=measurement)
        jerk = process / FPS**2.5 / measurement
        assert np.allclose(found, self.plain(x, jerk=jerk), atol=1e-4)

    def test_parabolas_pass(self):
        x = 1 + 2 * SECONDS - 4.9 * SECONDS**2
        assert np.allclose(FILTERS["rts"](x), x, atol=1e-6)

    def test_only_the_ratio_of_the_sigmas_counts(self):
        one, other = (
            rts_smoother(white(40), fps=FPS, process_sigma=10 * k, measurement_sigma=0.1 * k)
            for k in (1, 7)
        )
        assert np.allclose(one, other)

    def test_its_limits_are_the_data_and_a_parabola(self):
        x = white(40)
        loose, stiff = (
            rts_smoother(x, fps=1.0, process_sigma=q, measurement_sigma=1.0) for q in (1e5, 1e-6)
        )
        assert np.allclose(loose, x, atol=1e-3)
        t = np.arange(40)
        fit = np.polynomial.polynomial.polyvander(t, 2) @ np.polynomial.polynomial.polyfit(t, x, 2)
        assert np.allclose(stiff, fit, atol=1e-3)

    def test_arguments(self):
        with pytest.raises(UsageError, match="process_sigma"):
            rts_smoother(SECONDS, fps=FPS, process_sigma=0.0, measurement_sigma=1.0)
