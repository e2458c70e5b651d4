"""What comes of an act that may be refused, as a value."""

from collections.abc import Callable

from uploadstream.core.errors import Refusal


def refusal_of(act: Callable[..., object], *args: object, **kwargs: object) -> Refusal | None:
    """The refusal of `act(...)`; None if it was done."""
    try:
        act(*args, **kwargs)
    except Refusal as error:
        return error
    return None
