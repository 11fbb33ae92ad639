# The first program of the virtual machine (PID 1): runs the tests, their exit status on the console.
import os
import sys

sys.path.insert(0, "/specular")
from deploy.virtual_machine.first_program import environment, first_program, kernel_word, mount

# One camera with one webcam input: picture sizes and rates as a UVC camera has them.
PARAMETERS = {"vivid": "n_devs=1 node_types=0x1 num_inputs=1 input_types=0", "dummy_hcd": "is_high_speed=1"}


def run_tests() -> int:
    mount("configfs", "/sys/kernel/config")
    options = kernel_word("specular.pytest")
    arguments = [sys.executable, "-u", "-m", "pytest", "-c", "/dev/null", "--rootdir=/specular", "--noconftest"]
    arguments += ["-v", "-ra", "--tb=short", "--durations=5", "-p", "no:cacheprovider", "-o", "trio_mode=true"]
    arguments += ["--timeout=150", "-W", "error", *(options.split(",") if options else []), "/specular/tests/kernel"]
    os.chdir("/specular")
    return os.spawnve(os.P_WAIT, sys.executable, arguments, environment())


first_program(run_tests, PARAMETERS)
