import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
import pytest
from test_dataset_from_folder import everything_in, tar_of, zip_of

from trunkline.errors import UserError


@pytest.fixture
def serve():
    """Serve one body under any path; the address."""
    servers = []

    def serve(body, *, status=200, promised=None):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if promised is None else promised))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/tiny.zip"

    yield serve
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def archive(mirror):
    padding = {"unasked.bin": bytes(600_000)}
    return zip_of({"inner.tar.gz": tar_of(everything_in(mirror)), **padding})


def test_download_gives_what_the_folder_gives(make, mirror, archive, serve, tmp_path):
    told = []
    tiny = make(url=serve(archive))
    fetched = tiny.write(tmp_path / "fetched", progress=lambda *news: told.append(news))
    copied = tiny.write(tmp_path / "copied", mirror)
    for split, path in fetched.items():
        assert pl.read_parquet(path).equals(pl.read_parquet(copied[split]))
    assert len(told) > 1
    assert [news[1] for news in told] == sorted(news[1] for news in told)
    assert told[-1] == ("tiny.zip", len(archive), len(archive))
    assert set(everything_in(tmp_path / "fetched")) == {"train.parquet", "valid.parquet", "test.parquet"}


def test_file_address(make, archive, tmp_path):
    (tmp_path / "tiny.zip").write_bytes(archive)
    assert make(url=(tmp_path / "tiny.zip").as_uri()).write(tmp_path / "out").keys() == {
        "train",
        "valid",
        "test",
    }


def test_connection_that_drops(make, archive, serve, tmp_path):
    url = serve(archive[:1000], promised=len(archive))
    with pytest.raises(UserError, match=f"ended after 1,000 of {len(archive):,} bytes; .*--from FOLDER"):
        make(url=url).write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_server_without_the_file(make, serve, tmp_path):
    url = serve(b"gone", status=404)
    with pytest.raises(UserError, match=r"could not be downloaded .*404.* as tiny\.zip .*--from FOLDER"):
        make(url=url).write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_in_a_download_is_told_with_its_address(make, serve, tmp_path):
    url = serve(zip_of({"left.csv": b"something else"}))
    with pytest.raises(UserError) as caught:
        make(url=url).write(tmp_path / "out")
    left, right = caught.value.problems
    assert left.startswith(f"left.csv in {url} is not the published left.csv: expected ")
    assert right.startswith("right.csv (or right.csv.gz, right.csv.bz2) is not in " + url)
    assert ".unfinished" not in str(caught.value)


def test_no_server(make, tmp_path):
    # Port 9 of this machine discards, where it is open at all.
    with pytest.raises(UserError, match=r"could not be downloaded .*--from FOLDER"):
        make(url="http://127.0.0.1:9/tiny.zip").write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_interrupt_leaves_the_folder_as_it_was(make, archive, serve, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(KeyboardInterrupt):
        make(url=serve(archive)).write(tmp_path / "out", progress=interrupt)
    assert everything_in(tmp_path / "out") == {"notes.txt": b"mine"}
