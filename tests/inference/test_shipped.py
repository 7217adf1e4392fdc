"""The model that ships: what a newcomer's first command uses."""

import numpy as np

from glcic_jax.inference.completer import Completer
from glcic_jax.models.folder import read_card
from glcic_jax.models.shipped import licence_note, shipped_model
from tests.support.pictures import photograph


def test_it_is_small_and_says_what_it_is():
    folder = shipped_model()
    assert sum(file.stat().st_size for file in folder.iterdir()) < 15e6
    card = read_card(folder)
    assert card.completing.blend, "its colours gain by it (docs/results.md)"
    about = card.published
    assert all((about.data, about.steps, about.cost, about.scores, about.limits, about.licence_note))
    assert about.licence_note == card.licences.weights and about.licence_note in licence_note(folder)
    ours, *rivals = about.scores["in_hole"].values()
    classical = [about.scores["in_hole"][name] for name in ("telea", "navier-stokes", "patchmatch", "mean")]
    assert len(rivals) >= len(classical)
    assert all(ours["l1"][0] < one["l1"][0] and ours["psnr"][0] > one["psnr"][0] for one in classical)


def test_it_continues_a_sky():
    """Two plain halves: what it paints is nearer to them than the mean colour is."""
    image = np.empty((128, 128, 3), np.uint8)
    image[:64], image[64:] = (110, 160, 220), (70, 90, 60)
    image = (0.9 * image + 0.1 * photograph(0, 128, 128)).astype(np.uint8)
    mask = np.zeros((128, 128, 1), np.uint8)
    mask[44:84, 40:88] = 1
    completed = Completer(shipped_model())(image, mask, blend=True)
    hole = mask[..., 0] > 0
    np.testing.assert_array_equal(completed[~hole], image[~hole])
    mean = image[~hole].mean(axis=0)
    assert np.abs(completed[hole] - image[hole].astype(float)).mean() < 0.5 * np.abs(mean - image[hole]).mean()
