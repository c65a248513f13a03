"""The few settings of a phone that a run changes, and how each is put back.

| setting | why |
|---|---|
| stay awake while charging | a screen that goes off between blocks lowers the CPU's clock |
| screen on, lock screen away | an app behind them runs on the small cores only |
| fixed performance mode (API 30, on request) | holds the clock below where it throttles |

Nothing else is touched: brightness, animations and radios do not change a block that the
interleaved comparison would not cancel out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ortlab.devices.android.asking import THEN, Words, joined
from ortlab.devices.android.properties import PhoneFacts, PhoneStatus
from ortlab.devices.android.quoting import Raw
from ortlab.devices.journal import Change, Journal
from ortlab.errors import DeviceError, DeviceLostError, DeviceNotReadyError, DeviceTimeoutError

if TYPE_CHECKING:
    from ortlab.devices.android.adb import AdbPhone

STAY_ON: Final = "stay_on_while_plugged_in"
SCREEN: Final = "screen"
FIXED_PERFORMANCE: Final = "fixed_performance_mode"
FIXED_PERFORMANCE_API_LEVEL: Final = 30

_ANY_POWER: Final = "7"
"""AC, USB and wireless: `BatteryManager.BATTERY_PLUGGED_*`."""

_UNSET: Final = "null"
_WAKE_UP, _SLEEP = "224", "223"
_DEADLINE_S: Final = 10.0


class Settings:
    """Changes settings of one phone and puts them back.

    Args:
        phone: To ask.
        journal: Holds what was changed.
        say: Told what could not be changed or put back.
    """

    def __init__(self, phone: AdbPhone, journal: Journal, say: Callable[[str], None]) -> None:
        self._phone = phone
        self._journal = journal
        self._say = say

    @property
    def changed(self) -> bool:
        """Whether anything is not as we found it."""
        return bool(self._journal.record.changes)

    def prepare(self, facts: PhoneFacts, *, fixed_performance: bool) -> None:
        """Change what a run needs for its whole length; once.

        Raises:
            DeviceLostError: The phone is gone.
            StorageError: The change cannot be written down, so it is not made.
        """
        before = self._phone.shell(
            *("settings", "get", "global", STAY_ON), deadline_s=_DEADLINE_S
        ).stdout.strip()
        if before != _ANY_POWER and _is_number_or_unset(before):
            self._change(
                Change(setting=STAY_ON, before=before, ours=_ANY_POWER),
                ("settings", "put", "global", STAY_ON, _ANY_POWER),
            )
        if not fixed_performance:
            return
        if facts.api_level < FIXED_PERFORMANCE_API_LEVEL:
            self._say(f"note: {facts.system} has no fixed performance mode; going on without it")
            return
        self._change(
            Change(setting=FIXED_PERFORMANCE, before="false", ours="true"),
            _fixed_performance(on="true"),
        )

    def wake(self, status: PhoneStatus) -> bool:
        """Switch the screen on and the lock screen away, where they are not.

        Returns:
            Whether anything was done, so that the phone's status must be read again.
        """
        commands: list[Words] = []
        if status.screen_on is False:
            change = Change(setting=SCREEN, before=status.wakefulness or "Asleep", ours="Awake")
            if all(item.setting != SCREEN for item in self._journal.record.changes):
                self._journal.add(change)
            commands.append(("input", "keyevent", _WAKE_UP))
        if status.keyguard_showing and not status.keyguard_secure:
            commands.append(("wm", "dismiss-keyguard"))
        if commands:
            self._phone.shell(*joined(commands), deadline_s=_DEADLINE_S)
        return bool(commands)

    def restore(self) -> bool:
        """Put everything back, the newest first; what cannot be is said and stays in the journal.

        Returns:
            Whether all is as it was.
        """
        for change in reversed(self._journal.record.changes):
            try:
                self._undo(change)
            except DeviceError as error:
                self._say(
                    f"warning: cannot put {change.setting} of {self._phone.serial} back to"
                    f" {change.before}: {error.message}; the next command on this phone tries again"
                )
                if isinstance(error, DeviceLostError | DeviceTimeoutError | DeviceNotReadyError):
                    return False
            else:
                self._journal.remove(change)
        return not self.changed

    def _change(self, change: Change, command: Words) -> None:
        """Write a change down, then make it; one that a phone refuses is said and forgotten."""
        self._journal.add(change)
        done = self._phone.shell(*command, deadline_s=_DEADLINE_S)
        said = (done.stderr or done.stdout).strip()
        if done.exit_code != 0 or "Exception" in said:
            self._journal.remove(change)
            why = said.splitlines()[0] if said else f"exit code {done.exit_code}"
            self._say(f"note: {self._phone.serial} refuses to change {change.setting}: {why}")

    def _undo(self, change: Change) -> None:
        if change.setting == STAY_ON:
            self._undo_stay_on(change)
        elif change.setting == SCREEN:
            self._run("input", "keyevent", _SLEEP)
        elif change.setting == FIXED_PERFORMANCE:
            self._run(*_fixed_performance(on=change.before))
        # A setting of another version of ours: nothing here knows how to put it back.

    def _undo_stay_on(self, change: Change) -> None:
        """Put it back unless somebody else has changed it since."""
        get: Words = ("settings", "get", "global", STAY_ON)
        now = self._run(*get)
        if now in (change.before, "") or now != change.ours:
            return
        back: Words = ("settings", "put", "global", STAY_ON, change.before)
        if change.before == _UNSET:
            back = ("settings", "delete", "global", STAY_ON)
        last = self._run(*back, THEN, *get).splitlines()[-1:]
        if last != [change.before]:
            message = f"it is {' '.join(last) or 'unknown'}"
            raise DeviceError(message)

    def _run(self, *command: str | Raw) -> str:
        done = self._phone.shell(*command, deadline_s=_DEADLINE_S)
        if done.exit_code != 0:
            said = (done.stderr or done.stdout).strip()
            message = said.splitlines()[0] if said else f"exit code {done.exit_code}"
            raise DeviceError(message)
        return done.stdout.strip()


def _fixed_performance(*, on: str) -> Words:
    return ("cmd", "power", "set-fixed-performance-mode-enabled", on)


def _is_number_or_unset(text: str) -> bool:
    return text == _UNSET or (text.isascii() and text.isdecimal())
