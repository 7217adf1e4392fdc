# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Complete your own photograph
#
# Give it a photograph and a mask, and it paints the hole. This takes a minute on any laptop.
#
# `pip install glcic-jax scikit-image matplotlib`, then run the cells one after the other. (As a notebook:
# `jupytext --to ipynb notebooks/complete_your_photograph.py`.)

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from glcic_jax.data.images import read_image
from glcic_jax.inference.completer import Completer
from glcic_jax.models.shipped import licence_note, shipped_model

print(licence_note(shipped_model()))

# %% [markdown]
# ## The photograph
#
# Put the path of yours here. Without one, we take a photograph that comes with scikit-image.

# %%
PHOTOGRAPH = None  # such as "holiday.jpg"

if PHOTOGRAPH is None:
    from skimage import data

    image = data.astronaut()[:256, 100:356]
else:
    image = read_image(Path(PHOTOGRAPH))
print(image.shape, image.dtype)

# %% [markdown]
# ## What is to go
#
# A mask is an array of the photograph's size with 1 in the hole. Here it is a rectangle; from a file,
# `read_mask(Path("mask.png"))` reads what is white. Cover a little more than the thing itself: what is left of its
# edge is continued into the hole.

# %%
y, x, height, width = 30, 20, 48, 40

mask = np.zeros((*image.shape[:2], 1), np.uint8)
mask[y : y + height, x : x + width] = 1

# %% [markdown]
# ## Completed
#
# The first call compiles, the next ones do not. `blend` matches colours to the surroundings; unless it is said, the
# model's own card decides.

# %%
completer = Completer(shipped_model())
plain = completer(image, mask, blend=False)
blended = completer(image, mask, blend=True)

known = mask[..., 0] == 0
assert np.array_equal(plain[known], image[known]) and np.array_equal(blended[known], image[known])

# %%
figure, axes = plt.subplots(1, 4, figsize=(14, 4))
titles = ("photograph", "hole", "completed", "blended")
for axis, title, picture in zip(axes, titles, (image, image * (1 - mask), plain, blended), strict=True):
    axis.imshow(picture)
    axis.set_title(title)
    axis.axis("off")
plt.show()

# %% [markdown]
# ## What it cost
#
# The network looks at windows around the hole alone, and the result is that of the whole photograph: the cost follows
# the hole. Move it, make it larger than the model was trained for (64 px), and see what changes: large holes are
# completed at a lower scale first.

# %%
large = np.zeros_like(mask)
large[60:180, 60:180] = 1
coarse_first, full_scale = completer(image, large, blend=True), completer(image, large, blend=True, coarse=False)

figure, axes = plt.subplots(1, 3, figsize=(11, 4))
titles = ("a hole of 120 px", "at a lower scale first", "at full scale")
for axis, title, picture in zip(axes, titles, (image * (1 - large), coarse_first, full_scale), strict=True):
    axis.imshow(picture)
    axis.set_title(title)
    axis.axis("off")
plt.show()
