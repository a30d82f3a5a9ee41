"""Each group's own measure: that a function does what its name says, at the strength stated."""

import cv2
import numpy as np
import pytest
from skimage import data
from skimage.filters import threshold_multiotsu

from datamodules.distortions import CLASSES, FUNCTIONS, SEVERITIES, distort, noise
from datamodules.distortions.compose import compose
from datamodules.distortions.compression import JPEG2000_PSNR
from datamodules.distortions.quantization import HISTOGRAM_LEVELS, MEDIAN_COLORS, OTSU_LEVELS, otsu_classes
from datamodules.distortions.saturation import STRENGTHEN_HSV, WEAKEN
from datamodules.distortions.severity import pixel_scale
from datamodules.distortions.tone import BRIGHTEN_GAMMA

GREY = np.full((256, 256, 3), 128, dtype=np.uint8)


def distorted(image, function, severity, seed=0):
    return distort(image, function, severity, np.random.default_rng(seed))


def hsv(image):
    """Float HSV: S and V in 0..1."""
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)


def by_severity(measure, image, function):
    return np.array([measure(distorted(image, function, severity)) for severity in SEVERITIES])


def psnr(one, other):
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


@pytest.fixture
def photo(photos):
    return photos[0]


@pytest.fixture(scope="module")
def patches():
    """64x64: the size of the embedded default's patches."""
    crops = data.astronaut()[0:300, 100:400], data.coffee()[50:350, 100:400], data.chelsea()[:, 70:370]
    return [cv2.resize(crop, (64, 64), interpolation=cv2.INTER_AREA) for crop in crops]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_severities_of_a_patch_stay_apart_and_the_first_is_slight(function, patches):
    """On each patch, not only on average; the floor of `pixel_scale` is what keeps pixel-sized kernels apart."""
    curves = np.array([[psnr(p, distorted(p, function, s)) for s in SEVERITIES] for p in patches])
    assert (np.diff(curves, axis=1) < 0).all(), curves.round(1)
    assert curves[:, 0].mean() > 20


@pytest.mark.parametrize("function", CLASSES["blur"])
def test_blur_lowers_sharpness_and_keeps_brightness(function, photos):
    for photo in photos:
        if function != "jitter":  # which trades detail for grain
            variance = by_severity(lambda image: cv2.Laplacian(image, cv2.CV_32F).var(), photo, function)
            assert (np.diff(variance[[0, 2, 4]]) < 0).all()
        # Magnifying about the centre moves some border out of the picture, which changes the mean.
        assert abs(distorted(photo, function, 5).mean() - photo.mean()) < (6 if function == "zoom_blur" else 2)


def test_lens_blur_of_a_point_is_a_disc():
    point = np.zeros((512, 512, 3), np.uint8)
    point[254:259, 254:259] = 255
    lit = distorted(point, "lens_blur", 3)[..., 0] > 0
    y, x = np.nonzero(lit)
    assert np.hypot(x - 256, y - 256).max() < 5.8 + 4 and lit[256, 262] and lit[262, 256]


@pytest.mark.parametrize(
    ("function", "stated"),
    [("gaussian_noise_rgb", noise.RGB_SIGMA), ("correlated_noise", noise.CORRELATED_SIGMA)],
)
def test_noise_has_the_standard_deviation_stated(function, stated):
    for severity in (1, 2, 3):  # stronger ones are clipped on grey
        assert distorted(GREY, function, severity).std() == pytest.approx(stated[severity - 1], rel=0.05)


def test_noise_in_ycrcb_is_half_as_strong_in_luma():
    deviations = cv2.cvtColor(distorted(GREY, "gaussian_noise_ycrcb", 2), cv2.COLOR_RGB2YCrCb).std(axis=(0, 1))
    assert deviations == pytest.approx([7, 14, 14], rel=0.05)


