"""As benchmarks.plain_cuts, but records, too, are counted without a look at quotes.

This is right only where quotes hide no delimiters either.
"""

from benchmarks.plain_cuts import every, run

RUN_BY = ("exact_cost",)

if __name__ == "__main__":
    run(every)
