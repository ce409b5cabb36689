"""What is known about releases of TensorFlow, Keras and their companions: data with a source for each entry.

``data/versions.json`` holds tables of entries. Each has an ``id``, a ``source`` (where anybody can read it), the day
on which it was looked up (``as_of``), and how it is known (``known``): "read" in code or documents, "metadata" of a
release, "measured" by running it, or "reported" in an issue by somebody, which nobody has proven.
"""

from __future__ import annotations

import functools
import json
import pkgutil
from collections.abc import Mapping
from typing import Any

from kerasdiag.compat import version_matches

Entry = Mapping[str, Any]  # Any: a column has text, a list of texts, or a table
KNOWN = ("read", "metadata", "measured", "reported")


@functools.lru_cache(maxsize=1)
def tables() -> Mapping[str, tuple[Entry, ...]]:
    """Return all tables by name."""
    text = pkgutil.get_data("kerasdiag", "data/versions.json")
    assert text is not None, "the file is part of the package"
    return {name: tuple(entries) for name, entries in json.loads(text)["tables"].items()}


def entry(name: str) -> Entry:
    """Return the entry of this id.

    Raises:
        KeyError: There is none: a check asks for a fact that nobody has written down.
    """
    for entries in tables().values():
        for one in entries:
            if one["id"] == name:
                return one
    raise KeyError(name)


def row_of(table: str, version: str) -> Entry | None:
    """Return the first entry of a table whose ``versions`` a version lies in, None where none says anything."""
    for one in tables()[table]:
        if version_matches(version, one["versions"]):
            return one
    return None
