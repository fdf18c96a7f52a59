"""One file per stage, each with `run(params, context) -> report`."""
