import { useCallback, useState } from "react";
import { useNavigate } from "react-router";
import { Trouble } from "../../parts/Trouble";
import { useSession } from "../../session";
import "../../styles/worklist.css";
import { useAlerts } from "./alerts";
import { CaseActions } from "./CaseActions";
import { Filters } from "./Filters";
import { useFilter } from "./filter";
import { Grid } from "./Grid";
import { useNextCase } from "./next";
import { caseWork, whole } from "./words";

/** The row somebody was at, under which filter: there they go on when they come back from a claim. */
let left = { key: "", row: 0 };

/** Alerts by the money at stake, for those who look into them. */
export function Worklist() {
  const { login, permissions } = useSession();
  const navigate = useNavigate();
  const { filter, choose, clear } = useFilter();
  const { head, alertAt, setSight } = useAlerts(filter);
  const key = filter.toString();
  const [at, setAt] = useState(left);
  const active = at.key === key ? at.row : 0;
  const setActive = useCallback(
    (row: number) => {
      left = { key, row };
      setAt(left);
    },
    [key],
  );
  const open = useCallback(
    (claim: string) => navigate(`/claims/${encodeURIComponent(claim)}`, caseWork(key, login)),
    [navigate, key, login],
  );
  const next = useNextCase(key);
  const mayDecide = permissions.includes("decide");
  const takeNext = () => {
    if (mayDecide) next.mutate();
  };
  const answer = head.data;
  const current = alertAt(active);
  const narrowed = [...filter.keys()].some((part) => part !== "sort");
  const unit = answer?.unit ? ` ${answer.unit}` : "";
  return (
    <div className="worklist">
      <title>Worklist · Claimsight</title>
      <header>
        <h1>Worklist</h1>
        {mayDecide && (
          <button type="button" className="primary" onClick={takeNext} disabled={next.isPending}>
            Take the next case
          </button>
        )}
      </header>
      {next.error && <Trouble error={next.error} />}
      <Filters filter={filter} choose={choose} answer={answer} />
      {head.error && <Trouble error={head.error} />}
      <div className="found">
        <p role="status">
          {answer
            ? `${whole(answer.total)} ${answer.total === 1 ? "alert" : "alerts"}; expected loss ${whole(answer.expected_loss)}${unit} of ${whole(answer.amount)}${unit} claimed`
            : !head.error && "Loading…"}
        </p>
        {narrowed && (
          <button type="button" onClick={clear}>
            Clear the filter
          </button>
        )}
      </div>
      {answer && answer.total > 0 && (
        <Grid
          total={answer.total}
          unit={answer.unit}
          kind={answer.kind}
          list={key}
          sort={filter.get("sort") ?? "expected_loss"}
          names={answer.names}
          login={login}
          alertAt={alertAt}
          setSight={setSight}
          active={Math.min(active, answer.total - 1)}
          setActive={setActive}
          onOpen={open}
          onNext={takeNext}
        />
      )}
      {answer?.total === 0 && <p>No alert is like that. Clear the filter, or choose another.</p>}
      {mayDecide && answer && current && (
        <CaseActions alert={current} list={key} names={answer.names} login={login} onDone={focusList} />
      )}
    </div>
  );
}

function focusList() {
  document.querySelector<HTMLElement>(".alerts")?.focus();
}
