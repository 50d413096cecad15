"""A real child process that any process of its user may look into (`open_service`)."""

from worker_service.child import __main__ as child

if __name__ == "__main__":
    child.isolate = dict
    child.main()
