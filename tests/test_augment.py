"""Augmentations: each by properties that a wrong one breaks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import nnspec
from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Source, Span
from nnspec.elaborate.augmentation import AUGMENTATIONS, MOVES, Augmentation
from nnspec.train.augment import CHUNK, STAGES, augmented, moved, noisy

RANDOM = np.random.default_rng(0).random((50, 2, 9, 8), np.float32)


def stage(kind: str, *amounts: float) -> Augmentation:
    return Augmentation("image", kind, amounts, Span(Source("s.nn", kind), 0, len(kind)))


def change(images: Array, *stages: tuple[Any, ...], random: Any = None) -> Array:
    return moved([images], [stage(*s) for s in stages], random or np.random.default_rng(0))[0]


class Highest:
    """A generator that always draws the largest number."""

    def uniform(self, low: float, high: float, shape: Any) -> Array:
        return np.full(shape, high)

    def integers(self, low: int, high: int, shape: Any, endpoint: bool = False) -> Array:
        return np.full(shape, high if endpoint else high - 1)


def dot(row: int, column: int, size: int = 15) -> Array:
    image = np.zeros((1, 1, size, size), np.float32)
    image[0, 0, row, column] = 1
    return image


def centre_of_mass(image: Array) -> tuple[float, float]:
    rows, columns = np.indices(image.shape[2:])
    return float((image[0, 0] * rows).sum() / image.sum()), float((image[0, 0] * columns).sum() / image.sum())


@pytest.mark.parametrize("degrees", [10, 37, 90, 180])
def test_a_rotation_takes_a_pixel_where_trigonometry_says(degrees: float) -> None:
    # 5 to the right and 1 above the centre (7, 7), turned counterclockwise.
    angle = np.radians(degrees)
    right, up = 5 * np.cos(angle) - np.sin(angle), 5 * np.sin(angle) + np.cos(angle)
    y, x = centre_of_mass(change(dot(6, 12), ("rotate", degrees), random=Highest()))
    assert abs(y - (7 - up)) < 0.2 and abs(x - (7 + right)) < 0.2


def test_a_right_angle_is_exact() -> None:
    image = RANDOM[:1, :, :8]
    assert np.allclose(change(image, ("rotate", 90), random=Highest()), np.rot90(image, axes=(2, 3)), atol=1e-5)


def test_rotations_keep_the_centre_and_the_mean_and_stay_within_their_angle() -> None:
    disc = np.hypot(*(np.indices((15, 15)) - 7)) < 6
    images = np.broadcast_to(RANDOM[:1, :1, :1, :1] + disc.astype(np.float32), (300, 1, 15, 15)) * disc
    turned = change(images, ("rotate", 30))
    assert np.allclose(turned[:, 0, 7, 7], images[:, 0, 7, 7], atol=1e-5)
    assert np.allclose(turned.mean((1, 2, 3)), images.mean(), rtol=0.01)
    spread = change(np.repeat(dot(7, 13), 500, 0), ("rotate", 30)).max(0)[0]
    away = np.degrees(np.arctan2(*np.abs(np.argwhere(spread > 0.3) - 7).T))
    assert 25 < away.max() < 36


def test_a_scale_moves_pixels_from_the_centre_by_its_factor() -> None:
    y, x = centre_of_mass(change(dot(7, 11), ("scale", 0.5), random=Highest()))
    assert (y, x) == pytest.approx((7, 7 + 1.5 * 4), abs=0.1)
    areas = change(np.pad(np.ones((500, 1, 8, 8)), ((0, 0), (0, 0), (8, 8), (8, 8))), ("scale", 0.25)).sum((1, 2, 3)) / 64
    assert 0.75**2 * 0.98 < areas.min() < 0.65 and 1.48 < areas.max() < 1.25**2 * 1.02


@pytest.mark.parametrize("kind", ["shift", "crop"])
def test_a_shift_is_by_whole_pixels_with_zeros_filling_in(kind: str) -> None:
    shifted = change(np.ones((200, 1, 6, 6), np.float32), (kind, 2))
    assert set(np.unique(shifted)) == {0, 1}
    assert set(shifted.sum((1, 2, 3))) == {16, 20, 24, 25, 30, 36}
    assert np.array_equal(change(dot(7, 7), (kind, 3), random=Highest()), dot(10, 10))


def test_half_of_the_images_are_flipped_and_twice_is_the_same_again() -> None:
    flipped = change(RANDOM, ("flip",))
    mirrored = [np.array_equal(a, b[:, :, ::-1]) for a, b in zip(flipped, RANDOM, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(flipped, RANDOM, strict=True)]
    assert 15 < sum(mirrored) < 35 and sum(mirrored) + sum(same) == 50
    assert np.array_equal(change(flipped, ("flip",)), RANDOM)


def test_elastic_of_strength_0_changes_nothing() -> None:
    assert np.array_equal(change(RANDOM, ("elastic", 0, 4)), RANDOM)


def test_elastic_displaces_neighbours_alike_and_as_far_as_the_smoothed_field() -> None:
    # Images that are their own coordinates show where each pixel came from.
    rows, columns = np.indices((40, 40), dtype=np.float64)
    images = np.broadcast_to(np.stack([rows, columns]), (50, 2, 40, 40))
    inner = (slice(None), slice(None), slice(12, 28), slice(12, 28))
    away = (change(images, ("elastic", 30, 4)) - images)[inner]
    # Uniform in -1..1 has variance 1/3; the Gaussian keeps 1 / (4 pi sigma^2) of it.
    assert away.std() == pytest.approx(30 / np.sqrt(3 * 4 * np.pi * 16), rel=0.1)
    assert abs(np.corrcoef(away[:, 0].ravel(), away[:, 1].ravel())[0, 1]) < 0.1
    step = np.diff(away, axis=3)
    assert step.std() == pytest.approx(away.std() / (4 * np.sqrt(2)), rel=0.1)


def test_noise_has_its_deviation_and_any_shape() -> None:
    values = noisy(np.zeros((1000, 50), np.float32), [stage("noise", 0.3)], np.random.default_rng(0))
    assert values.dtype == np.float32
    assert values.std() == pytest.approx(0.3, rel=0.02) and abs(values.mean()) < 0.01


def test_stages_follow_one_another_in_the_order_written() -> None:
    first = change(dot(7, 11), ("rotate", 90), ("shift", 3), random=Highest())
    second = change(dot(7, 11), ("shift", 3), ("rotate", 90), random=Highest())
    assert centre_of_mass(first) == pytest.approx((6, 10), abs=1e-4)
    assert centre_of_mass(second) == pytest.approx((0, 10), abs=1e-4)


def test_one_line_samples_once_what_two_lines_sample_twice() -> None:
    there_and_back = [("rotate", 45), ("rotate", 45)]
    once = change(RANDOM, *there_and_back, random=Highest())
    twice = change(change(RANDOM, ("rotate", 45), random=Highest()), ("rotate", 45), random=Highest())
    exact = change(RANDOM, ("rotate", 90), random=Highest())
    assert np.allclose(once, exact, atol=1e-5) and not np.allclose(twice, exact, atol=1e-2)


ALL: list[tuple[Any, ...]] = [("rotate", 15), ("scale", 0.1), ("elastic", 20, 3), ("shift", 1), ("flip",), ("crop", 1)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_generator_gives_the_same_images_in_the_type_they_have(dtype: Any) -> None:
    images = RANDOM.astype(dtype)
    one, two, other = (change(images, *ALL, random=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.dtype == dtype and one.shape == images.shape
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_more_images_than_are_moved_at_once_all_move() -> None:
    images = np.ones((2 * CHUNK // 16 + 1, 1, 4, 4), np.float32)
    turned = change(images, ("rotate", 45))
    assert (turned[:, 0, 0, 0] < 1).mean() > 0.99 and np.allclose(turned[:, 0, 1:3, 1:3], 1, atol=1e-5)


def test_moves_around_noise_stay_in_their_order() -> None:
    training: Any = SimpleNamespace(augment=(stage("shift", 2), stage("noise", 0.1), stage("flip")))
    random, expected = np.random.default_rng(3), np.random.default_rng(3)
    found = augmented({"image": RANDOM, "y": RANDOM}, training, random)
    step = noisy(change(RANDOM, ("shift", 2), random=expected), [stage("noise", 0.1)], expected)
    assert np.array_equal(found["image"], change(step, ("flip",), random=expected)) and found["y"] is RANDOM


@pytest.mark.parametrize("stages", [
    [("flip",)], [("shift", 2), ("flip",)], [("rotate", 180)], [("scale", 0.4), ("rotate", 30)], [("elastic", 8, 3), ("shift", 1)],
], ids=str)  # fmt: skip
def test_what_lies_on_an_image_moves_as_it_does(stages: list[tuple[Any, ...]]) -> None:
    classes = (RANDOM[:, 0] * 5).astype(np.int64) + 1
    fields = [RANDOM, RANDOM[:, 1], RANDOM[:, :1], classes, classes[:, None] > 2]
    image, plain, one, labels, truths = moved(fields, [stage(*s) for s in stages], np.random.default_rng(0))
    np.testing.assert_array_equal(image, change(RANDOM, *stages))
    np.testing.assert_array_equal(plain, image[:, 1])
    np.testing.assert_array_equal(one, image[:, :1])
    assert labels.dtype == np.int64 and set(labels.flat) - {0} == {*range(1, 6)} and truths.dtype == bool
    np.testing.assert_array_equal(truths[:, 0], labels > 2)


def test_a_class_is_that_of_the_pixel_that_scipy_finds_nearest() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    labels = np.random.default_rng(1).integers(1, 9, (1, 12, 12))
    _, found = moved([np.zeros((1, 1, 12, 12), np.float32), labels], [stage("rotate", 37)], Highest())  # type: ignore[arg-type]
    np.testing.assert_array_equal(found[0], ndimage.rotate(labels[0], 37, reshape=False, order=0, mode="grid-constant"))


def test_every_augmentation_is_done() -> None:
    assert set(STAGES) == set(MOVES) == set(AUGMENTATIONS) - {"noise"}


# ---- in a spec

MODEL = """
model M {
  input image: [1, 4, 4]  input v: [4]  input c: int[1, 4, 4]  target mask: class(3)[4, 4]  target wide: [1, 4, 5]
  output s = sum(image) + sum(v) + sum(c)
  loss mse(s, sum(1 * mask) + sum(wide))
}
"""


def diagnostics(augment: str) -> tuple[Diagnostic, ...]:
    return Compilation(Source("s.nn", f"{MODEL} train {{ epochs 1 optimizer sgd(lr = 0.1) augment {augment} }}"), {}).diagnostics


@pytest.mark.parametrize("augment", [
    "image -> rotate(degrees = 30 / 2) -> elastic(34, sigma = 4) -> flip", "v -> noise(0.1)", "image -> flip augment v -> noise(1)",
    "image, c, mask -> flip -> shift(1) augment image -> noise(1)",
])  # fmt: skip
def test_right_augmentations_have_no_mistakes(augment: str) -> None:
    assert not diagnostics(augment)


@pytest.mark.parametrize(("augment", "code"), [
    ("v -> rotate(10)", "E202"),
    ("c -> shift(1)", "E202"),
    ("image -> rotat(10)", "E106"),
    ("image", "E106"),
    ("image -> rotate", "E103"),
    ("image -> elastic(34)", "E103"),
    ("image -> elastic(34, 4, 1)", "E104"),
    ("image -> elastic(34, alpha = 3)", "E104"),
    ("image -> flip(0.5)", "E104"),
    ("image -> scale(factor = 0.1)", "E102"),
    ("image -> scale(1)", "E106"),
    ("image -> rotate(-5)", "E106"),
    ("image -> shift(1.5)", "E106"),
    ("image -> noise(0)", "E106"),
    ("mask -> flip", "E101"),
    ("image, imag -> flip", "E101"),
    ("image, wide -> flip", "E202"),
    ("image, v -> flip", "E202"),
    ("image, mask, mask -> flip", "E106"),
    ("image, image -> flip", "E106"),
    ("image, mask -> noise(1)", "E106"),
    ("image, mask", "E106"),
    ("image, 3 -> flip", "E106"),
    ("image, 2 * mask -> flip", "E106"),
    ("image -> flip, mask", "E104"),
])  # fmt: skip
def test_a_wrong_augmentation_is_one_error(augment: str, code: str) -> None:
    assert [d.code for d in diagnostics(augment)] == [code]


@pytest.mark.parametrize(
    ("augment", "marked"),
    [
        ("imag -> shift(1) -> rotate(3) -> flip", ["imag"]),
        ("image, msk -> shift(1) -> flip", ["msk"]),
        ("image, mask, mask -> shift(1) -> flip", ["mask"]),
        ("imag -> shift(1) augment v -> shift(1) -> flip", ["imag", "shift(1)", "flip"]),
    ],
)
def test_a_name_that_several_stages_change_is_one_error_where_it_stands(augment: str, marked: list[str]) -> None:
    found = diagnostics(augment)
    assert [d.span.text for d in found if d.span] == marked
    assert all(d.fix for d in found if d.code == "E101")


BESIDE = " train { epochs 1 optimizer sgd(lr = 0.1) data { image = [[[[1]]]], wrong = [1] } augment imag -> shift(1) -> flip }"


@pytest.mark.parametrize(
    ("model", "marked"),
    [
        (MODEL.replace("output", "h = foo + 1 output"), ["foo", "[1]", "imag"]),
        (MODEL.replace("input image", "input again: [1.5] input image"), ["1.5"]),
        (MODEL.replace("output", "h = 1 + + 2 output"), ["+"]),
    ],
)
def test_inputs_are_asked_for_beside_mistakes_of_the_model_if_all_are_known(model: str, marked: list[str]) -> None:
    found = Compilation(Source("s.nn", model + BESIDE), {}).diagnostics
    assert [d.span.text for d in found if d.span] == marked


def test_augmentation_is_applied_in_training_only() -> None:
    spec = """
    model M { input image: [1, 4, 4]  output s = sum(image)  loss s }
    train { data { image = [[[[1,1,1,1],[1,1,1,1],[1,1,1,1],[1,1,1,1]]]] }  epochs 20  optimizer sgd(lr = 0)  augment image -> shift(2) }
    """
    losses = {e.metrics["loss"] for e in nnspec.loads(spec).fit().epochs}
    assert len(losses) > 3 and max(losses) <= 16


def test_a_target_is_moved_with_its_image_and_only_where_it_is_named() -> None:
    spec = """
    model M {
      input  image: [1, 6, 6]
      target mask: class(9)[6, 6]
      state  apart: [6, 6] = 0
      if training { apart <- apart + batch_mean(abs(image[0] - mask)) }
      output s = sum(image)
      loss   mse(s, sum(1 * mask))
    }
    train { epochs 9  batch 1  optimizer sgd(lr = 0)  augment image, mask -> shift(3) -> flip  seed 1 }
    """
    mask = np.random.default_rng(0).integers(0, 9, (4, 6, 6))
    data = {"image": mask[:, None].astype("float32"), "mask": mask}
    together, alone = nnspec.loads(spec), nnspec.loads(spec.replace("image, mask", "image"))
    for net in (together, alone):
        net.fit(data, progress=nnspec.Progress(on_warning=lambda _: None))
    assert not together.states["apart"].any() and alone.states["apart"].any()
