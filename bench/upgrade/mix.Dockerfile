# A release as mix makes it, started by its own script. Debian has one Elixir for one OTP, which both stages have.
FROM erlang:25 AS build
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends elixir \
 && rm -rf /var/lib/apt/lists/*
ENV LANG=C.UTF-8 MIX_ENV=prod
COPY mix /src
WORKDIR /src
RUN mix release --path /opt/app

FROM erlang:25-slim
ENV LANG=C.UTF-8
COPY --from=build /opt/app /opt/app
WORKDIR /opt/app
CMD ["bin/app", "start"]
