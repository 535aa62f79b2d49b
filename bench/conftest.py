"""Benchmarks are timed one at a time."""


def pytest_xdist_auto_num_workers() -> int:
    """No processes beside this one, which pytest-benchmark would refuse to time in."""
    return 0
