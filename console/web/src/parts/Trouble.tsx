import { ApiProblem } from "../api";

/** Tells what went wrong, and of a form what is wrong in it. */
export function Trouble({ error }: { error: unknown }) {
  const said = error instanceof Error ? error.message : "Something went wrong.";
  const errors = error instanceof ApiProblem ? error.errors : [];
  return (
    <div className="problem" role="alert">
      <p>{said.charAt(0).toUpperCase() + said.slice(1)}</p>
      {errors.length > 0 && (
        <ul>
          {errors.map(({ field, message }) => (
            <li key={field}>
              {field}: {message}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