def test_correlated_noise_is_shared_by_neighbours():
    def correlation(image):
        channel = image[..., 0].astype(float)
        return np.corrcoef(channel[:, 1:].ravel(), channel[:, :-1].ravel())[0, 1]

    assert correlation(distorted(GREY, "correlated_noise", 3)) > 0.6
    assert abs(correlation(distorted(GREY, "gaussian_noise_rgb", 3))) < 0.05


def test_poisson_noise_has_the_variance_of_its_photon_count():
    for severity, photons in zip((1, 2, 3), noise.PHOTONS_AT_WHITE, strict=False):
        expected = 255 * np.sqrt(photons * 128 / 255) / photons
        assert distorted(GREY, "poisson_noise", severity).std() == pytest.approx(expected, rel=0.05)


def test_speckle_spares_black_and_impulse_noise_is_salt_and_pepper():
    assert distorted(np.zeros_like(GREY), "speckle", 5).max() == 0
    changed = distorted(GREY, "impulse_noise", 3)
    assert set(np.unique(changed)) == {0, 128, 255}
    assert (changed != 128).mean() == pytest.approx(noise.IMPULSE_SHARE[2], rel=0.05)


def test_jpeg2000_meets_its_psnr(photos, patches):
    for image in (*photos, *patches):
        for severity, aimed in zip(SEVERITIES, JPEG2000_PSNR, strict=True):
            error = np.mean((distorted(image, "jpeg2000", severity).astype(float) - image) ** 2)
            assert 10 * np.log10(255**2 / error) == pytest.approx(aimed, abs=0.8)


@pytest.mark.parametrize("function", [*CLASSES["brighten"], *CLASSES["darken"]])
def test_brightness_moves_one_way(function, photos):
    for photo in photos:
        means = np.concatenate([[photo.mean()], by_severity(np.mean, photo, function)])
        steps = np.diff(means)
        assert (steps > 0).all() if function.startswith("brighten") else (steps < 0).all()


@pytest.mark.parametrize("function", ["brighten_gamma_hsv", "darken_gamma_hsv", "brighten_shift_hsv"])
def test_hsv_tone_keeps_hue_and_saturation(function, photo):
    before, after = hsv(photo), hsv(distorted(photo, function, 2))
    clear = (before[..., 1] > 0.1) & (before[..., 2] > 0.3) & (after[..., 2] > 0.3)  # where 8 bits resolve them
    assert np.abs(before - after)[clear][:, 1].max() < 0.03
    turn = np.abs(before - after)[clear][:, 0]
    assert np.minimum(turn, 360 - turn).mean() < 1.5


def test_gamma_acts_on_value(photo):
    value = hsv(photo)[..., 2] ** BRIGHTEN_GAMMA[1]
    assert np.abs(hsv(distorted(photo, "brighten_gamma_hsv", 2))[..., 2] - value).max() < 0.003


def test_black_brightens_to_grey_in_hsv():
    assert np.unique(distorted(np.zeros_like(GREY), "brighten_shift_hsv", 3)).tolist() == [76]


@pytest.mark.parametrize("function", [*CLASSES["contrast_strengthen"], *CLASSES["contrast_weaken"]])
def test_contrast_moves_one_way(function, photos):
    for photo in photos:
        steps = np.diff(np.concatenate([[photo.std()], by_severity(np.std, photo, function)]))
        assert (steps > 0).all() if "strengthen" in function else (steps < 0).all()


@pytest.mark.parametrize("function", [*CLASSES["saturate_strengthen"], *CLASSES["saturate_weaken"]])
def test_saturation_moves_one_way(function, photos):
    for photo in photos:
        colors = by_severity(lambda image: hsv(image)[..., 1].mean(), photo, function)
        steps = np.diff(np.concatenate([[hsv(photo)[..., 1].mean()], colors]))
        assert (steps > 0).all() if "strengthen" in function else (steps < 0).all()


