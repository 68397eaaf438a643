import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { ExamineOptions, RuntimePart } from "@trommel/common/worker-commands";

const parts = ["sharp", "onnxruntime"] as const;

/** `trommel doctor`: the native libraries of a worker, in a process of their own that has so much time. */
export function examineLibraries({ device, timeoutMs }: ExamineOptions): Promise<RuntimePart[]> {
  const child = fork(fileURLToPath(new URL("./examine-process.js", import.meta.url)), [device], {
    execArgv: [],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  const found = new Map<string, RuntimePart>();
  let words = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (words = (words + text).slice(-500)));
  child.on("message", (message) => {
    const part = message as RuntimePart;
    found.set(part.part, part);
  });
  return new Promise((resolve) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    let why = "";
    const end = (): void => {
      clearTimeout(timer);
      resolve(parts.map((part) => found.get(part) ?? { part, error: why }));
    };
    child.once("error", ({ message }) => {
      why = `its process cannot start: ${message}`;
      end();
    });
    child.once("close", (code, signal) => {
      const how = late
        ? `did not answer within ${timeoutMs} ms`
        : `ended with ${signal ?? code ?? "no code"}`;
      why ||= `the process that loads it ${how}${words.trim() === "" ? "" : `: ${words.trim()}`}`;
      end();
    });
  });
}
