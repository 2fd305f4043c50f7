# Two images of one house: `api` answers without torch, `worker` trains and scores with it.
#   docker build --target api -t module-zoo-api .
#   docker build --target worker -t module-zoo-worker .
FROM python:3.12-slim AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# An account that owns nothing but its data, so that a fault in a parser reaches no further.
RUN useradd --create-home --uid 10001 zoo && mkdir /data && chown zoo:zoo /data
WORKDIR /app
ENV ZOO_HOME=/data
VOLUME /data

FROM base AS api
COPY requirements-service.txt ./
RUN pip install --require-hashes -r requirements-service.txt
COPY pyproject.toml README.md LICENSE ./
COPY kernel_methods kernel_methods
COPY registry registry
COPY storage storage
COPY api api
USER zoo
ENV ZOO_HOST=0.0.0.0 ZOO_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["python", "-m", "api"]

FROM base AS worker
COPY requirements-worker.txt ./
RUN pip install --require-hashes -r requirements-worker.txt
COPY pyproject.toml README.md LICENSE ./
COPY kernel_methods kernel_methods
COPY registry registry
COPY client client
COPY trainer trainer
USER zoo
CMD ["python", "-m", "trainer", "work"]
