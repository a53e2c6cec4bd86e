# The service. CPU by default; `--build-arg VARIANT=cuda` installs vLLM's CUDA build instead.
FROM python:3.11.14-slim-bookworm AS build
ARG VARIANT=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/fgctl
ENV PATH=/opt/fgctl/bin:$PATH
COPY requirements requirements
# The CPU list is complete and pinned, so nothing is resolved; the CUDA build brings libraries of its own.
RUN if [ "$VARIANT" = cpu ]; then \
      pip install --no-deps -r requirements/cpu.txt --extra-index-url https://download.pytorch.org/whl/cpu; \
    else \
      pip install "vllm==0.32.0"; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY cli cli
COPY measuring measuring
COPY policies policies
COPY rewards rewards
COPY service service
COPY trainer trainer
# The CUDA extra in pyproject.toml pins vLLM, and vLLM what belongs to it.
# hadolint ignore=DL3013
RUN if [ "$VARIANT" = cpu ]; then pip install --no-deps .; else pip install ".[cuda]"; fi

FROM python:3.11.14-slim-bookworm
# g++ is for models that vLLM compiles by Inductor or Triton.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libtcmalloc-minimal4 libnuma1 g++ \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 fgctl
COPY --from=build /opt/fgctl /opt/fgctl
ENV PATH=/opt/fgctl/bin:$PATH
USER 10001
WORKDIR /home/fgctl
# Convert the base model now, so that a container starts in half a minute and needs no writable cache.
RUN fgctl base
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
ENTRYPOINT ["fgctl"]
CMD ["serve", "--host", "0.0.0.0"]
