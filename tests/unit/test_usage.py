"""The usage that a worker tells of itself, beside psutil's."""

import subprocess
import sys

import psutil

from worker_service.maintenance.usage import Meter

BUSY = """
import os, subprocess, sys, time
program = "x = bytearray(200_000_000); print(1, flush=True); input()"
child = subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1)
child.stdout.readline()
end = time.process_time() + 0.3
while time.process_time() < end: pass
print("ready", flush=True)
sys.stdin.read()
child.communicate(b"\\n")
"""


def test_memory_and_time_are_those_of_the_process_and_of_all_below_it():
    clock = iter([10.0, 12.0])
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        meter = Meter(lambda: next(clock), process.pid)
        first = meter.read()
        assert process.stdout.readline() == b"ready\n"
        parent = psutil.Process(process.pid)
        tree = [parent, *parent.children(recursive=True)]
        second = meter.read()
        memory = sum(each.memory_info().rss for each in tree)
        seconds = sum(sum(each.cpu_times()[:4]) for each in tree)
    finally:
        process.communicate(b"")

    assert len(tree) == 2
    assert memory > 200_000_000
    assert abs(second.rss_bytes - memory) < 5_000_000
    assert abs(second.cpu_seconds - seconds) < 0.1
    assert first.cpu_cores is None
    assert abs(second.cpu_cores - (second.cpu_seconds - first.cpu_seconds) / 2) < 0.01


def test_a_process_that_is_gone_has_no_usage():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    usage = Meter(pid=process.pid).read()

    assert (usage.rss_bytes, usage.cpu_seconds, usage.cpu_cores) == (None, None, None)
