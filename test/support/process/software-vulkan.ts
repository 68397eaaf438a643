import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** The driver inside Debian's chromium package, which computes on the CPU. */
const driver = "/usr/lib/chromium/vk_swiftshader_icd.json";
const devices = ["/dev/dri", "/dev/nvidia0", "/dev/dxg"];

/**
 * Offers this process a Vulkan driver for WebGPU where the machine has no GPU and the software driver is installed.
 * To be called before the runtime is first asked for WebGPU.
 */
export function offerSoftwareVulkan(): void {
  process.env["XDG_RUNTIME_DIR"] ??= mkdtempSync(path.join(tmpdir(), "trommel-xdg-"));
  if (!devices.some((device) => existsSync(device)) && existsSync(driver))
    process.env["VK_DRIVER_FILES"] ??= driver;
}
