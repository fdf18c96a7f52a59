"""What is said of errors that other libraries raise."""

from lowtide.errors import first_line


def test_the_first_line_of_a_silent_error_is_its_type() -> None:
    assert first_line(RuntimeError("one\ntwo")) == "one"
    assert first_line(RuntimeError()) == "RuntimeError"
