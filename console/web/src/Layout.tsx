import { useEffect, useRef } from "react";
import { NavLink, Outlet, useLocation } from "react-router";
import { PAGES } from "./routes";
import { useSession, useSignOut } from "./session";

/** What stands around every page. */
export function Layout() {
  const { name, line, permissions } = useSession();
  const signOut = useSignOut();
  const { pathname } = useLocation();
  const main = useRef<HTMLElement>(null);
  const shown = useRef(pathname);
  useEffect(() => {
    // Who goes by keyboard or ear begins at the top of the new page.
    if (shown.current !== pathname) main.current?.focus();
    shown.current = pathname;
  }, [pathname]);
  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <header className="top">
        <strong title={line.title}>Claimsight · {line.name}</strong>
        <nav aria-label="Pages">
          <ul>
            {PAGES.filter(({ label, needs }) => label !== undefined && permissions.includes(needs)).map(
              ({ path, label }) => (
                <li key={path}>
                  <NavLink to={path}>{label}</NavLink>
                </li>
              ),
            )}
          </ul>
        </nav>
        <div className="who">
          <NavLink to="/account">{name}</NavLink>
          <button type="button" onClick={() => signOut.mutate()}>
            Sign out
          </button>
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        <Outlet />
      </main>
    </>
  );
}
