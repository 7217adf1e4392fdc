"""Large holes: a lower scale first."""

import cv2
import numpy as np

from glcic_jax.inference.coarse import complete_coarse
from glcic_jax.inference.completer import Completer
from glcic_jax.inference.masks import thickness_px
from glcic_jax.models.card import Card, Trained
from tests.support.pictures import photograph


def test_the_network_never_sees_a_hole_thicker_than_the_trained_ones():
    image = photograph(0, 300, 400).astype(np.float32) / 255
    hole = np.zeros((300, 400), bool)
    hole[80:220, 100:280] = True
    seen = []

    def paint(image, hole):
        """Smooth surroundings, as a good network would find them."""
        seen.append((hole.shape, thickness_px(hole)))
        levels = (image * 255).round().astype(np.uint8)
        return np.where(hole[..., None], cv2.inpaint(levels, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA) / 255, image)

    found = complete_coarse(paint, image, hole, 40)
    assert max(thickness for _, thickness in seen) <= 40
    assert [shape for shape, _ in seen] == [(75, 100), (150, 200), (150, 200), (300, 400), (300, 400)]
    np.testing.assert_array_equal(found[~hole], image[~hole])
    assert np.abs(found - image)[hole].mean() < 0.1


def test_pictures_too_small_to_halve_are_painted_as_they_are():
    image, hole = np.zeros((20, 20, 3), np.float32), np.ones((20, 20), bool)
    hole[0, 0] = False
    found = complete_coarse(lambda image, hole: image + 0.5, image, hole, 4)
    np.testing.assert_array_equal(found, 0.5)


def test_by_itself_where_the_card_says_so(network, variables):
    image, mask = photograph(1, 90, 120), np.zeros((90, 120, 1), np.uint8)
    mask[20:60, 30:80] = 1
    known = np.broadcast_to(mask == 0, image.shape)
    small, large = (
        Completer((network, variables, Card(trained=Trained(crop_px=128, hole_px=(8, size))))) for size in (20, 64)
    )
    direct = large(image, mask)
    np.testing.assert_array_equal(small(image, mask, coarse=False), direct)
    coarse = small(image, mask)
    assert (coarse != direct)[~known].mean() > 0.5
    blended = small(image, mask, blend=True)
    assert (coarse != blended)[~known].mean() > 0.5
    for found in (coarse, direct, blended):
        np.testing.assert_array_equal(found[known], image[known])
