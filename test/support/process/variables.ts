/** Sets environment variables (`undefined` unsets one) and returns what puts the former values back. */
export function withVariables(variables: Readonly<Record<string, string | undefined>>): () => void {
  const former = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  set(Object.entries(variables));
  return () => set(former);
}

function set(variables: readonly (readonly [string, string | undefined])[]): void {
  for (const [name, value] of variables) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}
