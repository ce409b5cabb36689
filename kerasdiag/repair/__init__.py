"""The repair: a pixel store made once from the generator's files, and the tf.data pipeline that reads it.

``convert.py`` is ``autofix`` itself, ``build.py`` makes the dataset and its report. The rooms: ``conversion`` (files to shards), ``pixel_store`` (the
shards), ``plans`` (labels, order, options), ``ops`` and ``kernels`` (the augmentations), ``pipeline``
(draws, reading, the dataset), ``proof`` (the comparison with the generator, and its certificate).
"""
