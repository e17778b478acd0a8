import { type UseMutationOptions, type UseMutationResult, useMutation, useQueryClient } from "@tanstack/react-query";
import { useCallback, useId } from "react";

/**
 * As `useMutation`, but what is under way is not begun again: a button is disabled a moment after it was pressed, and by a
 * double click a case would be decided, or a key made, twice.
 */
export function useChange<Answer, Given = void>(options: UseMutationOptions<Answer, Error, Given>) {
  const queries = useQueryClient();
  const mutationKey = [useId()];
  const change: UseMutationResult<Answer, Error, Given> = useMutation({ ...options, mutationKey });
  const { mutate: begin } = change;
  const [name] = mutationKey;
  const mutate = useCallback<typeof begin>(
    (...given) => {
      if (queries.isMutating({ mutationKey: [name] }) === 0) begin(...given);
    },
    [queries, name, begin],
  );
  return { ...change, mutate };
}
