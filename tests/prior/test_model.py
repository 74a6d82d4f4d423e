from __future__ import annotations

import pytest
import torch

from humanmotion.errors import FileFormatError, UsageError
from humanmotion.files import read_tensors, write_tensors
from humanmotion.prior.model import WINDOW, PosePrior
from humanmotion.prior.sampling import complete, sample
from humanmotion.prior.scoring import regulariser, score
from humanmotion.prior.space import BODY, LEFT_HAND, SIZE, TOKENS, spread_tokens


def test_a_file_gives_the_prior_back(tiny, tmp_path) -> None:
    path = tmp_path / "prior.safetensors"
    write_tensors(path, tiny.tensors())
    back = PosePrior.from_tensors(read_tensors(path), tiny.config())
    state, rho = torch.randn(4, SIZE), torch.full((TOKENS,), 0.5)
    for kind in ("pose", "motion"):
        a, b = (p.denoise(state, rho, kind=kind) for p in (tiny, back))
        assert torch.allclose(a, b, atol=1e-2)
    first = path.read_bytes()
    write_tensors(path, tiny.tensors())
    assert path.read_bytes() == first


@pytest.mark.parametrize("spoil", ["space/mean", "errors/pose", "pose/enter.weight"])
def test_other_weights_are_refused_in_one_line(tiny, spoil) -> None:
    tensors = {k: v for k, v in tiny.tensors().items() if k != spoil}
    with pytest.raises(FileFormatError, match="not a pose prior") as error:
        PosePrior.from_tensors(tensors, tiny.config())
    assert "\n" not in str(error.value)


def test_the_error_is_read_off_the_table(tiny) -> None:
    for level in (0.02, 0.1, 0.7, 5.0):
        expected = level / (1 + level**2) ** 0.5
        assert float(tiny.sigma(level)[0]) == pytest.approx(expected, rel=0.02)
    assert float(tiny.sigma(0.002)[0]) == pytest.approx(0.002, rel=0.01)
    assert float(tiny.sigma(1000.0)[0]) == pytest.approx(1.0, abs=0.01)


def test_long_motions_are_taken_in_windows(tiny) -> None:
    state, rho = torch.randn(2, 2 * WINDOW + 7, SIZE), torch.full((TOKENS,), 0.5)
    clean = tiny.denoise(state, rho, kind="motion")
    # This network's answer does not depend on the neighbours, so windows must not show.
    assert torch.allclose(clean, state / 1.25, atol=1e-5)


class TestSampling:
    def test_samples_of_a_normal_prior_are_normal(self, tiny) -> None:
        states = sample(tiny, 3000, seed=1)
        assert states.shape == (3000, 1, SIZE)
        assert float(states.mean()) == pytest.approx(0, abs=0.01)
        assert float(states.std()) == pytest.approx(1, abs=0.05)

    def test_what_is_known_stays_and_hypotheses_differ(self, tiny) -> None:
        state = torch.randn(3, SIZE)
        known = torch.ones(TOKENS, dtype=torch.bool)
        known[LEFT_HAND] = False
        spoilt = torch.where(spread_tokens(known), state, torch.nan)
        drawn = complete(tiny, spoilt, known, hypotheses=4, seed=0)
        assert drawn.shape == (4, 3, SIZE) and bool(torch.isfinite(drawn).all())
        there = spread_tokens(known)
        assert torch.equal(drawn[..., there], state[:, there].expand(4, -1, -1))
        assert float(drawn[..., ~there].std(0).mean()) > 0.5

    def test_seeds(self, tiny) -> None:
        assert torch.equal(sample(tiny, 2, seed=3), sample(tiny, 2, seed=3))
        assert not torch.equal(sample(tiny, 2, seed=3), sample(tiny, 2, seed=4))

    @pytest.mark.parametrize(("count", "frames"), [(0, 1), (1, 0)])
    def test_nothing_asked_for(self, tiny, count, frames) -> None:
        with pytest.raises(UsageError, match="at least 1"):
            sample(tiny, count, frames=frames)

    def test_states_that_are_none(self, tiny) -> None:
        known = torch.ones(TOKENS, dtype=torch.bool)
        with pytest.raises(UsageError, match="not finite"):
            complete(tiny, torch.full((1, SIZE), torch.nan), known)


class TestScoring:
    def test_normal_poses_score_about_one(self, tiny) -> None:
        generator = torch.Generator().manual_seed(0)
        found = score(tiny, torch.randn(4000, SIZE, generator=generator))
        assert 0.85 < float(found.mean()) < 1.0

    def test_what_is_absent_is_not_shown(self, tiny) -> None:
        here = torch.ones(TOKENS, dtype=torch.bool)
        here[LEFT_HAND] = False
        state = torch.randn(2, SIZE)
        other = torch.where(spread_tokens(here), state, state + 5)
        a, b = (score(tiny, x, present=here)[:, here] for x in (state, other))
        assert torch.equal(a, b)

    def test_far_poses_score_worse_and_each_joint_by_itself(self, tiny) -> None:
        state = torch.zeros(2, SIZE)
        state[1, :3] = 6.0
        found = score(tiny, state)
        assert found.shape == (2, TOKENS)
        assert float(found[1, 0]) > float(found[0, 0]) + 1
        assert torch.allclose(found[1, 1:], found[0, 1:])

    @pytest.mark.parametrize("rho", [0.1, 0.5])
    def test_the_regulariser_is_minus_the_smoothed_log_density(self, tiny, rho) -> None:
        """For a standard normal its gradient is x / (1 + rho^2) (pose prior, closed form)."""
        state = torch.randn(5, SIZE, requires_grad=True)
        regulariser(tiny, rho)(state).backward()
        assert torch.allclose(state.grad, state.detach() / (1 + rho**2), rtol=1e-3, atol=1e-4)

    def test_body_only(self, tiny) -> None:
        assert score(tiny, torch.zeros(SIZE))[BODY].shape == (21,)
