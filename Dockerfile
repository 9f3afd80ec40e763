# ARM in a container, from the same Debian package as everywhere: scripts/build-image makes both. docs/container.md tells
# how to run it.
#
# Everything is made in the first stage; the second takes the result as one layer, without what was only needed on the
# way. It fails when the image is larger than MOST_MB, so that nobody finds out later.

ARG BASE=debian:bookworm-slim
FROM ${BASE} AS root
ARG MOST_MB=150
COPY build/deb/image/active-route-manager.deb container/arm.toml container/entrypoint container/healthcheck container/sbom /tmp/container/
RUN set -eu; \
    export DEBIAN_FRONTEND=noninteractive; \
    # fixed numbers, as orchestrators ask for them and volumes keep them
    groupadd --system --gid 931 arm; \
    useradd --system --uid 931 --gid arm --home-dir /var/lib/arm --no-create-home --shell /usr/sbin/nologin arm; \
    apt-get update; \
    apt-get install --yes --no-install-recommends systemd-standalone-sysusers /tmp/container/active-route-manager.deb; \
    install -m 640 -g arm /tmp/container/arm.toml /etc/arm/arm.toml; \
    install -m 755 /tmp/container/entrypoint /tmp/container/healthcheck /usr/lib/active-route-manager/; \
    # for root of that group too, who is not let through without CAP_DAC_OVERRIDE
    install -d -m 770 -o arm -g arm /var/lib/arm; \
    install -d /usr/share/sbom; \
    /usr/lib/active-route-manager/bin/python3 -I /tmp/container/sbom >/usr/share/sbom/active-route-manager.cdx.json; \
    apt-get clean; \
    find /usr/share/doc /usr/share/man /usr/share/info -type f ! -name copyright -delete; \
    find /usr/share/doc /usr/share/man /usr/share/info -type d -empty -delete; \
    rm -rf /tmp/container /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* \
        /usr/share/locale/* /usr/share/lintian /usr/share/bash-completion \
        /usr/lib/*/gconv /usr/lib/python3*/pydoc_data /usr/share/zoneinfo/posix /usr/share/zoneinfo/right; \
    size=$(du --summarize --one-file-system --block-size=1M --exclude=/proc --exclude=/sys --exclude=/dev / | cut -f1); \
    echo "the image has $size MB"; \
    test "$size" -lt "$MOST_MB"

FROM scratch
COPY --from=root / /
LABEL org.opencontainers.image.title="Active Route Manager" \
      org.opencontainers.image.description="Keeps the routes that carry the most traffic in the hardware of a white-box switch" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TMPDIR=/var/lib/arm
USER 931:931
WORKDIR /var/lib/arm
VOLUME ["/var/lib/arm"]
EXPOSE 8008/tcp 1179/tcp 6343/udp
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/lib/active-route-manager/healthcheck"]
ENTRYPOINT ["/usr/lib/active-route-manager/entrypoint"]
CMD ["run"]
