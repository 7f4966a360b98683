"""Losses: closed forms, and what must not count."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from retsam.segmentation.network.config import FINE, WIDE  # noqa: E402
from retsam.segmentation.network.model import Logits  # noqa: E402
from retsam.training.batches import Batch, Plane  # noqa: E402
from retsam.training.losses import (  # noqa: E402
    LossWeights,
    compute_loss,
    cross_entropy_pairs,
    dice_pairs,
    soft_cldice_each,
    soft_skeleton,
)

SURE = 40.0


def mean(pairs):
    """Weighted mean of a loss over samples and targets; 0 where nothing counts."""
    loss, weight = pairs
    return (loss * weight).sum() / weight.sum().clamp_min(1)


def dynamic_dice(*args, **options):
    return mean(dice_pairs(*args, **options))


def cross_entropy(*args, **options):
    return mean(cross_entropy_pairs(*args, **options))


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def scene(generator, batch=3, targets=4, side=16):
    labels = (torch.rand(batch, targets, side, side, generator=generator) < 0.3).float()
    logits = torch.randn(batch, targets, side, side, generator=generator)
    return logits, labels, torch.ones(batch, targets), torch.ones(batch, 1, side, side)


def test_a_perfect_prediction_costs_nothing(generator):
    _, labels, known, valid = scene(generator)
    logits = SURE * (2 * labels - 1)
    assert dynamic_dice(logits, labels, known, valid) == pytest.approx(0, abs=1e-6)
    assert cross_entropy(logits, labels, known, valid) == pytest.approx(0, abs=1e-6)
    assert cross_entropy(logits, labels, known, valid, gamma=2.0) == pytest.approx(0, abs=1e-6)


def test_dynamic_dice_of_one_sample_and_one_target_is_plain_dice(generator):
    logits, labels, known, valid = scene(generator, 1, 1)
    p = torch.sigmoid(logits)
    plain = 1 - (2 * (p * labels).sum() + 1) / (p.sum() + labels.sum() + 1)
    assert dynamic_dice(logits, labels, known, valid) == pytest.approx(plain.item(), abs=1e-6)
    assert dynamic_dice(logits, labels, known, valid, per_image=False) == pytest.approx(plain.item(), abs=1e-6)


def test_dynamic_dice_is_a_mean_over_what_is_present(generator):
    logits, labels, known, valid = scene(generator, 2, 2)
    labels[0, 1] = 0
    single = [dynamic_dice(logits[i : i + 1, [j]], labels[i : i + 1, [j]], known[:1, :1], valid[:1]) for i, j in
              [(0, 0), (1, 0), (1, 1)]]  # fmt: skip
    assert dynamic_dice(logits, labels, known, valid) == pytest.approx(sum(map(float, single)) / 3, abs=1e-6)
    logits[0, 1] = -SURE  # absent in both
    assert dynamic_dice(logits, labels, known, valid) == pytest.approx(sum(map(float, single)) / 3, abs=1e-6)


def test_nothing_present_and_nothing_known_costs_nothing(generator):
    logits, labels, known, valid = scene(generator)
    assert dynamic_dice(logits, torch.zeros_like(labels), known, valid) == 0
    assert dynamic_dice(logits, labels, torch.zeros_like(known), valid) == 0
    assert cross_entropy(logits, labels, torch.zeros_like(known), valid) == 0


@pytest.mark.parametrize("per_image", [True, False])
def test_order_of_the_batch_does_not_matter(generator, per_image):
    logits, labels, known, valid = scene(generator)
    known[1, 2] = 0
    order = torch.tensor([2, 0, 1])
    args, turned = (logits, labels, known, valid), (logits[order], labels[order], known[order], valid[order])
    a, b = (dynamic_dice(*x, per_image=per_image) for x in (args, turned))
    assert a.item() == pytest.approx(b.item(), abs=1e-6)
    assert 0 <= a <= 1
    assert cross_entropy(*args).item() == pytest.approx(cross_entropy(*turned).item(), abs=1e-6)


@pytest.mark.parametrize("loss", [dynamic_dice, cross_entropy], ids=["dice", "cross_entropy"])
def test_unknown_targets_and_invalid_pixels_get_no_gradient(generator, loss):
    logits, labels, known, valid = scene(generator)
    known[1, 2] = 0
    valid[:, :, :4] = 0
    logits.requires_grad_()
    loss(logits, labels, known, valid).backward()
    assert logits.grad[1, 2].abs().max() == 0
    assert logits.grad[:, :, :4].abs().max() == 0
    assert logits.grad[1, 1, 4:].abs().min() > 0


def test_cross_entropy_has_its_closed_form(generator):
    _, labels, known, valid = scene(generator)
    logits = torch.zeros_like(labels)
    assert cross_entropy(logits, labels, known, valid) == pytest.approx(0.693147, abs=1e-5)
    assert cross_entropy(logits, labels, known, valid, gamma=2.0) == pytest.approx(0.693147 / 4, abs=1e-5)


def lines(side=64):
    labels = torch.zeros(1, 1, side, side)
    labels[..., 20:23, 6:58] = 1
    labels[..., 6:58, 40] = 1
    return labels, torch.ones_like(labels)


def test_cldice_of_identical_lines_is_0():
    labels, valid = lines()
    assert soft_cldice_each(SURE * (2 * labels - 1), labels, valid) == pytest.approx(0, abs=1e-5)


def test_cldice_sees_a_broken_line_that_dice_does_not():
    labels, valid = lines()
    known = torch.ones(1, 1)
    broken, shaved = labels.clone(), labels.clone()
    broken[..., 20:23, 16:24] = 0  # 24 pixels out of the middle of the thick line
    shaved[..., 20, 10:34] = 0  # 24 pixels off its side
    dice = [dynamic_dice(SURE * (2 * x - 1), labels, known, valid).item() for x in (broken, shaved)]
    topology = [soft_cldice_each(SURE * (2 * x - 1), labels, valid).item() for x in (broken, shaved)]
    assert dice[0] == pytest.approx(dice[1], abs=1e-6)
    assert topology[0] > 0.03
    assert topology[0] > 3 * topology[1]


def test_cldice_learns():
    labels, valid = lines()
    logits = torch.zeros_like(labels, requires_grad=True)
    soft_cldice_each(logits, labels, valid).sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


def test_skeleton_of_a_thick_bar_is_its_middle():
    bar = torch.zeros(1, 1, 32, 64)
    bar[..., 12:19, 8:56] = 1
    thin = soft_skeleton(bar, 4)[0, 0]
    assert torch.equal(thin[:, 20:44].sum(0), torch.ones(24))
    assert torch.equal(thin[15, 20:44], torch.ones(24))


def batch_of(generator, fine_targets, wide_targets, known_fine=None, count=2, side=32):
    def plane(targets, side, known):
        labels = (torch.rand(count, len(targets), side, side, generator=generator) < 0.3).float()
        known = torch.ones(count, len(targets)) if known is None else known
        return Plane(tuple(targets), labels, known, torch.ones(count, 1, side, side))

    blank = torch.ones(count, 1, side, side)
    fine, wide = plane(fine_targets, side, known_fine), plane(wide_targets, side // 4, None)
    return Batch(blank.repeat(1, 3, 1, 1), blank, blank, blank, torch.zeros(count, 4), fine, wide)


def logits_of(generator, count=2, side=32):
    fine = torch.randn(count, len(FINE), side, side, generator=generator, requires_grad=True)
    wide = torch.randn(count, len(WIDE), side // 4, side // 4, generator=generator, requires_grad=True)
    return Logits(fine, wide)


def test_whole_loss_leaves_unknown_targets_alone(generator):
    """Vessels of the second sample alone: consistency may move its arteries and veins, nothing else moves."""
    batch = batch_of(generator, ("vessel", "drusen"), ("optic_cup",), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    logits = logits_of(generator)
    terms = compute_loss(logits, batch, LossWeights())
    assert set(terms) == {"dice", "cross_entropy", "cldice", "consistency"}
    torch.stack(list(terms.values())).sum().backward()
    moved = {(i, FINE[j]) for i in range(2) for j in range(len(FINE)) if logits.fine.grad[i, j].abs().sum() > 0}
    assert moved == {(0, "drusen"), (1, "vessel"), (1, "artery"), (1, "vein")}
    assert [WIDE[j] for j in range(len(WIDE)) if logits.wide.grad[:, j].abs().sum() > 0] == ["optic_cup"]


@pytest.mark.parametrize(("sign", "expected"), [(1, 0.0), (-1, 1.0)])
def test_consistency_is_0_where_a_vessel_is_an_artery_or_a_vein(generator, sign, expected):
    batch, logits = batch_of(generator, ("vessel",), ()), logits_of(generator)
    artery, vein = torch.full((2, 32, 32), -SURE), torch.full((2, 32, 32), -SURE)
    artery[:, :16] = SURE
    vein[:, :, :1] = SURE
    fine = logits.fine.detach().clone()
    for target, values in (("artery", artery), ("vein", vein), ("vessel", sign * torch.maximum(artery, vein))):
        fine[:, FINE.index(target)] = values
    terms = compute_loss(Logits(fine, logits.wide), batch, LossWeights(0.0, 0.0, 0.0, 1.0))
    assert terms["consistency"].item() == pytest.approx(expected, abs=1e-6)


def test_weights_scale_terms_and_0_leaves_them_out(generator):
    batch, logits = batch_of(generator, ("vessel",), ()), logits_of(generator)
    one = compute_loss(logits, batch, LossWeights(1.0, 1.0, 1.0, 1.0))
    two = compute_loss(logits, batch, LossWeights(2.0, 0.0, 0.5, 0.0))
    assert set(two) == {"dice", "cldice"}
    assert two["dice"].item() == pytest.approx(2 * one["dice"].item())
    assert two["cldice"].item() == pytest.approx(0.5 * one["cldice"].item())


@pytest.mark.parametrize("minor", [1.0, 0.2])
def test_targets_of_both_planes_are_averaged_within_a_sample(generator, minor):
    """``edema`` is shown by phantoms only and counts ``minor`` beside 1 of the others."""
    batch, logits = batch_of(generator, ("drusen",), ("optic_disc", "edema")), logits_of(generator)
    got = compute_loss(logits, batch, LossWeights(1.0, 1.0, 0.0, 0.0, minor=minor))
    at = [WIDE.index(t) for t in batch.wide.targets]
    fine, wide = batch.fine, batch.wide
    for name, loss in (("dice", dynamic_dice), ("cross_entropy", cross_entropy)):
        a = loss(logits.fine[:, [FINE.index("drusen")]], fine.labels, fine.known, fine.valid).item()
        b, c = (
            loss(logits.wide[:, [i]], wide.labels[:, [j]], wide.known[:, [j]], wide.valid).item()
            for j, i in enumerate(at)
        )
        assert got[name].item() == pytest.approx((a + b + minor * c) / (2 + minor), abs=1e-5)


def test_every_sample_counts_alike_however_much_of_it_is_known(generator):
    """One sample with all targets, one with a single target: each has half of the say."""
    known = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    batch, logits = batch_of(generator, ("microaneurysm", "drusen"), (), known), logits_of(generator)
    got = compute_loss(logits, batch, LossWeights(0.0, 1.0, 0.0, 0.0))["cross_entropy"].item()
    at, plane = [FINE.index(t) for t in batch.fine.targets], batch.fine
    single = [
        cross_entropy(logits.fine[i : i + 1, at], *(x[i : i + 1] for x in (plane.labels, plane.known, plane.valid)))
        for i in range(2)
    ]
    assert got == pytest.approx(sum(x.item() for x in single) / 2, abs=1e-5)
