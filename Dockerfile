# One image for web processes and workers; compose.yaml has their commands.
FROM python:3.13-slim AS build

WORKDIR /src
COPY pyproject.toml README.md LICENSE manifest.yml ./
COPY bolt_app bolt_app
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv/bellhop
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-compile --require-hashes -r requirements.lock
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-compile --no-deps /wheels/*.whl
# The code belongs to root, so the process cannot change it. The user is a number, so that Kubernetes
# can verify that it is not root.
RUN useradd --uid 10001 --no-create-home bellhop && mkdir -m 700 var && chown bellhop var
USER 10001

ENV HOST=0.0.0.0
EXPOSE 3000
CMD ["bellhop", "run"]
