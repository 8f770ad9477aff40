# A release as relx packs it, unpacked to a directory that can be written, started by its own script.
ARG OTP=27
FROM erlang:${OTP}-slim
ARG VERSION=1.0.0
ADD demo-${VERSION}.tar.gz /opt/demo
# One cookie for the node, its script and erl_call.
RUN printf demo > /root/.erlang.cookie && chmod 400 /root/.erlang.cookie
WORKDIR /opt/demo
CMD ["bin/demo", "foreground"]
