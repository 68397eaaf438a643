import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { act, ask, wordsOf } from "./api";
import { useLive, type Live } from "./live";
import { ClusterView } from "./views/cluster";
import { RunView } from "./views/run";
import { RunsView } from "./views/runs";
import { StartView } from "./views/start";
import { StoreView } from "./views/store";
import { TryView } from "./views/try";

interface Session {
  readonly loggedIn: boolean;
  readonly hasToken: boolean;
}

const views = [
  ["#/", "Runs"],
  ["#/cluster", "Cluster"],
  ["#/try", "Try a model"],
  ["#/start", "Start"],
  ["#/store", "Store"],
] as const;

function useHash(): string {
  const [hash, setHash] = useState(location.hash || "#/");
  useEffect(() => {
    const changed = (): void => {
      setHash(location.hash || "#/");
      document.querySelector("main")?.focus();
      scrollTo(0, 0);
    };
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return hash;
}

export function App() {
  const [session, setSession] = useState<Session>({ loggedIn: false, hasToken: false });
  const [turn, setTurn] = useState(0);
  const live = useLive(turn);
  const hash = useHash();
  useEffect(() => void ask<Session>("/session").then(setSession, () => undefined), [turn]);
  const changed = (next: Session): void => {
    setSession(next);
    setTurn(turn + 1);
  };
  return (
    <>
      <a class="skip" href="#content" onClick={(event) => focusMain(event)}>
        Skip to the content
      </a>
      <header>
        <p class="name">Trommel</p>
        <nav aria-label="Views">
          {views.map(([href, title]) => (
            <a key={href} href={href} {...(href === hash ? { "aria-current": "page" as const } : {})}>
              {title}
            </a>
          ))}
        </nav>
        <LogIn session={session} changed={changed} />
      </header>
      <div role="status" class="states">
        <States live={live} />
      </div>
      <main id="content" tabIndex={-1}>
        {live.needsLogIn ? (
          <p>Log in with the server's token to see anything.</p>
        ) : (
          viewOf(hash, live, session)
        )}
      </main>
    </>
  );
}

function focusMain(event: Event): void {
  event.preventDefault();
  document.querySelector("main")?.focus();
}

function viewOf(hash: string, live: Live, { loggedIn }: Session): ComponentChildren {
  const [, view = "", id = ""] = hash.split("/").map(decodeURIComponent);
  if (view === "run") return <RunView key={id} id={id} live={live} mayAct={loggedIn} />;
  if (view === "cluster") return <ClusterView live={live} />;
  if (view === "store") return <StoreView />;
  if (view === "try") return <TryView live={live} mayAct={loggedIn} />;
  if (view === "start") return <StartView live={live} mayAct={loggedIn} />;
  return <RunsView live={live} />;
}

function States({ live }: { readonly live: Live }) {
  if (live.fault !== null) return <p class="fault">{live.fault.message}</p>;
  if (live.needsLogIn) return null;
  return live.isOpen ? null : <p class="fault">The server does not answer; trying again.</p>;
}

function LogIn({
  session,
  changed,
}: {
  readonly session: Session;
  readonly changed: (session: Session) => void;
}) {
  const [said, setSaid] = useState("");
  if (!session.hasToken) return <p class="quiet">This server only reads.</p>;
  if (session.loggedIn)
    return (
      <button type="button" onClick={() => void act<Session>("/session", undefined, "DELETE").then(changed)}>
        Log out
      </button>
    );
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    try {
      changed(await act<Session>("/session", { token: new FormData(form).get("token") }));
      setSaid("");
    } catch (thrown) {
      setSaid(wordsOf(thrown));
    }
    form.reset();
  };
  return (
    <form class="log-in" onSubmit={(event) => void submit(event)}>
      <label>
        Token <input name="token" type="password" autocomplete="current-password" required />
      </label>
      <button>Log in</button>
      <span role="alert">{said}</span>
    </form>
  );
}
