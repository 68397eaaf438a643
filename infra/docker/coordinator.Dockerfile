# The coordinator and the command line. This image has no ML runtime: the worker package is an optional dependency of
# the command line and is not installed here. Build it at the repository's root:
#   docker build -f infra/docker/coordinator.Dockerfile -t trommel/coordinator .
FROM node:22.21.1-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.base.json ./
COPY packages/common/package.json packages/common/
COPY packages/coordinator/package.json packages/coordinator/
COPY packages/gpu-worker/package.json packages/gpu-worker/
COPY packages/trommel/package.json packages/trommel/
# No dependency needs its install script: native parts come as packages of their own.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY packages packages
# npm installs a workspace's optional dependency even with --omit=optional if it is a workspace too, so this image's copy
# of package.json does not list it.
RUN node_modules/.bin/tsc --build packages/trommel \
    && node_modules/.bin/vite build --config packages/trommel/dashboard/vite.config.js \
    && npm pkg delete optionalDependencies --workspace trommel \
    && npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
       --workspace @trommel/common --workspace @trommel/coordinator --workspace trommel \
    && test ! -e node_modules/onnxruntime-node

FROM node:22.21.1-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/packages/common packages/common
COPY --from=build /app/packages/coordinator packages/coordinator
COPY --from=build /app/packages/trommel packages/trommel
COPY infra/docker/check-redis.mjs infra/docker/
USER node
HEALTHCHECK --interval=15s --timeout=10s --start-period=20s --retries=4 \
    CMD ["node", "infra/docker/check-redis.mjs"]
# In exec form Node.js is the process that gets SIGTERM.
ENTRYPOINT ["node", "packages/trommel/bin/trommel.js"]
CMD ["coordinator"]
