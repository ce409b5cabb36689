"""How each Keras shows its wait.

``probe.py`` sits beside Keras' callback container and takes the place of ``train_function`` for each call. What it does
there depends on who pulls the batch: ``tensorflow_step.py``, ``jax_iterator.py`` and ``gap.py`` are the three ways.
"""
