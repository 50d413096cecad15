"""The columns that expressions may name, of the dataset or of the result, and the mistakes in expressions."""

from collections.abc import Callable, Iterator, Mapping

from shared.errors import Detail
from shared.spec.expressions import ExpressionError, Typed, check, kept_texts, names, ordered_texts
from shared.spec.expressions.text import ExpressionText
from shared.spec.faults import Location, pointer
from shared.spec.query import Made
from shared.spec.types import BOOL, DataType


class Scope:
    """The types of the columns so far.

    `faults` collects the mistakes. A column whose own expression has one is unsound: its type is not known,
    so an expression that names it is passed over. *hint* is a better advice about the columns of a mistaken
    expression, or empty. *misordered* is the mistake of an operation that orders the texts of a column of the
    dataset, or empty.
    """

    def __init__(
        self,
        types: Mapping[str, DataType],
        zone: str,
        hint: Callable[[tuple[str, ...]], str] = lambda _: "",
        misordered: Callable[[str, str], str] = lambda _, __: "",
    ) -> None:
        self.types = dict(types)
        self.faults: list[Detail] = []
        self._zone, self._hint, self._misordered = zone, hint, misordered
        self._origins: dict[str, tuple[str, ...]] = {}
        self._unsound: set[str] = set()

    def add(self, name: str, expr: ExpressionText, *at: str | int) -> Made | None:
        """A new column. It can be named from now on."""
        if (made := self._made(name, expr, at)) is None:
            self._unsound.add(name)
        else:
            self.types[name] = made.type
            kept = kept_texts(made.by) if isinstance(made.by, Typed) else ()
            self._origins[name] = tuple(origin for column in kept for origin in self.origins(column))
        return made

    def condition(self, name: str, expr: ExpressionText | None, *at: str | int) -> Made | None:
        """An expression that picks rows, and so has to be a bool. None where there is none."""
        made = None if expr is None else self._made(name, expr, at)
        if made is not None and made.type != BOOL:
            detail = f"a condition is needed, and this is {made.type}; compare it with something"
            self.faults.append(Detail(pointer=pointer(*at), detail=detail))
            return None
        return made

    def sound(self, name: str) -> bool:
        return name not in self._unsound

    def origins(self, name: str) -> tuple[str, ...]:
        """The columns of the dataset whose texts are values of *name*."""
        return self._origins.get(name, (name,))

    def _made(self, name: str, expr: ExpressionText, at: Location) -> Made | None:
        named = names(expr.tree)
        if not all(map(self.sound, named)):
            return None
        try:
            tree = check(expr.tree, self.types, self._zone)
        except ExpressionError as error:
            hint = self._hint(named)
            detail = f"{error.finding}{hint}" if hint else str(error)
            self.faults.append(Detail(pointer=pointer(*at), detail=detail))
            return None
        if fault := next(self._order_faults(tree), None):
            self.faults.append(Detail(pointer=pointer(*at), detail=fault))
            return None
        return Made(name=name, by=tree, columns=named, at=pointer(*at))

    def _order_faults(self, tree: Typed) -> Iterator[str]:
        for node, column in ordered_texts(tree):
            for origin in self.origins(column):
                if told := self._misordered(node.op, origin):
                    yield f"column {node.at}: {told}"
