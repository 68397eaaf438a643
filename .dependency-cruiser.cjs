/** Imports go one way: coordinator -> common <- gpu-worker, and inside the worker main -> job-router -> stages -> the rest. */
const inner = "image|graph|backbone|linalg|head";
module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    {
      name: "common-imports-nobody",
      severity: "error",
      from: { path: "^packages/common/src" },
      to: { path: "^packages/(coordinator|gpu-worker)/" },
    },
    {
      name: "coordinator-has-no-ml-runtime",
      severity: "error",
      from: { path: "^packages/coordinator/src" },
      to: { path: "^packages/gpu-worker/|node_modules/(onnxruntime-node|@tensorflow|sharp)/" },
    },
    {
      name: "worker-does-not-import-coordinator",
      severity: "error",
      from: { path: "^packages/gpu-worker/src" },
      to: { path: "^packages/coordinator/" },
    },
    {
      name: "stages-are-the-only-callers-downwards",
      severity: "error",
      from: { path: `^packages/gpu-worker/src/(${inner})/` },
      to: { path: "^packages/gpu-worker/src/(stages|main|job-router)" },
    },
    {
      name: "inner-folders-stand-alone",
      comment: "Only head and backbone may reach another inner folder, and that folder is graph.",
      severity: "error",
      from: { path: `^packages/gpu-worker/src/(${inner})/` },
      to: {
        path: `^packages/gpu-worker/src/(${inner})/`,
        pathNot: "^packages/gpu-worker/src/($1|graph)/",
      },
    },
    {
      name: "image-graph-linalg-import-no-sibling",
      severity: "error",
      from: { path: "^packages/gpu-worker/src/(image|graph|linalg)/" },
      to: { path: `^packages/gpu-worker/src/(${inner})/`, pathNot: "^packages/gpu-worker/src/$1/" },
    },
    {
      name: "packages-do-not-import-tests",
      severity: "error",
      from: { path: "^packages/" },
      to: { path: "^test/" },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.base.json" },
    doNotFollow: { path: "node_modules" },
    exclude: { path: "/dist/" },
    enhancedResolveOptions: { conditionNames: ["import", "types", "node", "default"], exportsFields: ["exports"] },
  },
};
