import type { ReactNode } from "react";
import { People } from "./pages/People";
import type { Permission } from "./session";

export type Page = {
  path: string;
  /** Its word in the navigation; none for a page that is reached from another. */
  label?: string;
  needs: Permission;
  element: ReactNode;
};

/** Every page, in the order of the navigation. */
export const PAGES: Page[] = [{ path: "/admin", label: "People", needs: "manage", element: <People /> }];
