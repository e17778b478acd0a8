import type { ReactNode } from "react";
import { ClaimPage } from "./pages/claim/ClaimPage";
import type { Permission } from "./session";

export type Page = {
  path: string;
  /** Its word in the navigation; none for a page that is reached from another. */
  label?: string;
  needs: Permission;
  element: ReactNode;
};

/** Every page, in the order of the navigation. */
export const PAGES: Page[] = [{ path: "/claims/:claimId", needs: "see_claims", element: <ClaimPage /> }];
