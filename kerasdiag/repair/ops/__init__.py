"""The augmentations of ImageDataGenerator, one file each.

An op draws parameters from uniform numbers, under the names that Keras' ``get_random_transform``
gives them, and turns parameters into what the kernels take. Drawing and applying are apart, so
that Keras' own draws can be applied by us, and compared.
"""

from __future__ import annotations

# Which of a row's uniform numbers belongs to which draw, in Keras' order. Never renumber: it would
# change every seeded augmentation.
ROTATION, ROW_SHIFT, ROW_SHIFT_SIGN, COLUMN_SHIFT, COLUMN_SHIFT_SIGN = 0, 1, 2, 3, 4
SHEAR, ROW_ZOOM, COLUMN_ZOOM, FLIP_COLUMNS, FLIP_ROWS = 5, 6, 7, 8, 9
CHANNEL_SHIFT, BRIGHTNESS = 10, 11
