# The proxy image as one usually writes it: npm in one stage, Node.js alone in the next.
ARG BASE
FROM ${BASE} AS modules
ARG NPM_CONFIG_REGISTRY
ARG NODE_EXTRA_CA_CERTS
RUN apt-get update && apt-get install -y --no-install-recommends npm && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/proxy
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --ignore-scripts

FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates netbase nodejs tini \
    && rm -rf /var/lib/apt/lists/*
COPY --from=modules /opt/proxy /opt/proxy
COPY rootfs /
ENV PATH=/opt/proxy/node_modules/.bin:/usr/bin:/bin LANG=C.UTF-8 NODE_ENV=production
USER 65534:65534
ENTRYPOINT ["tini", "--"]
CMD ["configurable-http-proxy"]
EXPOSE 8000 8001
