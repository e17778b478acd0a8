import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter, Route, Routes } from "react-router";
import { ApiProblem } from "./api";
import { Layout } from "./Layout";
import { Account } from "./pages/Account";
import { Home } from "./pages/Home";
import { PAGES } from "./routes";
import { SignedIn, useSession } from "./session";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/people.css";

/** Whose session has run out gets the form to sign in, on whatever page. */
function askToSignIn(error: Error) {
  if (error instanceof ApiProblem && error.status === 401 && queries.getQueryData(["session"])) {
    queries.setQueryData(["session"], "ended");
  }
}

const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: askToSignIn }),
  mutationCache: new MutationCache({ onError: askToSignIn }),
  defaultOptions: {
    // Whether the network is there shows when it is asked: what cannot be sent now is not sent unseen later.
    mutations: { networkMode: "always" },
    queries: {
      networkMode: "always",
      // What the API refuses it will refuse again.
      retry: (count, error) => count < 2 && !(error instanceof ApiProblem && error.status >= 400 && error.status < 500),
      staleTime: 10_000,
    },
  },
});

// Browsers keep a page whole that one leaves: whoever goes back after somebody signed out must not see it.
window.addEventListener("pagehide", () => {
  document.documentElement.hidden = true;
});
window.addEventListener("pageshow", ({ persisted }) => {
  if (persisted) window.location.reload();
});

function Pages() {
  const { permissions } = useSession();
  return (
    <Routes>
      <Route element={<Layout />}>
        <Route index element={<Home />} />
        {PAGES.filter(({ needs }) => permissions.includes(needs)).map(({ path, element }) => (
          <Route key={path} path={path} element={element} />
        ))}
        <Route path="account" element={<Account />} />
        <Route path="*" element={<p>There is no such page, or your roles do not include it.</p>} />
      </Route>
    </Routes>
  );
}

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <BrowserRouter>
        <SignedIn>
          <Pages />
        </SignedIn>
      </BrowserRouter>
    </QueryClientProvider>
  </StrictMode>,
);
