# The hub image as one usually writes it: apt-get, pip wheel in one stage, pip install in the next.
ARG BASE
FROM ${BASE} AS wheels
# Where the site's packages come from; empty values leave the programs' own.
ARG PIP_INDEX_URL
ARG PIP_CERT
ARG SSL_CERT_FILE
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip && rm -rf /var/lib/apt/lists/*
COPY requirements.txt /src/
RUN --mount=type=cache,target=/root/.cache/pip pip wheel --require-hashes --wheel-dir /wheels -r /src/requirements.txt

FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends \
      ca-certificates libstdc++6 media-types netbase python3 python3-venv tini tzdata \
    && rm -rf /var/lib/apt/lists/*
# buildah 1.28's cache key of the step below does not know the mounted stage: who wants the right image names what changed.
ARG FREEZE
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    : "${FREEZE}" && python3 -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --no-compile --no-index /wheels/*.whl
COPY rootfs /
ENV PATH=/opt/venv/bin:/usr/bin:/bin HOME=/home/jovyan LANG=C.UTF-8
WORKDIR /srv/jupyterhub
USER 1000:1000
ENTRYPOINT ["tini", "--"]
CMD ["jupyterhub"]
EXPOSE 8081
