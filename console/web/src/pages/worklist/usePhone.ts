import { useSyncExternalStore } from "react";

/** As in worklist.css: below this width rows are cards. */
const media = window.matchMedia("(max-width: 52rem)");

function subscribe(changed: () => void) {
  media.addEventListener("change", changed);
  return () => media.removeEventListener("change", changed);
}

/** Whether the window is as narrow as a phone's. */
export function usePhone(): boolean {
  return useSyncExternalStore(subscribe, () => media.matches);
}
