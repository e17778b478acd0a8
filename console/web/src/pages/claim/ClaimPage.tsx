import { Link, useLocation, useNavigate, useParams } from "react-router";
import { Trouble } from "../../parts/Trouble";
import { useSession } from "../../session";
import "../../styles/claim.css";
import { Case } from "./Case";
import { type Trail, useClaim, useTicket } from "./claim";
import { Decide } from "./Decide";
import { Facts } from "./Facts";
import { Head } from "./Head";
import { Photos } from "./Photos";
import { Purpose } from "./Purpose";
import { Reasons } from "./Reasons";
import { RelatedClaims } from "./RelatedClaims";
import { Timeline } from "./Timeline";

/** One claim, and the decision about it; whoever comes by the address alone says first what for. */
export function ClaimPage() {
  const { claimId = "" } = useParams();
  const navigate = useNavigate();
  const { state } = useLocation();
  const { login } = useSession();
  // In the state of the address: it outlasts a reload of the page, and a link to the page does not carry it. Who signs in
  // where somebody else was has not said what for.
  const trail: Trail | null = state?.purpose && state.by === login ? state : null;
  const purpose = trail?.purpose ?? null;
  const list = trail?.list ?? "";
  const ticket = useTicket(claimId, purpose);
  const claim = useClaim(claimId, ticket.data);
  const open = (said: string) => navigate(".", { replace: true, state: { purpose: said, by: login, list } });
  const error = ticket.error ?? claim.error;
  if (trail === null || ticket.error) {
    return <Purpose claimId={claimId} error={ticket.error} open={open} />;
  }
  return (
    // A claim's page of its own: what was said or asked on one is not on the next.
    <article className="claim" key={claimId}>
      <title>{`Claim ${claimId} · Claimsight`}</title>
      <p className="back">
        <Link to={`/worklist${list && `?${list}`}`}>Back to the worklist</Link>
      </p>
      {error && <Trouble error={error} />}
      {!error && !claim.data && <p role="status">Loading…</p>}
      {claim.data && ticket.data !== undefined && (
        <>
          <Head claim={claim.data} />
          <Case claim={claim.data} list={list} />
          <div className="columns">
            <div>
              <Reasons prediction={claim.data.prediction} />
              <Decide claim={claim.data} />
              <Photos claim={claim.data} ticket={ticket.data} trail={trail} />
            </div>
            <Facts facts={claim.data.facts} />
          </div>
          <RelatedClaims claimId={claimId} ticket={ticket.data} trail={trail} />
          <Timeline claim={claim.data} />
        </>
      )}
    </article>
  );
}
