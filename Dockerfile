# Web pages and workers from one image; compose.yaml says which is which.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv/bellhop
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY app.py manifest.yml ./
COPY bolt_app bolt_app
RUN useradd --create-home bellhop && mkdir var && chown bellhop var
USER bellhop

ENV HOST=0.0.0.0
EXPOSE 3000
CMD ["python", "app.py"]
