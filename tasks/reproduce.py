"""`python tasks/reproduce.py STAGE`: what `dvc repro --single-item STAGE` does, without its advice.

DVC's own words are for whoever types its commands: eight times "git add dvc.lock" hides what the
stages say. Its errors are printed.
"""

import logging
import sys

from dvc.exceptions import DvcException
from dvc.repo import Repo


def main(stage: str) -> int:
    logging.getLogger("dvc").setLevel(logging.WARNING)
    try:
        with Repo() as repo:
            repo.reproduce(stage, single_item=True)
    except DvcException as error:
        print(f"dvc: {error}: {error.__cause__ or ''}".rstrip(": "), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
