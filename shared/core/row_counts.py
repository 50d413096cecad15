"""Where the rows of a dataset went."""

import msgspec


class RowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Every row that was *read* is in exactly one of the others."""

    read: int = 0
    aggregated: int = 0
    filtered: int = 0
    dropped_null_key: int = 0
    quarantined: int = 0
    skipped: int = 0

    def __add__(self, other: "RowCounts") -> "RowCounts":
        return RowCounts(
            **{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__}
        )

    @property
    def fates(self) -> dict[str, int]:
        """The others, by name."""
        return {name: getattr(self, name) for name in FATES}

    @property
    def accounted(self) -> int:
        """The rows that one of the others counts: *read*, if none is lost and none is counted twice."""
        return sum(self.fates.values())


FATES = tuple(name for name in RowCounts.__struct_fields__ if name != "read")
