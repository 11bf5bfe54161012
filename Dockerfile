# One program for all services and for the operator: `docker build .`, and a gateway: `docker build --target gateway .`
#
# cargo's registry and target folder are caches of the builder, so a change compiles only our crates. The image contains one
# program: no shell, no package manager, no root. `angarium order-service` is a service.

FROM rust:1-slim-trixie AS build
# The repository's compiler: the image's own if it is the same version, otherwise rustup downloads it.
COPY rust-toolchain.toml /toolchain/
RUN version="$(sed -n 's/^channel = "\(.*\)"$/\1/p' /toolchain/rust-toolchain.toml)" \
    && (rustc --version | grep -F "rustc $version " || rustup default "$version")
WORKDIR /src
COPY Cargo.lock Cargo.toml ./
COPY proto proto
COPY third_party third_party
COPY shared shared
COPY services services
# Only the manifests of the other packages, so that a changed test recompiles nothing.
COPY bench/Cargo.toml bench/
COPY tests/Cargo.toml tests/
COPY tests/faults/Cargo.toml tests/faults/
COPY tests/fuzzing/Cargo.toml tests/fuzzing/
COPY tests/load/Cargo.toml tests/load/
COPY tests/overlay/Cargo.toml tests/overlay/
COPY tests/processes/Cargo.toml tests/processes/
COPY tests/scenarios/Cargo.toml tests/scenarios/
COPY tests/switches/Cargo.toml tests/switches/
COPY tests/tools/Cargo.toml tests/tools/
COPY xtask/Cargo.toml xtask/
COPY deploy/licenses.sh deploy/sbom.sh deploy/
RUN mkdir bench/src tests/faults/src tests/fuzzing/src tests/load/src tests/overlay/src tests/processes/src tests/scenarios/src \
        tests/switches/src tests/tools/src xtask/src \
    && touch bench/src/main.rs tests/faults/src/main.rs tests/fuzzing/src/lib.rs tests/load/src/lib.rs tests/overlay/src/main.rs \
        tests/processes/src/lib.rs tests/scenarios/src/lib.rs tests/switches/src/lib.rs tests/tools/src/main.rs xtask/src/main.rs
# File times are not reliable: the cache may be newer than this checkout. So our crates are always recompiled.
RUN --mount=type=cache,id=angarium-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=angarium-target,target=/src/target,sharing=locked \
    find proto services shared third_party -type f -exec touch {} + \
    && cargo build --release --locked --package angarium \
    && mkdir /programs \
    && cp target/release/angarium /programs/ \
    && deploy/sbom.sh angarium > /programs/angarium.spdx \
    && deploy/licenses.sh angarium > /programs/angarium.licenses \
    # A volume that is mounted here begins as this folder's owner's.
    && mkdir -p /definitions

# The gateway in front of the services: one address for any number of replicas.
FROM debian:trixie-slim AS gateway
RUN apt-get update \
    && apt-get install --yes --no-install-recommends haproxy \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /programs/angarium /usr/local/bin/
COPY --from=build /programs/angarium.spdx /programs/angarium.licenses /usr/share/doc/angarium/
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/angarium/
COPY deploy/gateway/ /etc/haproxy/
USER 65532:65532
# Asks the services as a caller does: through the gateway.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["/usr/local/bin/angarium", "healthcheck"]
# Lets calls finish; SIGTERM would cut them off.
STOPSIGNAL SIGUSR1
ENTRYPOINT ["/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"]

# Last, so that `docker build .` builds this image.
FROM gcr.io/distroless/cc-debian13:nonroot AS angarium
ARG REVISION=unknown
COPY --from=build /programs/angarium /usr/local/bin/
COPY --from=build /programs/angarium.spdx /programs/angarium.licenses /usr/share/doc/angarium/
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/angarium/
COPY --from=build --chown=65532:65532 /definitions /definitions
LABEL org.opencontainers.image.title="Angarium" \
      org.opencontainers.image.description="Event-driven microservices over gRPC" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
USER 65532:65532
# Logs of containers are read by machines first.
ENV LOG_FORMAT=json
ENTRYPOINT ["/usr/local/bin/angarium"]
