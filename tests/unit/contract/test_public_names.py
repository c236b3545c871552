"""The package offers the public names of the contract, and imports them on first use."""

import subprocess
import sys

import pytest

import jobhooks
from jobhooks.contract import public


def test_the_package_offers_the_public_names() -> None:
    for name in public.__all__:
        assert getattr(jobhooks, name) is getattr(public, name)
        assert name in dir(jobhooks)


def test_another_name_is_an_attribute_error() -> None:
    """As for any module: ``from jobhooks import Changed`` must be an ImportError."""
    with pytest.raises(AttributeError, match="Changed"):
        getattr(jobhooks, "Changed")  # noqa: B009 - pyright knows that it does not exist


@pytest.mark.parametrize(
    ("statement", "imported"), [("import jobhooks.cli", False), ("from jobhooks import *; JobHookReceiver", True)]
)
def test_the_contract_is_imported_on_first_use(statement: str, imported: bool) -> None:
    """A command that prints a line need not wait for it."""
    program = f"{statement}; import sys; print('jobhooks.contract.change' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout == f"{imported}\n"
