# A worker on an NVIDIA GPU, linux/amd64 only. Build it at the repository's root:
#   docker build -f infra/docker/worker-gpu.Dockerfile -t trommel/worker-gpu:0.1.0 .
#
# Two generations of CUDA are in it, because the two engines are built against different ones:
# - ONNX Runtime 1.30's CUDA provider asks for CUDA 12 and cuDNN 9, which are the base image's.
# - @tensorflow/tfjs-node-gpu 4.22 loads libtensorflow 2.9.1, built against CUDA 11.2 and cuDNN 8.1. Any later 11.x and
#   8.x fit by NVIDIA's minor-version compatibility; they are copied in from the CUDA 11.8 image.
# Sonames differ (libcudart.so.11.0 and .so.12, libcudnn.so.8 and .so.9), so both load side by side.
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
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY packages packages
RUN node_modules/.bin/tsc --build packages/coordinator packages/gpu-worker \
    && npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
       --workspace @trommel/common --workspace @trommel/coordinator --workspace @trommel/gpu-worker
# The CUDA provider is no npm file: onnxruntime-node's own installer fetches the one of its version.
RUN ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js \
    && test -f node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so
# An optional peer of the worker, beside the TensorFlow.js packages that it shares with it; `rebuild` runs its installer,
# which fetches libtensorflow.
RUN npm install --no-save --omit=dev --ignore-scripts --no-audit --no-fund \
       --workspace @trommel/gpu-worker @tensorflow/tfjs-node-gpu@4.22.0 \
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
# NVIDIA's own entry point only prints a banner; without it Node.js is the process that gets SIGTERM.
ENTRYPOINT ["node", "packages/trommel/bin/trommel.js"]
CMD ["worker", "--device", "cuda"]
