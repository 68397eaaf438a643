# A worker on an NVIDIA GPU, linux/amd64 only. Build it at the repository's root:
#   docker build -f infra/docker/worker-gpu.Dockerfile -t trommel/worker-gpu .
#
# The image holds two generations of CUDA, because the two engines need different ones:
# - ONNX Runtime 1.30's CUDA provider needs CUDA 12 and cuDNN 9, which the base image has.
# - @tensorflow/tfjs-node-gpu 4.22 loads libtensorflow 2.9.1, built against CUDA 11.2 and cuDNN 8.1. NVIDIA's
#   minor-version compatibility lets any later 11.x and 8.x serve; they are copied from the CUDA 11.8 image.
# The sonames differ (libcudart.so.11.0 and .so.12, libcudnn.so.8 and .so.9), so one process can load both.
FROM node:22.21.1-bookworm-slim AS node

FROM node AS build
WORKDIR /app
# tfjs-node-gpu's installer unpacks libtensorflow over TLS.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY package.json package-lock.json .npmrc tsconfig.base.json ./
COPY packages/common/package.json packages/common/
COPY packages/coordinator/package.json packages/coordinator/
COPY packages/gpu-worker/package.json packages/gpu-worker/
COPY packages/trommel/package.json packages/trommel/
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY packages packages
# The workspace root's own dependencies are the worker's optional ones: TensorFlow.js and h5wasm.
RUN node_modules/.bin/tsc --build packages/trommel \
    && node_modules/.bin/vite build --config packages/trommel/dashboard/vite.config.js \
    && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --include-workspace-root \
       --workspace @trommel/common --workspace @trommel/coordinator --workspace @trommel/gpu-worker \
       --workspace trommel
# The npm package does not contain the CUDA provider: onnxruntime-node's own installer fetches the matching version.
RUN ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js \
    && test -f node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so
# The worker and tfjs-node-gpu share the TensorFlow.js packages. `rebuild` runs its installer, which fetches libtensorflow.
RUN npm install --no-save --omit=dev --ignore-scripts --no-audit --no-fund \
       @tensorflow/tfjs-node-gpu@4.22.0 \
    && npm rebuild @tensorflow/tfjs-node-gpu

FROM nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu22.04 AS cuda11

FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu22.04
ENV NODE_ENV=production
COPY --from=cuda11 /usr/local/cuda-11.8/targets/x86_64-linux/lib /opt/cuda-11.8/lib
COPY --from=cuda11 /usr/lib/x86_64-linux-gnu/libcudnn*.so.8* /opt/cuda-11.8/lib/
RUN echo /opt/cuda-11.8/lib > /etc/ld.so.conf.d/cuda-11-8.conf \
    && ldconfig \
    && groupadd --gid 1000 node \
    && useradd --uid 1000 --gid node --create-home node
COPY --from=node /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/packages packages
COPY infra/docker/check-redis.mjs infra/docker/
USER node
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 \
    CMD ["node", "infra/docker/check-redis.mjs"]
# NVIDIA's own entry point only prints a banner. Without it Node.js is the process that gets SIGTERM.
ENTRYPOINT ["node", "packages/trommel/bin/trommel.js"]
CMD ["worker", "--device", "cuda"]
