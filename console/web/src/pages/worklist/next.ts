import { useNavigate } from "react-router";
import { ask } from "../../api";
import { useChange } from "../../change";
import { useSession } from "../../session";
import { caseWork } from "./words";

/** Takes the first free case under a filter, as the address of the worklist has it, and leads to its claim. */
export function useNextCase(list: string) {
  const navigate = useNavigate();
  const { login } = useSession();
  return useChange({
    mutationFn: () => ask<{ claim_id: string }>(`/api/cases/next?${list}`, { method: "POST" }),
    onSuccess: ({ claim_id }) => navigate(`/claims/${encodeURIComponent(claim_id)}`, caseWork(list, login)),
  });
}
