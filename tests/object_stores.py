"""A real object store for tests: moto's server of S3, in this process."""

import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
import s3fs
from moto.server import ThreadedMotoServer

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def environment(endpoint):
    """What a process needs to find the store; no file of the user and no service of a cloud is asked."""
    files = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    return CREDENTIALS | files | {"AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"}


@contextmanager
def s3_server():
    """Its address; there is one bucket, "bucket"."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="bucket")
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


class _ReadOnly(BaseHTTPRequestHandler):
    """An S3 that is empty, and that may not be written to."""

    protocol_version = "HTTP/1.1"

    def _answer(self, status, content):
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        self._answer(200, b"<ListBucketResult><Name>bucket</Name><KeyCount>0</KeyCount></ListBucketResult>")

    def do_PUT(self):
        self.close_connection = True
        self._answer(403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")

    def log_message(self, *_):
        pass


@contextmanager
def read_only_server():
    """Its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _ReadOnly)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def s3_at(endpoint):
    """This process has the store of an endpoint for S3, and forgets it afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in environment(endpoint).items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield patch
        s3fs.S3FileSystem.clear_instance_cache()
