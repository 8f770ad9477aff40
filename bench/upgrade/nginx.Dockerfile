# nginx as the switch between two generations of containers.
FROM debian:trixie-slim
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light libnginx-mod-stream \
 && rm -rf /var/lib/apt/lists/*
COPY nginx.conf /etc/nginx/template.conf
RUN printf 'events {}\nhttp { server { listen 81; } }\n' > /etc/nginx/nginx.conf
CMD ["nginx", "-g", "daemon off;"]
