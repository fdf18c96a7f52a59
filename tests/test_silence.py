import threading
import warnings

import pytest

from lowtide.silence import without_warnings


def test_the_silence_of_one_thread_outlasts_that_of_another() -> None:
    began, may_end = threading.Event(), threading.Event()

    def another() -> None:
        with without_warnings():
            began.set()
            assert may_end.wait(10)

    thread = threading.Thread(target=another)
    thread.start()
    assert began.wait(10)
    with without_warnings():
        may_end.set()
        thread.join()
        warnings.warn("not heard", stacklevel=1)
    with pytest.raises(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


def test_an_error_ends_the_silence() -> None:
    with pytest.raises(ValueError, match="theirs"), without_warnings():
        raise ValueError("theirs")
    with pytest.raises(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)
