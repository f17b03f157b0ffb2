"""Equal socket buffers for servers that cannot be told their size.

With the system's default, a few hundred packets fit: fewer than the generator has under way. Such a
server would lose queries and be judged by its buffer. So the socket itself is widened from outside:
pidfd_getfd(2) gives a second descriptor of a child's socket, and its options are the socket's.
"""

import ctypes
import os
import socket
from pathlib import Path

SYS_PIDFD_GETFD = 438  # the same on all architectures
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33

_libc = ctypes.CDLL(None, use_errno=True)


def _sockets(pids):
    """Every socket of these processes, as a second descriptor of ours."""
    for pid in pids:
        process = os.pidfd_open(pid)
        try:
            for link in Path(f"/proc/{pid}/fd").iterdir():
                if not os.readlink(link).startswith("socket:"):
                    continue
                copy = _libc.syscall(SYS_PIDFD_GETFD, process, int(link.name), 0)
                if copy < 0:
                    raise OSError(ctypes.get_errno(), f"cannot reach a socket of process {pid}")
                with socket.socket(fileno=copy) as sock:
                    yield sock
        finally:
            os.close(process)


def _widen(sock, forced, plain, size):
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, plain, size)  # up to net.core.rmem_max and wmem_max


def widen(pids, port, size):
    """Widens all UDP sockets of these processes, those towards servers behind them too. Returns the
    octets of the smallest receive buffer among those bound to `port`."""
    granted = []
    for sock in _sockets(pids):
        if sock.type != socket.SOCK_DGRAM or sock.family != socket.AF_INET:
            continue
        _widen(sock, SO_RCVBUFFORCE, socket.SO_RCVBUF, size)
        _widen(sock, SO_SNDBUFFORCE, socket.SO_SNDBUF, size)
        if sock.getsockname()[1] == port:
            granted.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2)  # the kernel doubles it
    return min(granted)
