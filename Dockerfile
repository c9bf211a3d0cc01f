# An image for integrations: `docker build --build-arg INTEGRATION=examples/mlflow -t my-integration .`
# docs/how-to/scale-out.md says how it is run.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements/run.txt requirements/build.txt ./requirements/
RUN python -m venv /opt/tidegate \
    && /opt/tidegate/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements/run.txt -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/tidegate/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
ARG INTEGRATION=examples/mlflow
RUN useradd --system --uid 10001 --create-home --home-dir /srv/integration tidegate
COPY --from=build /opt/tidegate /opt/tidegate
COPY --chown=tidegate ${INTEGRATION} /srv/integration
ENV PATH=/opt/tidegate/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /srv/integration
EXPOSE 8000 8001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8001/healthz', timeout=2)"]
ENTRYPOINT ["tidegate", "run", "main:integration"]
