"""A gateway that is killed in the middle of a resumable upload; the client goes on at another one."""

import hashlib
import io
import os
import socket
import threading

import pytest
from tusclient.client import TusClient

from api_service.services.resumable import CHECKPOINT_BYTES
from gristmill.launcher.servers import free_port
from tests.support.stack import Stack, eventually

DATA = os.urandom(2 * CHECKPOINT_BYTES + 12_345)


@pytest.fixture
def stack(database_url, redis_url, tmp_path):
    stack = Stack(database_url, redis_url, tmp_path)
    yield stack
    stack.close()


def test_a_killed_gateway_s_upload_is_finished_at_another_one(stack, tmp_path):
    first, other = stack.gateway(), free_port()
    stack.start("api_service", "serve", GRISTMILL_PORT=str(other))
    begun = stack.http.post("/v1/tus", headers={"Tus-Resumable": "1.0.0", "Upload-Length": str(len(DATA))})
    path = begun.headers["Location"]
    with socket.create_connection(("127.0.0.1", stack.port)) as connection:
        head = (
            f"PATCH {path} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
            f"Content-Type: application/offset+octet-stream\r\nContent-Length: {len(DATA)}\r\n\r\n"
        )
        sender = threading.Thread(target=connection.sendall, args=[head.encode() + DATA[:-12_345]])
        sender.start()
        eventually(lambda: received(stack) >= CHECKPOINT_BYTES, "a checkpoint")
        sender.join()
        first.kill()

    eventually(lambda: listens(other), "the other gateway")
    told = received(stack)
    [file] = (tmp_path / "storage/uploads/default").iterdir()
    assert told >= CHECKPOINT_BYTES
    assert file.read_bytes()[:told] == DATA[:told]

    endpoint = f"http://127.0.0.1:{other}"
    uploader = TusClient(f"{endpoint}/v1/tus").uploader(
        file_stream=io.BytesIO(DATA), url=endpoint + path, chunk_size=5_000_000
    )
    assert uploader.offset == told
    uploader.upload()

    assert file.read_bytes() == DATA
    assert stack.sql("SELECT bytes, sha256 FROM gristmill.uploads") == [
        (len(DATA), hashlib.sha256(DATA).hexdigest())
    ]
    assert stack.sql("SELECT * FROM gristmill.unfinished_uploads") == []


def received(stack) -> int:
    [(bytes_received,)] = stack.sql("SELECT received FROM gristmill.unfinished_uploads")
    return bytes_received


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
