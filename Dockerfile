# docker build -t kinowatt . && docker run -p 8000:8000 -v kinowatt:/data kinowatt
# A server that others can reach needs keys: docker run --rm -v kinowatt:/data kinowatt keys create NAME
FROM python:3.11-slim

RUN useradd --create-home kinowatt && mkdir /data && chown kinowatt /data
WORKDIR /app
# torch first and by itself; PIP_ARGS may name another index, for example of builds without CUDA, which are far smaller.
ARG PIP_ARGS=""
RUN pip install --no-cache-dir $PIP_ARGS "torch>=2.6"
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir ".[cpu,serve,postgres]"

USER kinowatt
ENV KINOWATT_DATA=/data KINOWATT_CACHE=/data/cache KINOWATT_HOME=/data/home
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --start-period=20s CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"
ENTRYPOINT ["kinowatt"]
CMD ["serve", "--host", "0.0.0.0"]
