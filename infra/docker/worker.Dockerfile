# A worker on the CPU, with ONNX Runtime and TensorFlow.js's wasm backend as npm ships them. Build it at the repository's
# root:
#   docker build -f infra/docker/worker.Dockerfile -t trommel/worker .
FROM node:22.21.1-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.base.json ./
COPY packages/common/package.json packages/common/
COPY packages/coordinator/package.json packages/coordinator/
COPY packages/gpu-worker/package.json packages/gpu-worker/
COPY packages/trommel/package.json packages/trommel/
# No dependency needs its install script here: native parts come as packages of their own, and onnxruntime-node's script
# only fetches CUDA files.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY packages packages
# The workspace root's own dependencies are the worker's optional ones: TensorFlow.js and h5wasm.
RUN node_modules/.bin/tsc --build packages/trommel \
    && node_modules/.bin/vite build --config packages/trommel/dashboard/vite.config.js \
    && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --include-workspace-root \
       --workspace @trommel/common --workspace @trommel/coordinator --workspace @trommel/gpu-worker \
       --workspace trommel

FROM node:22.21.1-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/packages packages
COPY infra/docker/check-redis.mjs infra/docker/
USER node
HEALTHCHECK --interval=15s --timeout=10s --start-period=20s --retries=4 \
    CMD ["node", "infra/docker/check-redis.mjs"]
# In exec form Node.js is the process that gets SIGTERM; the worker then finishes the shard in hand.
ENTRYPOINT ["node", "packages/trommel/bin/trommel.js"]
CMD ["worker", "--device", "cpu"]
