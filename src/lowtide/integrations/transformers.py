"""For Hugging Face: `Trainer(..., callbacks=[LowtideCallback(deadline_hours=24)])`."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from lowtide.loops import Pace


class LowtideCallback(TrainerCallback):
    """Meters `train`, pauses it for clean power, and stops it where a budget is spent.

    Options as for `lowtide.Pace`. `energy_kwh` and `emissions_g` go into each log. Under several
    processes the first of each node meters the node, and the others wait for it.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self.pace: Pace | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        del control, kwargs
        if args.local_process_index == 0:
            self.pace = Pace(state.max_steps, **self._options).__enter__()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        del args, state, control, kwargs
        if self.pace is not None:
            self.pace.before_step()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        del args, state, kwargs
        if self.pace is None:
            return
        self.pace.after_step()
        if self.pace.over:
            control.should_training_stop = True

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
        logs: dict[str, float] | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        del args, state, control, kwargs
        if self.pace is None or logs is None:
            return
        totals = self.pace.totals
        figures = {"energy_kwh": totals.energy_kwh, "emissions_g": totals.emissions_g}
        logs |= {name: value for name, value in figures.items() if value is not None}

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        del args, state, control, kwargs
        if self.pace is not None:
            self.pace.__exit__(None, None, None)
            self.pace = None
