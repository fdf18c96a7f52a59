"""A wrong params.yaml is refused with the key that is wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lowtide.errors import ParamsError
from lowtide.params import load_params


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("train", {"epoch": 3}, r"train\.epoch: no such key; did you mean epochs\?$"),
        ("train", {"wings": 3}, r"train\.wings: no such key$"),
        ("controller", {"batch_sizes": 32}, r"batch_sizes: Input should be a list \(found 32\)$"),
        ("objective", {"beta": float("inf")}, r"objective\.beta: Input should be a finite number"),
        ("budgets", {"inference_energy_j_max": 0}, r"inference_energy_j_max: .* greater than 0"),
        ("train", {"epochs": "many"}, r"train.epochs: .*found 'many'"),
        ("data", {"source": "csv"}, "data.source"),
        ("carbon", {"replay_start": "2022-04-14T03:00:00"}, "needs a time zone"),
        ("budgets", {"accuracy_min": 95}, "budgets.accuracy_min"),
        ("objective", {"alpha": -1.0}, r"objective\.alpha: .*found -1\.0"),
        ("objective", {"beta": -0.1}, r"objective\.beta: .*found -0\.1"),
        ("objective", {"gamma": -0.1}, r"objective\.gamma: .*found -0\.1"),
        ("objective", {"alpha": 0.0, "beta": 0.0, "gamma": 0.0}, "objective: .*alpha 0 leaves"),
        ("objective", {"alpha": 0.0}, "objective: .*training would learn nothing; set it to 1"),
        ("controller", {"batch_sizes": [0]}, r"controller\.batch_sizes\.0"),
        ("controller", {"energy_share_min": 0.0}, r"controller\.energy_share_min"),
        ("train", {"schedule": "cosine"}, r"train\.schedule: .*found 'cosine'"),
        ("prune", {"round_to": 0}, r"prune\.round_to: Input should be 'auto', or greater .* 0\)$"),
        ("search", {"space": {"a.b": 3}}, r"space\.a\.b: .* a valid dictionary, or a list \("),
        ("search", {"space": {1: 3}}, r"space\.1\.\[key\]: Input should be a valid string \("),
        ("search", {"space": {"a": {"low": 1}}}, r"search\.space\.a\.high: Field required$"),
        ("search", {"space": {"a": [[1]]}}, r"search\.space\.a\.0: .*or a valid string \("),
    ],
)
def test_names_the_key(
    write_params: Callable[..., Path], section: str, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ParamsError, match=message) as raised:
        load_params(write_params(**{section: change}))
    assert "Value error" not in str(raised.value)


def test_a_missing_key_is_named(write_params: Callable[..., Path]) -> None:
    path = write_params()
    path.write_text(path.read_text().replace("  accuracy_min: ", "  #"))
    with pytest.raises(ParamsError, match=r"budgets\.accuracy_min: Field required"):
        load_params(path)


def test_a_misspelt_key_is_named_with_its_right_name(write_params: Callable[..., Path]) -> None:
    path = write_params()
    path.write_text(path.read_text().replace("accuracy_min", "acuracy_min"))
    with pytest.raises(ParamsError, match=r"budgets\.acuracy_min: .* did you mean accuracy_min"):
        load_params(path)


def test_a_missing_or_broken_file(checkout: Path) -> None:
    with pytest.raises(ParamsError, match=r"none\.yaml cannot be read"):
        load_params(checkout / "none.yaml")
    (checkout / "broken.yaml").write_text("a: 1\nb: {c: [1}\n")
    with pytest.raises(
        ParamsError, match=r"not valid YAML: line 2, column 10: expected ',' or ']'"
    ):
        load_params(checkout / "broken.yaml")
    (checkout / "empty.yaml").write_text("# nothing yet\n")
    with pytest.raises(ParamsError, match=r"empty\.yaml: it is empty, and not sections like seed:"):
        load_params(checkout / "empty.yaml")
    (checkout / "list.yaml").write_text("[1]")
    with pytest.raises(ParamsError, match=r"list\.yaml: it holds \[1\], and not sections"):
        load_params(checkout / "list.yaml")
