# The coordinator and the command line. It holds no ML runtime: only the packages of @trommel/coordinator and
# @trommel/common are installed. Build it at the repository's root:
#   docker build -f infra/docker/coordinator.Dockerfile -t trommel/coordinator:0.1.0 .
FROM node:22.21.1-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.base.json ./
COPY packages/common/package.json packages/common/
COPY packages/coordinator/package.json packages/coordinator/
COPY packages/gpu-worker/package.json packages/gpu-worker/
# No dependency needs its install script: native parts come as packages of their own.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY packages/common packages/common
COPY packages/coordinator packages/coordinator
RUN node_modules/.bin/tsc --build packages/coordinator \
    && npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
       --workspace @trommel/common --workspace @trommel/coordinator

FROM node:22.21.1-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/packages/common packages/common
COPY --from=build /app/packages/coordinator packages/coordinator
COPY infra/docker/check-redis.mjs infra/docker/
USER node
HEALTHCHECK --interval=15s --timeout=10s --start-period=20s --retries=4 \
    CMD ["node", "infra/docker/check-redis.mjs"]
# Node.js is the process that gets SIGTERM (exec form).
ENTRYPOINT ["node", "packages/trommel/bin/trommel.js"]
CMD ["coordinator"]
