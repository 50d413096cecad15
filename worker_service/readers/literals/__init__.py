"""One grammar of literals for each type, checked on the raw text of a whole column at a time.

| type        | literals |
|-------------|----------|
| bool        | `true`, `false` in any case |
| int64       | `-?(0|[1-9][0-9]*)` within 64 bits: no `+`, no leading zeros, no hexadecimal, no spaces |
| float64     | int64's, and with a point (`1.5`, `.5`, `5.`) or exponent (`1e5`, `1E-05`); |
|             | `nan`, `inf`, `infinity` in any case, with an optional `-` |
| decimal(p,s)| as float64, without exponent or names; the value must fit without rounding |
|             | (`1.500` fits scale 2, `1.505` does not) |
| date        | `YYYY-MM-DD`, years 0001 to 9999; in a declared column midnight of it too |
| timestamp   | date's, and `YYYY-MM-DD[ T]HH:MM[:SS[.f]]` with one to six digits of fraction |
| timestamptz | timestamp's with a time and an offset: `Z`, `+HH:MM`, `+HHMM` or `+HH`; |
|             | in a declared column also timestamp's, taken in `source.timezone` |

A float literal past the largest double, and in an undeclared column an integer literal that no double holds
exactly, do not fit float64.

`source.types` may describe other spellings. `canonical` rewrites their texts into the spelling above.
`formats` reads patterns of dates. `local_times` knows the clocks of a zone. `conversion` puts them together.
`readings` finds a description for texts that have none, for advice.
"""

from worker_service.readers.literals.conversion import (
    Column,
    Converted,
    Fits,
    converted,
    converted_with_numbers,
    first_misfit,
    fits,
    narrowest,
)
from worker_service.readers.literals.local_times import in_zone
from worker_service.readers.literals.readings import (
    Reading,
    Refusal,
    culprits,
    cure,
    no_moment,
    reading,
    refusal,
)
from worker_service.readers.literals.strict import OutOfYears, in_years

__all__ = [
    "Column",
    "Converted",
    "Fits",
    "OutOfYears",
    "Reading",
    "Refusal",
    "converted",
    "converted_with_numbers",
    "culprits",
    "cure",
    "first_misfit",
    "fits",
    "in_years",
    "in_zone",
    "narrowest",
    "no_moment",
    "reading",
    "refusal",
]
