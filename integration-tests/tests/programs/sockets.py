"""A server and a client with typical uses of sockets.

`sockets.py serve HOST PORT` prints "listening" and serves until it is killed.
`sockets.py talk HOST PORT` tests such a server, and prints "all is well".

The first line of a connection names the service.
"""

import hashlib
import os
import socket
import struct
import sys
import threading

MEGABYTE = 1_000_000
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

# The number of connections whose server end was reset.
resets = 0
resets_changed = threading.Condition()


def family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def read_line(connection):
    """Reads byte by byte, so that no data after the line is consumed."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            raise EOFError(f"the connection ended after {line}")
        line += byte
    return line.decode().strip()


def read_to_end(connection):
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    connection.close()


# The server.


def echo(connection):
    while piece := connection.recv(65536):
        connection.sendall(piece)


def digest(connection):
    """Answers after the client has closed its direction, with more data than a socket buffer holds."""
    received = read_to_end(connection)
    connection.sendall(hashlib.sha256(received).hexdigest().encode())
    connection.sendall(received)


def farewell(connection):
    """Closes its direction first, then waits for the client to close."""
    connection.sendall(b"x" * MEGABYTE)
    connection.shutdown(socket.SHUT_WR)
    read_to_end(connection)


def be_reset(connection):
    global resets
    connection.sendall(b"ready\n")
    try:
        read_to_end(connection)
    except ConnectionResetError:
        with resets_changed:
            resets += 1
            resets_changed.notify_all()


def tell_resets(connection):
    """Answers after the first reset."""
    with resets_changed:
        resets_changed.wait_for(lambda: resets > 0)
        connection.sendall(f"{resets}\n".encode())


SERVICES = {
    "echo": echo,
    "digest": digest,
    "farewell": farewell,
    "reset": reset,
    "be-reset": be_reset,
    "tell-resets": tell_resets,
}


def handle(connection):
    with connection:
        SERVICES[read_line(connection)](connection)


def serve(host, port):
    listener = socket.create_server((host, port), family=family(host), backlog=100)
    print("listening")
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=handle, args=(connection,), daemon=True).start()


# The client.


def connect(address, service):
    connection = socket.create_connection(address)
    connection.sendall(f"{service}\n".encode())
    return connection


def check_echo(address):
    data = os.urandom(MEGABYTE)
    with connect(address, "echo") as connection:

        def send():
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert read_to_end(connection) == data, "the returned bytes differ"
        sender.join()


def check_many(address):
    failures = []

    def one():
        try:
            check_echo(address)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def check_small_writes(address):
    with connect(address, "echo") as connection:
        for number in range(2000):
            message = f"message {number}\n"
            connection.sendall(message.encode())
            assert read_line(connection) + "\n" == message


def check_half_close(address):
    data = os.urandom(5 * MEGABYTE)
    with connect(address, "digest") as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = read_to_end(connection)
    assert answer[:64].decode() == hashlib.sha256(data).hexdigest(), "the digest differs"
    assert answer[64:] == data, "the returned bytes differ"


def check_farewell(address):
    with connect(address, "farewell") as connection:
        assert read_to_end(connection) == b"x" * MEGABYTE
        # The other direction still works.
        connection.sendall(os.urandom(MEGABYTE))


def check_reset_by_server(address):
    with connect(address, "reset") as connection:
        try:
            read_to_end(connection)
        except ConnectionResetError:
            return
    raise AssertionError("the server's reset was not reported")


def check_reset_by_client(address):
    connection = connect(address, "be-reset")
    assert read_line(connection) == "ready"
    connection.sendall(b"lost")
    reset(connection)
    with connect(address, "tell-resets") as connection:
        assert read_line(connection) == "1"


def check_timeout(address):
    """A read that times out leaves the connection usable."""
    with connect(address, "echo") as connection:
        connection.settimeout(0.01)
        try:
            connection.recv(1)
            raise AssertionError("received data that was not sent")
        except TimeoutError:
            pass
        connection.settimeout(None)
        connection.sendall(b"still here\n")
        assert read_line(connection) == "still here"


def talk(host, port):
    address = (host, port)
    check_echo(address)
    check_many(address)
    check_small_writes(address)
    check_half_close(address)
    check_farewell(address)
    check_reset_by_server(address)
    check_reset_by_client(address)
    check_timeout(address)
    print("all is well")


if __name__ == "__main__":
    role, host, port = sys.argv[1:]
    {"serve": serve, "talk": talk}[role](host, int(port))
