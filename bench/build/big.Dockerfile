# An image of large files.
ARG BASE
FROM ${BASE}
COPY rootfs /
