"""For Hugging Face: `Trainer(..., callbacks=[LowtideCallback(deadline_hours=24)])`."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from lowtide.integrations.together import Looks
from lowtide.loops import Pace


class LowtideCallback(TrainerCallback):
    """Meters `train`, pauses it for clean power, and stops it where a budget is spent.

    Options as for `lowtide.Pace`. `energy_kwh` and `emissions_g` stand in `state.log_history`.
    Under several processes the first of each node meters the node, and the others wait for it.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._looks = Looks()
        self.pace: Pace | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        del control, kwargs
        self._close()  # what an exception has left open: there is no hook for that
        self._looks = Looks()
        if args.local_process_index == 0:
            left = state.max_steps - state.global_step
            self.pace = Pace(left, **self._options).__enter__()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        del args, state, control, kwargs
        if self.pace is not None:
            self.pace.before_step()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        del state, kwargs
        if self.pace is not None:
            self.pace.after_step()
        over = self.pace is not None and self.pace.over
        if self._looks.any(over, args.world_size, args.device):  # all stop, or none
            control.should_training_stop = True

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
        logs: dict[str, float] | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        del args, control, kwargs
        if self.pace is None or logs is None:
            return
        totals = self.pace.totals
        figures = {"energy_kwh": totals.energy_kwh, "emissions_g": totals.emissions_g}
        known = {name: value for name, value in figures.items() if value is not None}
        logs |= known  # for the progress bar, which comes after this callback
        if state.log_history:
            state.log_history[-1] |= known

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        del args, state, control, kwargs
        self._close()

    def _close(self) -> None:
        if self.pace is not None:
            self.pace.__exit__(None, None, None)
            self.pace = None
