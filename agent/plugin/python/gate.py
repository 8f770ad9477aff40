#!/usr/bin/python3
"""A gate in Python: it objects while a file is there. It needs grpcio, Debian's python3-grpcio, and nothing else.

The handshake is go-plugin's: one line on standard output says where this listens. gRPC for Python knows no certificates of
the curve that AutoMTLS uses, so the gate says mtls = false, and the directory of the socket, which is the agent's alone,
keeps others out.
"""

import os
import sys
import threading
from concurrent import futures

import grpc

# The two messages of plugin.proto are so small that they are read and written here; protoc --python_out makes what larger
# ones need.


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """The number and bytes of each field of a message, all of which are of the wire type 2 here."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        length, at = varint(data, at)
        yield key >> 3, data[at : at + length]
        at += length


def request(data):
    """A CheckRequest as a dictionary."""
    names = {1: "when", 2: "upgrade", 3: "release", 4: "from", 5: "to"}
    asked = {"config": {}}
    for number, content in fields(data):
        if number == 6:
            pair = dict(fields(content))
            asked["config"][pair.get(1, b"").decode()] = pair.get(2, b"").decode()
        elif number in names:
            asked[names[number]] = content.decode()
    return asked


def response(reason):
    """A CheckResponse: all is well where there is no reason."""
    if not reason:
        return b"\x08\x01"
    text = reason.encode()[:100]
    return b"\x12" + bytes([len(text)]) + text


def check(asked, _context):
    """The question that this gate is for."""
    path = asked["config"].get("file", "")
    if not path:
        return "the gate's config names no file"
    if os.path.exists(path):
        return f"{path} is there"
    return ""


def main():
    if os.environ.get("THESEUS_PLUGIN") != "gate-or-source":
        sys.exit("this is a plugin of the agent, which starts it")
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    done = threading.Event()
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "theseus.plugin.v1.Gate",
                {"Check": grpc.unary_unary_rpc_method_handler(check, request, response)},
            ),
            grpc.method_handlers_generic_handler(
                "plugin.GRPCController",
                {"Shutdown": grpc.unary_unary_rpc_method_handler(lambda _r, _c: done.set() or b"")},
            ),
        )
    )
    path = os.path.join(os.environ["PLUGIN_UNIX_SOCKET_DIR"], "gate")
    server.add_insecure_port("unix:" + path)
    server.start()
    print(f"1|1|unix|{path}|grpc", flush=True)
    done.wait()
    server.stop(0)


main()
