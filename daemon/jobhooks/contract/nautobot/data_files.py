"""Reading data files that lie beside a receiver's module."""

import importlib
import inspect
import json
from pathlib import Path
from typing import Any


def load_json(receiver: type[object], file_name: str) -> Any:
    """Read a JSON file of the folder that the receiver's module is in."""
    return json.loads(_path(receiver, file_name).read_text(encoding="utf-8"))


def load_yaml(receiver: type[object], file_name: str) -> Any:
    """The same for YAML, if PyYAML is installed.

    Raises:
        ModuleNotFoundError: it is not.
    """
    path = _path(receiver, file_name)
    try:
        yaml: Any = importlib.import_module("yaml")
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            f"load_yaml({file_name!r}) needs PyYAML, which jobhooks does not install: pip install PyYAML", name="yaml"
        ) from exc
    with path.open(encoding="utf-8") as file:
        return yaml.safe_load(file)


def _path(receiver: type[object], file_name: str) -> Path:
    return Path(inspect.getfile(receiver)).parent / file_name
