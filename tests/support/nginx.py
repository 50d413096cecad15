"""nginx with the configuration of the documents, on free ports and in a folder of its own."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RECIPE = Path(__file__).parents[2] / "examples" / "nginx.conf"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def configuration(folder: Path, upstream: str, port: int) -> str:
    """The recipe with other addresses, and with what a whole configuration needs around it."""
    text = RECIPE.read_text()
    assert text.count("127.0.0.1:8080") == 1
    assert text.count("listen 80;") == 1
    text = text.replace("127.0.0.1:8080", upstream).replace("listen 80;", f"listen 127.0.0.1:{port};")
    kinds = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log warn;
events {{}}
http {{
access_log off;
{kinds}
{text}
}}
"""


@contextmanager
def proxied(folder: Path, upstream: str) -> Iterator[str]:
    """The URL of a running nginx, with the recipe's prefix, that passes requests on to *upstream*."""
    assert NGINX is not None
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    file = folder / "nginx.conf"
    file.write_text(configuration(folder, upstream, port))
    prefix = re.search(r"location (/\S+)/ ", RECIPE.read_text())
    assert prefix is not None
    tested = subprocess.run([NGINX, "-t", "-c", file], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stderr
    process = subprocess.Popen([NGINX, "-c", file])
    try:
        _wait(port, process)
        yield f"http://127.0.0.1:{port}{prefix[1]}"
    finally:
        process.terminate()
        process.wait(10)


def _wait(port: int, process: subprocess.Popen) -> None:
    """Until it listens; a refused connection comes back at once."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            continue
        return
    raise AssertionError(f"nginx ended with {process.returncode}")
