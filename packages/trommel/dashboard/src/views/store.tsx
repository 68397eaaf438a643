import { useEffect, useState } from "preact/hooks";
import { ask, wordsOf } from "../api";
import { bytes, count, time } from "../format";

interface Sizes {
  readonly store: string;
  readonly state: "counting" | "counted";
  readonly countedAt: string | null;
  readonly folders: readonly {
    readonly folder: string;
    readonly objects: number;
    readonly sizeBytes: number;
  }[];
}

const againMs = 5000;

/** What the store holds. */
export function StoreView() {
  const [sizes, setSizes] = useState<Sizes>();
  const [said, setSaid] = useState("");
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = (): void =>
      void ask<Sizes>("/store").then(
        (found) => {
          setSizes(found);
          setSaid("");
          if (found.state === "counting") timer = setTimeout(look, againMs);
        },
        (thrown: unknown) => setSaid(wordsOf(thrown)),
      );
    look();
    return () => clearTimeout(timer);
  }, []);
  return (
    <>
      <h1>Store</h1>
      <p role="alert">{said}</p>
      {sizes === undefined ? null : (
        <>
          <p>
            {sizes.store}
            {sizes.state === "counting" ? ", counting…" : ""}
            {sizes.countedAt === null ? "" : `, counted ${time(sizes.countedAt)}`}
          </p>
          <table>
            <thead>
              <tr>
                <th scope="col">Folder</th>
                <th scope="col">Objects</th>
                <th scope="col">Size</th>
              </tr>
            </thead>
            <tbody>
              {sizes.folders.map(({ folder, objects, sizeBytes }) => (
                <tr key={folder}>
                  <th scope="row">{folder === "" ? "at the root" : folder}</th>
                  <td>{count(objects)}</td>
                  <td>{bytes(sizeBytes)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </>
  );
}
