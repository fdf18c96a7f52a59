"""What holds for all commands."""

from importlib import metadata

from typer.testing import CliRunner

from lowtide.cli import app


def test_the_version_is_that_of_the_package() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"lowtide {metadata.version('lowtide')}\n")
