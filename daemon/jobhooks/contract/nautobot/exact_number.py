"""Numbers with a fraction in snapshots: every JSON encoder writes them without loss, and they act as Decimals."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar, cast

T = TypeVar("T")
OPERATORS = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "divmod"),
    *("radd", "rsub", "rmul", "rtruediv", "rfloordiv", "rmod", "rpow", "rdivmod"),
)
CONVERSIONS = ("neg", "pos", "abs", "float", "int", "bool", "round", "trunc", "ceil", "floor", "complex")


class ExactNumber(str):
    """The digits of a number as PostgreSQL wrote them: ``json.dumps`` writes them as a string, as Nautobot does.

    It compares, computes and converts as the Decimal of these digits, and has its methods: ``value.quantize(...)``.
    ``Decimal(value)`` and ``float(value)`` work. The text is only compared with texts.
    """

    __slots__ = ("_number",)
    _number: Decimal

    def __new__(cls, digits: str | Decimal) -> "ExactNumber":
        """Make it of its digits."""
        made = super().__new__(cls, digits)
        made._number = Decimal(digits)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it by its digits."""
        return ExactNumber, (str(self),)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str) and not isinstance(other, ExactNumber):
            return str(self) == other
        return self._number == _plain(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._number)

    def __lt__(self, other: object) -> bool:
        return self._number < _comparable(other)

    def __le__(self, other: object) -> bool:
        return self._number <= _comparable(other)

    def __gt__(self, other: object) -> bool:
        return self._number > _comparable(other)

    def __ge__(self, other: object) -> bool:
        return self._number >= _comparable(other)

    def __str__(self) -> str:
        return str.__str__(self)

    def __format__(self, spec: str) -> str:
        return format(self._number, spec) if spec else str(self)

    def __getattr__(self, name: str) -> Any:
        if name == "_number":  # of one that is being made
            raise AttributeError(name)
        return getattr(self._number, name)


def _plain(value: object) -> Any:
    return value._number if isinstance(value, ExactNumber) else value  # pyright: ignore[reportPrivateUsage] - its own


def _comparable(value: object) -> Any:
    """The value, if it is no text.

    Raises:
        TypeError: it is a text, which has no order among numbers.
    """
    plain = _plain(value)
    if isinstance(plain, str):
        raise TypeError(f"a number has no order with the text {plain!r}")
    return plain


def _operator(name: str) -> Callable[..., Any]:
    method: Callable[..., Any] = getattr(Decimal, f"__{name}__")

    def operate(self: ExactNumber, *others: object) -> Any:
        return method(_plain(self), *map(_plain, others))

    return operate


for _name in (*OPERATORS, *CONVERSIONS):
    setattr(ExactNumber, f"__{_name}__", _operator(_name))


def json_ready(value: T) -> T:
    """The same value, with numbers that every JSON encoder writes. A value without such numbers is unchanged."""
    whole: Any = value
    if type(whole) is Decimal:
        return cast("Any", ExactNumber(whole))
    if type(whole) is dict:
        row = cast("dict[str, object]", whole)
        made = {name: json_ready(each) if type(each) in (Decimal, dict, list) else each for name, each in row.items()}
        return value if all(made[name] is row[name] for name in row) else cast("Any", made)
    if type(whole) is list:
        items = cast("list[object]", whole)
        ready = [json_ready(item) for item in items]
        return value if all(map(_is_same, items, ready)) else cast("Any", ready)
    return value


def _is_same(one: object, other: object) -> bool:
    return one is other
