import type { Sample } from "../api";
import { bytes, count, duration, percent, rate } from "../format";
import type { Live } from "../live";

const redisWords = {
  none: "No Redis is configured: only what commands on this machine work on is seen.",
  answers: "Redis answers.",
  lost: "Redis does not answer. What is shown is as it was before.",
} as const;

/** Who serves, what waits, and how much is done. */
export function ClusterView({ live: { cluster, throughput } }: { readonly live: Live }) {
  if (cluster === undefined) return <p>Looking…</p>;
  const members = cluster.members.filter(({ worker }) => worker !== undefined);
  return (
    <>
      <h1>Cluster</h1>
      <p>{redisWords[cluster.redis]}</p>
      <section aria-labelledby="throughput">
        <h2 id="throughput">Throughput</h2>
        <p>{rate(cluster.imagesPerSecond ?? 0)} images a second now</p>
        <Chart samples={throughput} />
      </section>
      <section aria-labelledby="workers">
        <h2 id="workers">Workers</h2>
        {members.length === 0 ? <p>No worker says that it serves.</p> : null}
        {members.length === 0 ? null : (
          <div class="wide" tabIndex={0} role="region" aria-label="Table of workers">
            <table>
              <thead>
                <tr>
                  {["Worker", "Device", "Images a second", "Busy", "Memory", "Works on", "Up"].map((name) => (
                    <th key={name} scope="col">
                      {name}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {members.map(({ name, worker, residentBytes, startedMs }) => (
                  <tr key={name}>
                    <th scope="row">{name}</th>
                    <td>
                      {worker?.device} ({worker?.provider})
                    </td>
                    <td>{rate(worker?.imagesPerSecond ?? 0)}</td>
                    <td>{percent(worker?.busyShare ?? 0)}</td>
                    <td>{bytes(residentBytes)}</td>
                    <td>{worker?.underWay.map(({ stage, run }) => `${stage} of ${run}`).join(", ")}</td>
                    <td>{duration(Math.max(0, (Date.now() - startedMs) / 1000))}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
      <section aria-labelledby="queues">
        <h2 id="queues">Queues</h2>
        <table>
          <thead>
            <tr>
              <th scope="col">Queue</th>
              <th scope="col">Workers</th>
              <th scope="col">Waiting</th>
              <th scope="col">Under way</th>
            </tr>
          </thead>
          <tbody>
            {cluster.queues.map(({ queue, workers, waiting, active }) => (
              <tr key={queue}>
                <th scope="row">{queue}</th>
                <td>{workers ?? "not known"}</td>
                <td>{count(waiting)}</td>
                <td>{count(active)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </>
  );
}

const width = 600;
const height = 120;

/** Images a second over the last minutes in which somebody watched. */
function Chart({ samples }: { readonly samples: readonly Sample[] }) {
  const [first] = samples;
  const last = samples.at(-1);
  if (first === undefined || last === undefined || first === last) return null;
  const most = Math.max(1, ...samples.map(({ imagesPerSecond }) => imagesPerSecond));
  const points = samples.map(({ atMs, imagesPerSecond }) => {
    const x = (width * (atMs - first.atMs)) / (last.atMs - first.atMs);
    return `${x.toFixed(1)},${(height - (height * imagesPerSecond) / most).toFixed(1)}`;
  });
  const words = `Images a second over ${duration((last.atMs - first.atMs) / 1000)}, at most ${rate(most)}`;
  return (
    <figure>
      <svg viewBox={`0 -4 ${width} ${height + 8}`} role="img" aria-label={words} preserveAspectRatio="none">
        <polyline points={points.join(" ")} />
      </svg>
      <figcaption>{words}</figcaption>
    </figure>
  );
}