@pytest.mark.parametrize(
    ("function", "factor"), [("saturate_strengthen_hsv", STRENGTHEN_HSV[1]), ("saturate_weaken_hsv", WEAKEN[1])]
)
def test_saturation_agrees_with_a_round_trip_through_float_hsv(function, factor, photo):
    expected = hsv(photo)
    expected[..., 1] = np.minimum(expected[..., 1] * factor, 1)
    expected = cv2.cvtColor(expected, cv2.COLOR_HSV2RGB) * 255
    assert np.abs(distorted(photo, function, 2) - expected).max() <= 1


def test_ycrcb_saturation_keeps_luma(photo):
    luma = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (photo, distorted(photo, "saturate_weaken_ycrcb", 5))]
    assert np.abs(luma[0].astype(int) - luma[1]).max() <= 1
    assert distorted(photo, "saturate_weaken_ycrcb", 5).std(axis=2).max() < 1  # grey


def test_oversharpening_overshoots_at_an_edge():
    edge = np.full((64, 64, 3), 90, np.uint8)
    edge[:, 32:] = 160
    ranges = by_severity(lambda image: np.ptp(image.astype(int)), edge, "oversharpen")
    assert ranges[0] > 70 and (np.diff(ranges) >= 0).all() and ranges[-1] == 255


def test_pixelate_makes_blocks_of_the_size_stated():
    ramp = np.repeat(np.linspace(0, 255, 512).astype(np.uint8)[None, :, None], 512, 0).repeat(3, 2)
    for severity, block in zip(SEVERITIES, (3.0, 4.6, 7.0, 11.0, 18.0), strict=True):
        row = distorted(ramp, "pixelate", severity)[0, :, 0]
        assert 1 + np.count_nonzero(np.diff(row)) == pytest.approx(512 / block, rel=0.02)


def test_quantization_leaves_the_levels_stated(photos):
    for photo in photos:
        for severity in SEVERITIES:
            for function, levels in (
                ("quantization_otsu", OTSU_LEVELS),
                ("quantization_histogram", HISTOGRAM_LEVELS),
            ):
                quantized = distorted(photo, function, severity)
                assert all(len(np.unique(quantized[..., c])) <= levels[severity - 1] for c in range(3))
            colors = distorted(photo, "quantization_median", severity).reshape(-1, 3)
            assert len(np.unique(colors, axis=0)) <= MEDIAN_COLORS[severity - 1]


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_otsu_is_at_least_as_good_as_scikit_image(levels, photos):
    """Its search bins the values first, so the thresholds themselves may differ by one."""
    for photo in photos:
        channel = photo[..., 1]

        def within(labels, channel=channel):
            return sum(float(channel[labels == k].var() * (labels == k).sum()) for k in range(levels))

        classes = otsu_classes(np.bincount(channel.ravel(), minlength=256), levels)
        assert sorted(np.unique(classes)) == list(range(levels)) and (np.diff(classes) >= 0).all()
        thresholds = threshold_multiotsu(channel, classes=levels)
        assert within(classes[channel]) <= within(np.digitize(channel, thresholds, right=True)) * (1 + 1e-9)


@pytest.mark.parametrize("num_steps", [1, 3])
def test_compose_takes_two_steps(num_steps, photo):
    with pytest.raises(ValueError, match=f"^compose takes two steps, got {num_steps}; use distort for one$"):
        compose(photo, [("speckle", 1), ("jpeg", 1), ("jpeg", 1)][:num_steps], np.random.default_rng(0))


def test_strengths_in_pixels_follow_the_short_side():
    sizes = {
        (512, 900): 1.0,
        (1024, 1024): 2.0,
        (384, 512): 0.75,
        (224, 300): 0.4375,
        (64, 64): 0.4375,
        (32, 90): 0.4375,
    }
    for shape, expected in sizes.items():
        assert pixel_scale(np.empty((*shape, 3))) == expected


def test_blur_looks_the_same_at_twice_the_size():
    large = data.astronaut()
    small = cv2.resize(large, (256, 256), interpolation=cv2.INTER_AREA)
    shrunk = cv2.resize(distorted(large, "gaussian_blur", 4), (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - distorted(small, "gaussian_blur", 4)).mean() < 1
