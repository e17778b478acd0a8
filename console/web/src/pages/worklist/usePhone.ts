import { useSyncExternalStore } from "react";

/** As in worklist.css: below this width the columns have no room, and rows are cards. */
const media = window.matchMedia("(max-width: 61rem)");

function subscribe(changed: () => void) {
  media.addEventListener("change", changed);
  return () => media.removeEventListener("change", changed);
}

/** Whether the window is too narrow for the columns, as a phone's. */
export function usePhone(): boolean {
  return useSyncExternalStore(subscribe, () => media.matches);
}
