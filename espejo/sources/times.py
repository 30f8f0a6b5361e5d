"""Times in exports as instants: microseconds since 1970 UTC."""

from datetime import UTC, datetime, timedelta, tzinfo

from espejo.sources.account import Unreadable

FIRST_INSTANT = 631_152_000_000_000  # 1990-01-01
END_INSTANT = 4_102_444_800_000_000  # 2100-01-01
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def epoch_instant(value: object, unit: int) -> int:
    """Return the instant of a count of units of `unit` microseconds since 1970 UTC.

    The count is a number, or digits as a text. Raises Unreadable.
    """
    try:
        count = int(value if isinstance(value, int | float | str) else "")
    except (ValueError, OverflowError):
        raise Unreadable("expected a time as a number") from None
    return _checked(count * unit)


def iso_instant(value: object, timezone: tzinfo, previous: int | None = None) -> int:
    """Return the instant of an ISO time; without an offset it is local.

    In the hour that a clock repeats when it is set back, a local time is the second of its two
    instants if the first is before `previous`, the message before it. Raises Unreadable.
    """
    try:
        time = datetime.fromisoformat(value if isinstance(value, str) else "")
        if time.tzinfo is not None:
            return _checked((time - _EPOCH) // _MICROSECOND)
        time = time.replace(tzinfo=timezone)
        instant = (time - _EPOCH) // _MICROSECOND
        if previous is not None and instant < previous:
            later = (time.replace(fold=1) - _EPOCH) // _MICROSECOND
            # A time that the clock skips has two readings too, but the second is the earlier.
            instant = max(instant, later)
    except (ValueError, OverflowError):
        raise Unreadable("expected a time such as 2024-05-01T13:45:00") from None
    return _checked(instant)


def _checked(instant: int) -> int:
    if not FIRST_INSTANT <= instant < END_INSTANT:
        raise Unreadable("expected a time between 1990 and 2100")
    return instant
