import { Navigate } from "react-router";
import { PAGES } from "../routes";
import { useSession } from "../session";

/** Leads to the first page that one may see. */
export function Home() {
  const { permissions } = useSession();
  const first = PAGES.find(({ label, needs }) => label !== undefined && permissions.includes(needs));
  return first ? <Navigate to={first.path} replace /> : <p>Your login has no role yet; ask an administrator.</p>;
}
