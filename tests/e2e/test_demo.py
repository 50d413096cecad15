"""`gristmill demo`: the right numbers, twice, and on a terminal until Ctrl-C."""

import signal

import httpx2
import numpy as np
import pandas as pd
import psycopg
import pytest

from gristmill.demo import flights_zip
from gristmill.launcher.servers import start_postgres
from tests.support.launched import Launched, any_port, watched


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return pd.read_csv(flights_zip(), keep_default_na=False, na_values=["NA"])


def demo(folder, **options):
    return Launched("demo", "--port", str(any_port()), cwd=folder, **options)


def published(folder, relation, keys):
    """The rows of a result as pandas sees them, from the data folder of a demo that has ended."""
    server = start_postgres(folder / ".gristmill" / "postgres", log=folder / "postgres.log")
    try:
        with psycopg.connect(server.reader) as connection:
            cursor = connection.execute(f"SELECT * FROM {relation}")
            return (
                pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description])
                .set_index(keys)
                .sort_index()
            )
    finally:
        server.child.stop()


@pytest.mark.timeout(180)
def test_the_demo_gives_the_numbers_of_pandas_twice_in_a_row(tmp_path, flights):
    for _ in range(2):
        with demo(tmp_path) as launcher:
            children = watched(child.pid for child in launcher.hears("Uploaded").children())
            assert launcher.end() == 0, launcher.said
            assert launcher.survivors(children) == []
        assert "results.flights_delay" in launcher.said
        assert f"curl '{launcher.url}/v1/results/flights_delay/rows" in launcher.said
        assert launcher.dsn.startswith("postgresql://gristmill_reader:")

    delays = published(tmp_path, "results.flights_delay", ["carrier", "month"])
    expected = flights.groupby(["carrier", "month"]).arr_delay.agg(["count", "mean", "std", "max"])
    assert list(delays.index) == list(expected.index)
    assert list(delays.count_arr_delay) == list(expected["count"])
    assert list(delays.max_arr_delay) == list(expected["max"])
    np.testing.assert_allclose(delays.mean_arr_delay.astype(float), expected["mean"], rtol=1e-15)
    np.testing.assert_allclose(delays.std_arr_delay.astype(float), expected["std"], rtol=1e-12)
    worst = expected["mean"].sort_values(ascending=False)
    assert f"{worst.iloc[0]:,.2f}" in launcher.said

    distances = published(tmp_path, "results.flights_distance", ["origin", "dest"])
    assert distances.sum_distance.to_dict() == flights.groupby(["origin", "dest"]).distance.sum().to_dict()


@pytest.mark.timeout(180)
def test_on_a_terminal_the_demo_stays_until_ctrl_c(tmp_path):
    with demo(tmp_path, terminal=True) as launcher:
        launcher.ready()
        assert httpx2.get(f"{launcher.url}/readyz", trust_env=False).status_code == 200
        children = watched(child.pid for child in launcher.children())
        launcher.process.stdin.write("\x03")
        launcher.process.stdin.flush()
        launcher.hear("Stopping.")
        assert launcher.end() == 0
        assert launcher.survivors(children) == []


def test_a_demo_that_is_interrupted_half_way_exits_130_and_leaves_nothing(tmp_path):
    with demo(tmp_path) as launcher:
        children = watched(child.pid for child in launcher.hears("Uploaded").children())
        launcher.process.send_signal(signal.SIGINT)
        assert launcher.end() == 130
        assert launcher.survivors(children) == []
