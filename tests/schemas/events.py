"""Any event of a kind, made from its own fields."""

from __future__ import annotations

import types
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st

from schemas.base import Event
from schemas.fields import Id, Moment, hints_of

_LETTERS = "ABCXYZabcxyz0189"
ids = st.builds(
    str.__add__,
    st.sampled_from(_LETTERS),
    st.text(alphabet=_LETTERS + "._:-", max_size=63),
)
moments = st.integers(0, 2**41).map(lambda ms: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
lines = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\x00"),
    min_size=1,
    max_size=200,
)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """What a field of this type may hold."""
    if hint == Id:
        return ids
    if hint == Moment:
        return moments
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = [argument for argument in args if argument is not type(None)]
        return st.none() | values(inner)
    if origin is list:
        return st.lists(values(args[0]), max_size=5)
    if origin is Literal:
        return st.sampled_from(args)
    if origin is Annotated and args[0] is int:
        return st.integers(1, 2**53)
    if origin is Annotated and args[0] is str:
        return lines
    if hint is bool:
        return st.booleans()
    raise TypeError(f"tests know no value for {hint!r}")


def any_event(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Every event of a kind."""
    return st.builds(kind, **{name: values(hint) for name, hint in hints_of(kind).items()})
