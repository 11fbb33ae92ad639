# The first program of the virtual machine (PID 1): mounts the data disk as an image would, performs the exams on it.
import fcntl
import os
import socket
import struct
import sys

sys.path.insert(0, "/specular")
from deploy.virtual_machine.first_program import environment, first_program, kernel_word, mount, unmount

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
DISK = "/dev/vda"


def loopback_up() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def perform_exams() -> int:
    loopback_up()
    mount("ext4", "/data", DISK)
    os.chdir("/specular")
    words = kernel_word("specular.exams").split(",")
    arguments = [sys.executable, "-u", "-m", "deploy.power_cuts.exams", DISK, "/data", *words]
    status = os.spawnve(os.P_WAIT, sys.executable, arguments, environment())
    unmount("/data")
    return status


first_program(perform_exams, {})
