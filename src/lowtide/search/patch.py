"""The chosen configuration as a patch of params.yaml, and how it gets there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from lowtide.artifacts import REPORTS, atomic, write_text
from lowtide.errors import UsageError
from lowtide.params import load_params

PATCH = REPORTS / "search_params.yaml"
Sections = Mapping[str, Mapping[str, Any]]


def write_patch(sections: Sections) -> None:
    content = {section: dict(values) for section, values in sections.items()}
    write_text(PATCH, yaml.safe_dump(content, sort_keys=False))


def read_patch() -> dict[str, dict[str, Any]]:
    """UsageError where no search has chosen anything."""
    if not PATCH.exists():
        raise UsageError(f"there is no {PATCH}: run `lowtide search --budget-g G` first")
    found: dict[str, dict[str, Any]] = yaml.safe_load(PATCH.read_text(encoding="utf-8"))
    return found


def apply_patch(params_file: Path, sections: Sections) -> None:
    """Change the values in the file; comments, order and the rest stay as they are.

    Raises:
        ParamsError: the file, or what it would become, is not valid; it is untouched.
    """
    load_params(params_file)
    parser = _parser()
    content = parser.load(params_file)
    for section, values in sections.items():
        for key, value in values.items():
            content[section][key] = value
    with atomic(params_file) as temporary:
        with temporary.open("w", encoding="utf-8") as file:
            parser.dump(content, file)
        load_params(temporary)


def _parser() -> YAML:
    parser = YAML()
    parser.preserve_quotes = True
    parser.width = 1000
    parser.representer.add_representer(type(None), _null)
    return parser


def _null(representer: RoundTripRepresenter, _: None) -> Any:
    """As it is written in params.yaml, where the parser would leave nothing."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
