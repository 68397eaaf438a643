export { findChange } from "./open-generation.js";
