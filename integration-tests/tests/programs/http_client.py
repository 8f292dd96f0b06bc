"""http.client against a server with /data/N and /sha256: `http_client.py HOST PORT`.

All requests use one connection. Prints "all is well".
"""

import hashlib
import http.client
import os
import sys


def answer(connection):
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, (response.status, body)
    return body


def check_chunks(connection, chunks):
    connection.request("PUT", "/sha256", body=iter(chunks), encode_chunked=True)
    told = answer(connection).decode()
    assert told == hashlib.sha256(b"".join(chunks)).hexdigest(), "the digest differs"


def main(host, port):
    connection = http.client.HTTPConnection(host, port)
    connection.connect()
    socket = connection.sock
    for length in [0, 1, 1459, 1460, 1461, 65536, 5_000_000]:
        connection.request("GET", f"/data/{length}")
        assert len(answer(connection)) == length
        check_chunks(connection, [os.urandom(length or 1)])
    check_chunks(connection, [os.urandom(size) for size in range(1, 2000)])
    check_chunks(connection, [os.urandom(100_000) for _ in range(100)])
    assert connection.sock is socket, "the connection was not kept"
    connection.close()
    print("all is well")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
