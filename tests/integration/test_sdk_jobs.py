"""Jobs by the SDK: both clients run each test, over a gateway and a worker."""

import asyncio
import csv
import io
import json
import traceback
from concurrent.futures import as_completed

import httpx2
import pandas as pd
import pytest

from gristmill import Client, Conflict, InvalidRequest, JobFailed, NotFound, ProblemError, Unreachable, month
from gristmill.launcher.servers import free_port
from tests.support.clients import KINDS, client_of, got, listed

ORDERS = """country,price,customer,ordered,status
KR,1.50,ann,2024-01-02,paid
JP,2.25,ben,2024-02-03,paid
KR,3.00,ann,2024-01-05,paid
KR,n/a,cid,2024-01-06,paid
JP,9.99,ben,2024-02-09,open
"""
WORDS = {
    "by": ["country", month("ordered")],
    "aggs": {"revenue": ("price", "sum"), "buyers": ("customer", "nunique"), "n": "count"},
    "where": "status == 'paid'",
    "types": {"price": "decimal(9,2)"},
    "on_bad_row": "quarantine",
}
COUNTS = {"by": "country", "aggs": {"n": "count"}}


@pytest.fixture(params=KINDS)
async def client(request, stack):
    async with client_of(request.param, f"http://127.0.0.1:{stack.port}") as client:
        yield client


