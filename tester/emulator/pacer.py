"""The clock of a script: it runs at a speed, stands still while it is paused, and can be moved on by hand."""

import math

import trio

from gateway.errors import GatewayError

LONGEST_PAUSE_SECONDS = 15 * 60.0
"""A pause in which nobody presses anything for so long is one that somebody has forgotten."""


class LeftPaused(GatewayError):
    """Nobody goes on with this run."""

    def __init__(self) -> None:
        super().__init__(f"nobody pressed a button for {LONGEST_PAUSE_SECONDS / 60:.0f} min")


class Pacer:
    """Says when the next webhook is due. One waits (`until`), others press the buttons; nothing here is polled."""

    def __init__(self, speed: float, *, is_paused: bool = False) -> None:
        self._speed = speed
        self._is_paused = is_paused
        # Of the script, at the moment when the clock was last touched.
        self._seconds = 0.0
        self._touched_at = trio.current_time()
        self._steps = 0
        self._touched = trio.Event()

    @property
    def is_paused(self) -> bool:
        """Whether time stands still."""
        return self._is_paused

    def now_seconds(self) -> float:
        """Seconds of the script that have passed."""
        if self._is_paused or math.isinf(self._speed):
            return self._seconds
        return self._seconds + (trio.current_time() - self._touched_at) * self._speed

    def pause(self) -> None:
        """Stop the clock. Twice is as good as once."""
        self._touch(is_paused=True)

    def resume(self) -> None:
        """Let it run on from where it stands."""
        self._touch(is_paused=False)

    def step(self) -> None:
        """What is next is due now, paused or not; the clock is moved on to it."""
        self._steps += 1
        self._touch(is_paused=self._is_paused)

    async def until(self, seconds: float) -> None:
        """Wait for a second of the script.

        Raises: `LeftPaused` when time has stood still for `LONGEST_PAUSE_SECONDS` and no button was used meanwhile.
        """
        await trio.lowlevel.checkpoint()
        while not self._is_due(seconds):
            touched, is_paused = self._touched, self._is_paused
            # Time went on since the last look at it: what is left may be nothing.
            left_seconds = max(seconds - self.now_seconds(), 0.0) / self._speed
            with trio.move_on_after(LONGEST_PAUSE_SECONDS if is_paused else left_seconds):
                await touched.wait()
            if is_paused and not touched.is_set():
                raise LeftPaused

    def _is_due(self, seconds: float) -> bool:
        if self._steps:
            self._steps -= 1
            self._move_on_to(seconds)
            return True
        if self._is_paused:
            return False
        if math.isinf(self._speed):
            self._move_on_to(seconds)
            return True
        # A deadline may fire a rounding error before its time.
        return self.now_seconds() >= seconds - 1e-6

    def _move_on_to(self, seconds: float) -> None:
        self._seconds = max(self.now_seconds(), seconds)
        self._touched_at = trio.current_time()

    def _touch(self, *, is_paused: bool) -> None:
        self._seconds = self.now_seconds()
        self._touched_at = trio.current_time()
        self._is_paused = is_paused
        self._touched.set()
        self._touched = trio.Event()
