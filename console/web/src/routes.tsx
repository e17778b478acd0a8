import type { ReactNode } from "react";
import { Worklist } from "./pages/worklist/Worklist";
import type { Permission } from "./session";

export type Page = {
  path: string;
  /** Its word in the navigation; none for a page that is reached from another. */
  label?: string;
  needs: Permission;
  element: ReactNode;
};

/** Every page, in the order of the navigation. */
export const PAGES: Page[] = [{ path: "/worklist", label: "Worklist", needs: "see_claims", element: <Worklist /> }];
