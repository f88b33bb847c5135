// The address of a screen, after #.

/** #/rows?text=poem */
export function address(path, params = {}) {
  const kept = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(kept).toString();
  return query ? `#/${path}?${query}` : `#/${path}`;
}
