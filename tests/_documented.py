"""The code of the documentation, for tests of it that are no examples."""

import doctest
from functools import lru_cache
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


@lru_cache
def names_of(page, last):
    """What a page of docs/ has defined by the end of its example that defines ``last``."""
    names = {}
    for example in doctest.DocTestParser().get_examples((DOCS / page).read_text("utf-8")):
        if example.exc_msg is not None:  # shows what fails
            continue
        exec(compile(example.source, page, "exec"), names)
        if last in names:
            return names
    raise LookupError(f"docs/{page} does not define {last}.")
