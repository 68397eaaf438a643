export { importBackbone, predict, runWorker } from "./main.js";
