"""As benchmarks.plain_cuts, but the records, too, are counted without a look at quotes: right only where they hide no delimiters either."""

from benchmarks.plain_cuts import every, run

RUN_BY = ("exact_cost",)

if __name__ == "__main__":
    run(every)
