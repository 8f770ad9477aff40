# A release as relx packs it, unpacked to a directory that can be written, started by its own script.
ARG OTP=27
FROM erlang:${OTP}-slim
ARG VERSION=1.0.0
ADD demo-${VERSION}.tar.gz /opt/demo
WORKDIR /opt/demo
CMD ["bin/demo", "foreground"]
