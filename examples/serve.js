/**
 * A bundle behind node:http: `node examples/serve.js <bundle> [port]`. One process, no queue, no Redis.
 *
 *     curl --data-binary @photo.jpg http://127.0.0.1:8080/
 *     {"label":"bottle","probability":0.82,"top":[…]}
 */
import { createServer } from "node:http";
import { loadClassifier } from "trommel";

const [bundle = ".trommel/runs/first/bundle", port = "8080"] = process.argv.slice(2);
const bytesAtMost = 64 * 1024 * 1024;

function fail({ message }) {
  console.error(`serve: ${message}`);
  process.exit(1);
}

const classifier = await loadClassifier(bundle).catch(fail);
const server = createServer((request, response) => {
  answer(request)
    .then(({ status, body }) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(`${JSON.stringify(body)}\n`);
    })
    .catch((thrown) => response.destroy(thrown));
});

async function answer(request) {
  if (request.method !== "POST") return { status: 405, body: { error: "POST the bytes of one image" } };
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > bytesAtMost) return { status: 413, body: { error: `at most ${bytesAtMost} bytes` } };
    chunks.push(chunk);
  }
  const result = await classifier.classifyOne(Buffer.concat(chunks));
  return { status: result.error === undefined ? 200 : 422, body: result };
}

server.once("error", fail);
server.listen(Number(port), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/ serves ${classifier.labels.join(", ")}`);
});

process.once("SIGTERM", () => {
  server.close(() => void classifier.close());
});
