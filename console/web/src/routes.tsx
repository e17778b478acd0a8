import type { ReactNode } from "react";
import { AuditPage } from "./pages/AuditPage";
import { ClaimPage } from "./pages/claim/ClaimPage";
import { Keys } from "./pages/Keys";
import { ModelPage } from "./pages/model/ModelPage";
import { OperationsPage } from "./pages/OperationsPage";
import { People } from "./pages/People";
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
export const PAGES: Page[] = [
  { path: "/worklist", label: "Worklist", needs: "see_claims", element: <Worklist /> },
  { path: "/claims/:claimId", needs: "see_claims", element: <ClaimPage /> },
  { path: "/model", label: "Model", needs: "see_models", element: <ModelPage /> },
  { path: "/operations", label: "Operations", needs: "see_operations", element: <OperationsPage /> },
  { path: "/audit", label: "Audit", needs: "see_audit", element: <AuditPage /> },
  { path: "/admin", label: "People", needs: "manage", element: <People /> },
  { path: "/keys", label: "Keys", needs: "manage", element: <Keys /> },
];
