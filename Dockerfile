# The job in an image: dependencies at the versions of uv.lock, checked by their hashes; no compiler, no uv, no root.
#   docker build -t forestall .
#   docker run --rm -v "$PWD/var:/data" forestall replay replay/bundled --store sqlite:////data/run.db

FROM python:3.11.14-slim-bookworm AS build
COPY --from=ghcr.io/astral-sh/uv:0.13.9 /uv /usr/local/bin/uv
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /app
# Dependencies first: they change seldom, so their layer is built seldom.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --no-install-project
COPY LICENSE README.md ./
COPY config config
COPY detectors detectors
COPY operators operators
COPY sinks sinks
COPY dataflows dataflows
COPY replay replay
RUN uv sync --locked --no-dev

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --user-group --home-dir /data forestall \
 && install -d -o forestall -g forestall /data
COPY --from=build /app /app
# Files belong to root and are only read: a job that is taken over cannot change its own code.
# Bytewax's API server would listen on all interfaces as soon as BYTEWAX_DATAFLOW_API_ENABLED is set, to whatever value.
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 POLARS_MAX_THREADS=1
WORKDIR /app
VOLUME /data
USER 10001:10001
# Metrics and health, once metrics.port is set to it; see deploy/.
EXPOSE 9464
# Signals reach the job itself: SIGTERM ends the epoch and exits 0.
ENTRYPOINT ["forestall"]
CMD ["--help"]