@pytest.fixture
def orders(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text(ORDERS)
    return path


def expected() -> list[tuple]:
    """By pandas."""
    frame = pd.read_csv(io.StringIO(ORDERS), dtype={"price": "string"})
    good = frame[frame["price"] != "n/a"]
    paid = good[good["status"] == "paid"].assign(
        cents=lambda f: (f["price"].astype(float) * 100).round().astype(int),
        month=lambda f: f["ordered"].str[:7],
    )
    groups = paid.groupby(["country", "month"])
    found = groups.agg(cents=("cents", "sum"), buyers=("customer", "nunique"), n=("cents", "size"))
    return [(*key, *map(int, row)) for key, row in zip(found.index, found.to_numpy(), strict=True)]


async def test_a_job_from_its_words_to_its_rows(client, orders, stack):
    name = f"orders_{type(client).__name__.lower()}"
    job = await got(client.submit(orders, name=name, **WORDS))
    assert job.state in {"queued", "running"}
    assert await got(job.wait()) is job
    result = await got(job.result())

    rows = [
        (row["country"], f"{row['ordered']:%Y-%m}", int(row["revenue"] * 100), row["buyers"], row["n"])
        for row in await listed(result.rows(order_by="country"))
    ]
    assert rows == expected()
    assert (job.name, job.state, await got(job.done()), job.error, job.warnings) == (
        name,
        "succeeded",
        True,
        None,
        [],
    )
    assert (result.relation, result.name, len(result)) == (f"results.{name}", name, 2)
    assert stack.sql(f"SELECT count(*) FROM {result.relation}") == [(2,)]
    receipt = await got(job.receipt())
    assert (receipt["rows"]["read"], receipt["rows"]["quarantined"]) == (5, 1)
    [bad] = await listed(job.bad_rows())
    assert (bad["line"], bad["column"], bad["value"]) == (5, "price", "n/a")
    assert (await listed(job.history(limit=1)))[0]["event"] == "submitted"
    assert {unit["kind"] for unit in await listed(job.units(kind="chunk"))} == {"chunk"}

    again = await got(client.job(job.id))
    assert (again.id, again.document["result"]) == (job.id, job.document["result"])
    found = await listed(client.jobs(name=name, state="succeeded", limit=5))
    assert [each.id for each in found] == [job.id]
    with pytest.raises(LookupError, match=r"call status\(\) first"):
        _ = found[0].warnings
    await got(found[0].status())
    assert found[0].warnings == []


async def test_aggregate_is_all_of_it(client, orders):
    result = await got(client.aggregate(orders, **COUNTS))

    assert await got(result.to_dicts()) == [{"country": "JP", "n": 2}, {"country": "KR", "n": 3}]


async def test_a_spec_takes_the_place_of_words(client, orders):
    spec = {"group_by": [], "aggregates": [{"fn": "count"}]}
    result = await got(client.aggregate(str(orders), spec=spec))
    uri = (await got(client.upload(orders)))["uri"]
    spec["source"] = {"uris": [uri]}

    assert await got(result.to_dicts()) == [{"count": 5}]
    assert await got((await got(client.aggregate(spec=spec))).to_dicts()) == [{"count": 5}]
    assert await got((await got(client.aggregate(uri, **COUNTS))).to_dicts()) != []


async def test_several_sources_are_one_dataset(client, orders):
    sources = [str(orders.parent / "*.csv"), io.BytesIO(ORDERS.replace("KR", "FR").encode())]
    result = await got(client.aggregate(sources, **COUNTS))

    found = await got(result.to_dicts(order_by="country"))
    assert [tuple(row.values()) for row in found] == [("FR", 3), ("JP", 4), ("KR", 3)]


async def test_events_end_with_done(client, orders):
    job = await got(client.submit(orders, **COUNTS))
    events = await listed(job.events())

    assert events[-1]["name"] == "done"
    assert events[-1]["data"]["state"] == "succeeded"
    assert {event["name"] for event in events} <= {"state", "progress", "warning", "done"}


async def test_progress_is_told_to_a_function(client, orders):
    uploads, seen = [], []
    job = await got(client.submit(orders, progress=uploads.append, **COUNTS))
    await got(job.wait(progress=seen.append))

    assert [(moment.title, moment.fraction) for moment in uploads] == [("orders.csv", 1.0)]
    assert (seen[-1].title, seen[-1].fraction, seen[-1].note) == (job.id, 1.0, "5 rows read")


async def test_a_dry_run_shows_the_data_and_runs_later(client, orders):
    plan = await got(client.plan(orders))
    assert plan.schema == {
        "country": "string", "price": "string", "customer": "string", "ordered": "date", "status": "string",
    }  # fmt: skip
    assert (plan.findings["rows"]["value"], plan.warnings) == (5, [])
    assert plan.sample[0]["values"]["country"] == "KR"

    planned = await got(client.plan(orders, **COUNTS))
    job = await got(planned.submit())
    assert [row["n"] for row in await got((await got(job.result())).to_dicts())] == [2, 3]
    assert len(await got(client.aggregate(plan=planned))) == 2
    with pytest.raises(TypeError, match="leave the other arguments out"):
        await got(client.submit(orders, plan=planned))
    await got(planned.delete())
    for gone in (planned.delete, planned.submit):
        with pytest.raises(NotFound):
            await got(gone())


async def test_a_bad_row_fails_a_job_with_its_place_and_value(client, orders):
    with pytest.raises(JobFailed) as raised:
        await got(client.aggregate(orders, **(WORDS | {"on_bad_row": "fail"})))

    error = raised.value
    assert (error.cause, error.value, error.place["line"], error.place["column"]) == (
        "bad_row",
        "n/a",
        5,
        "price",
    )
    assert error.cure == "Correct the data, or tell the spec how to read it, and submit it again."
    assert str(error).startswith(f"{error.job_id} failed: bad_row: ")
    assert "'n/a'" in str(error)
    assert str(error).endswith(error.cure)


async def test_the_rows_kept_aside_come_as_bytes_and_as_a_file(client, orders, tmp_path):
    job = await got(client.submit(orders, **WORDS))
    await got(job.wait())

    text = b"".join(await listed(job.stream_bad_rows())).decode()
    assert [row["value"] for row in csv.DictReader(io.StringIO(text, newline=""))] == ["n/a"]
    path = await got(job.download_bad_rows(tmp_path / "bad.ndjson"))
    [kept] = map(json.loads, path.read_text().splitlines())
    assert kept == (await listed(job.bad_rows()))[0]
    with pytest.raises(ValueError, match=r"a name that ends with .csv, .ndjson, .jsonl tells the format"):
        await got(job.download_bad_rows(tmp_path / "bad.parquet"))


async def test_many_jobs_are_changed_at_once_if_they_are_as_many_as_expected(client, orders):
    label = f"sdk_many:{type(client).__name__}"
    failing = WORDS | {"on_bad_row": "fail", "labels": dict([label.split(":")])}
    jobs = [await got(client.submit(orders, **failing)) for _ in range(2)]
    for job in jobs:
        await got(job.wait())

    with pytest.raises(Conflict) as raised:
        await got(client.retry_jobs(expected=3, state="failed", label=label))
    assert raised.value.code == "unexpected_count"
    done = await got(client.cancel_jobs(expected=2, label=label))
    assert (done["changed"], {item["error"]["code"] for item in done["items"]}) == (0, {"already_done"})
    retried = await got(client.retry_jobs(expected=2, state="failed", label=label))
    assert (retried["changed"], [item["id"] for item in retried["items"]]) == (2, [job.id for job in jobs])


async def test_any_request_has_the_key_and_the_exceptions_of_the_methods(client, orders):
    job = await got(client.submit(orders, **COUNTS))
    await got(job.wait())

    answer = await got(client.request("GET", f"/v1/jobs/{job.id}/units", params={"kind": "chunk"}))
    assert [unit["kind"] for unit in answer.json()["items"]] == ["chunk"]
    labels = {"sdk_request": "yes"}
    changed = await got(client.request("patch", f"/v1/jobs/{job.id}", json={"labels": labels}))
    assert changed.json()["labels"] == labels
    with pytest.raises(NotFound):
        await got(client.request("GET", "/v1/jobs/job_00000000000000000000000000"))


async def test_a_fault_that_the_plan_finds_fails_a_dry_run(client, orders):
    with pytest.raises(JobFailed) as raised:
        await got(client.plan(orders, by="nope", aggs={"n": "count"}))

    assert (raised.value.code, raised.value.place["pointer"]) == ("unknown_column", "#/group_by/0")
    assert raised.value.cure == "Change the spec and submit it again."


async def test_mistakes_of_a_spec_are_told_with_their_pointers(client):
    with pytest.raises(InvalidRequest) as raised:
        await got(
            client.submit("upload:upl_1", by="a", aggs={"x": ("b", "avg"), "y": ("b", "sum", {"q": 1})})
        )

    assert (raised.value.code, raised.value.status) == ("invalid_spec", 422)
    assert raised.value.pointers == ["#/aggregates/0/fn", "#/aggregates/1/q"]
    assert str(raised.value.request_id).startswith("req_")
    assert raised.value.request_id in str(raised.value)


async def test_the_same_key_with_the_same_spec_is_the_same_job(client, orders):
    uri = (await got(client.upload(orders)))["uri"]
    jobs = [await got(client.submit(uri, idempotency_key=f"{uri}-1", **COUNTS)) for _ in range(2)]

    assert jobs[0].id == jobs[1].id
    with pytest.raises(ProblemError) as raised:
        await got(client.submit(uri, idempotency_key=f"{uri}-1", by=[], aggs={"n": "count"}))
    assert raised.value.code == "idempotency_key_reused"
    assert (await got(client.submit(uri, **COUNTS))).id != (await got(client.submit(uri, **COUNTS))).id


async def test_requests_that_do_not_fit_are_conflicts(client, orders):
    job = await got((await got(client.submit(orders, **COUNTS))).wait())

    for change in (job.cancel, job.pause, job.retry):
        with pytest.raises(Conflict):
            await got(change())
    await got(job.edit(labels={"team": "growth"}))
    assert job.document["labels"] == {"team": "growth"}
    assert job.id in [each.id for each in await listed(client.jobs(label="team:growth"))]
    await got(job.delete())
    with pytest.raises(NotFound):
        await got(client.job(job.id))


async def test_a_service_that_is_not_there_is_unreachable(monkeypatch):
    monkeypatch.setattr("gristmill.client.asking.FIRST_PAUSE", 0.001)
    port = free_port()
    for kind in KINDS:
        async with client_of(kind, f"http://127.0.0.1:{port}") as client:
            message = rf"GET http://127.0.0.1:{port}/v1/jobs/job_1: .*GRISTMILL_URL"
            with pytest.raises(Unreachable, match=message) as raised:
                await got(client.job("job_1"))
        assert raised.value.url == f"http://127.0.0.1:{port}/v1/jobs/job_1"
        shown = traceback.format_exception(raised.value)
        assert len(shown) < 8
        assert "httpcore" not in "".join(shown)


def test_futures_complete_as_their_jobs_do(stack, orders):
    with Client(f"http://127.0.0.1:{stack.port}", progress=False) as client:
        good = [client.submit(orders, **COUNTS) for _ in range(3)]
        bad = client.submit(orders, by="nope", aggs={"n": "count"})
        futures = {job.future(): job for job in [*good, bad]}
        found = {futures[future].id: future for future in as_completed(futures, timeout=60)}

        assert [len(found[job.id].result()) for job in good] == [2, 2, 2]
        assert isinstance(found[bad.id].exception(), JobFailed)
        assert not found[bad.id].cancel()


async def test_tasks_complete_as_their_jobs_do(stack, orders):
    async with client_of("async", f"http://127.0.0.1:{stack.port}") as client:
        tasks = [(await client.submit(orders, **COUNTS)).future() for _ in range(2)]
        found = [await task for task in asyncio.as_completed(tasks, timeout=60)]

        assert [len(result) for result in found] == [2, 2]


async def test_an_http_client_of_one_s_own_is_used(stack):
    url = f"http://127.0.0.1:{stack.port}"
    with Client(http=httpx2.Client(base_url=url)) as client:
        assert client.ready()["status"] == "ok"
        assert repr(client) == f"<Client {url}>"


async def test_the_environment_names_the_service(stack, monkeypatch):
    monkeypatch.setenv("GRISTMILL_URL", f"http://127.0.0.1:{stack.port}/")
    with Client() as client:
        assert client.ready()["workers"]["live"] >= 1


async def test_uploads_and_workers_are_listed(client, orders):
    upload = await got(client.upload(orders))

    assert upload["id"] in [each["id"] for each in await listed(client.uploads(limit=50))]
    await got(client.delete_upload(upload["id"]))
    assert upload["id"] not in [each["id"] for each in await listed(client.uploads(limit=50))]
    assert [worker["state"] for worker in await listed(client.workers())] == ["live"]
