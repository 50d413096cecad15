# One image for the gateway, the workers and the migrations. Both stages stand on one base, so that the virtual environment can be copied.
FROM python:3.13-slim-bookworm AS build
WORKDIR /build
# For a package index of your own: docker build --build-arg PIP_INDEX_URL=… ; it does not reach the final stage.
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# The libraries first: they change less often than the code. Wheels only: the one thing that is compiled here is the native library.
COPY pyproject.toml constraints.txt ./
RUN [ -n "$PIP_INDEX_URL" ] || unset PIP_INDEX_URL; \
    python3 -m venv /opt/gristmill \
 && python3 -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*p["dependencies"], *p["optional-dependencies"]["server"], sep="\n")' > requirements.txt \
 && /opt/gristmill/bin/pip install --only-binary :all: -c constraints.txt -r requirements.txt hatchling 'ziglang>=0.15,<0.18'
COPY README.md LICENSE hatch_build.py ./
COPY shared shared
COPY api_service api_service
COPY worker_service worker_service
COPY gristmill gristmill
# Packages that only building and testing need are removed again. /opt/gristmill/server has the packages of the server, for every Python.
RUN /opt/gristmill/bin/pip install --no-deps --no-build-isolation --no-index . \
 && /opt/gristmill/bin/pip uninstall -y hatchling ziglang pathspec pluggy tomlkit trove-classifiers pip \
 && rm -rf /opt/gristmill/lib/python3.*/site-packages/*/tests /opt/gristmill/lib/python3.*/site-packages/setuptools* \
 && ln -s /opt/gristmill/lib/python3.*/site-packages/gristmill/_server /opt/gristmill/server \
 && PYTHONPATH=/opt/gristmill/server /opt/gristmill/bin/python3 -P -c 'import api_service.__main__, api_service.server, api_service.services.spec_check_process, api_service.encoding.files, worker_service.worker, worker_service.child.tasks, gristmill.cli; from worker_service.native import variant; assert variant()'

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="Gristmill" org.opencontainers.image.licenses="Apache-2.0"
# A volume put at the storage folder takes its owner from here.
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gristmill \
 && install -d -o gristmill -g gristmill -m 0750 /var/lib/gristmill
COPY --from=build /opt/gristmill /opt/gristmill
ENV PATH=/opt/gristmill/bin:$PATH PYTHONPATH=/opt/gristmill/server PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1 GRISTMILL_STORAGE=/var/lib/gristmill
USER 10001
WORKDIR /var/lib/gristmill
EXPOSE 8080
# Exec form: the service is process 1 and gets SIGTERM itself.
CMD ["python3", "-m", "api_service", "serve"]
