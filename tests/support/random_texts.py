"""Random texts for tests with Hypothesis."""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy


def texts(max_size: int | None = None) -> SearchStrategy[str]:
    """The same as ``st.text()``, which first takes a second to find out what UTF-8 can encode, in each process."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=max_size)
