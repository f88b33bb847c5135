// The run in a few words.

import { getJson } from "../api.js";
import { countWords, element, fill } from "../dom.js";

export const path = "run";
export const title = "Run";
export const keys = [];

export async function show({ main, signal }) {
  const run = await getJson("/api/run", {}, signal);
  const selected = run.n_selected === null ? "The run is not finished." : `${countWords(run.n_selected, "row")} selected.`;
  fill(
    main,
    element("h1", {}, run.name),
    element("p", {}, `${countWords(run.n_samples, "row")} in the pool. ${selected}`),
    element("p", {}, `Preset ${run.preset}, seed ${run.seed}.`),
  );
}
