import { useEffect, useState } from "preact/hooks";
import type { Cluster, Run, Sample } from "./api";

/** What the stream of events has said so far. */
export interface Live {
  readonly runs: ReadonlyMap<string, Run>;
  readonly left: number;
  readonly cluster: Cluster | undefined;
  readonly throughput: readonly Sample[];
  readonly fault: { readonly of: string; readonly message: string } | null;
  /** Whether the stream is open. */
  readonly isOpen: boolean;
  /** Whether the server wants a log-in before it says anything. */
  readonly needsLogIn: boolean;
}

const samplesAtMost = 600;

const nothing: Live = {
  runs: new Map(),
  left: 0,
  cluster: undefined,
  throughput: [],
  fault: null,
  isOpen: false,
  needsLogIn: false,
};

interface Snapshot extends Omit<Live, "runs" | "isOpen" | "needsLogIn"> {
  readonly runs: readonly Run[];
}

/** Follows the server's events. @param turn another value opens the stream again, such as after a log-in */
export function useLive(turn: number): Live {
  const [live, setLive] = useState<Live>(nothing);
  useEffect(() => {
    const stream = new EventSource("/api/v1/events");
    const on = <T>(name: string, change: (now: Live, data: T) => Partial<Live>): void =>
      stream.addEventListener(name, (event) => {
        const data = JSON.parse((event as MessageEvent<string>).data) as T;
        setLive((now) => ({ ...now, ...change(now, data), isOpen: true, needsLogIn: false }));
      });
    on<Snapshot>("snapshot", (_, { runs, ...rest }) => ({
      ...rest,
      runs: new Map(runs.map((run) => [run.id, run])),
    }));
    on<Run>("run", ({ runs }, run) => ({ runs: new Map(runs).set(run.id, run) }));
    on<{ readonly id: string }>("removed", ({ runs }, { id }) => {
      const kept = new Map(runs);
      kept.delete(id);
      return { runs: kept };
    });
    on<Cluster & { readonly sample: Sample }>("cluster", ({ throughput }, { sample, ...cluster }) => ({
      cluster,
      throughput: [...throughput, sample].slice(-samplesAtMost),
    }));
    on<NonNullable<Live["fault"]>>("fault", (_, fault) => ({ fault }));
    on<object>("recovered", () => ({ fault: null }));
    stream.addEventListener("error", () => {
      setLive((now) => ({ ...now, isOpen: false }));
      // The stream does not say why it failed.
      void fetch("/api/v1/cluster").then(
        ({ status }) => setLive((now) => ({ ...now, needsLogIn: status === 401 })),
        () => undefined,
      );
    });
    return () => stream.close();
  }, [turn]);
  return live;
}
