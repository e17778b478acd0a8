import { PasswordForm } from "../parts/PasswordForm";
import { useSession, useSignOut } from "../session";

/** A role in words. */
export const ROLES: Record<string, { title: string; may: string }> = {
  investigator: { title: "Investigator", may: "works alerts and decides claims" },
  data_scientist: { title: "Data scientist", may: "sees models and operations, goes back to the model before" },
  auditor: { title: "Auditor", may: "sees claims, models, operations and who looked at what; changes nothing" },
  admin: { title: "Administrator", may: "lets people and systems in; sees models and operations" },
};

/** Who one is here, and one's password. */
export function Account() {
  const { name, login, roles, is_local } = useSession();
  return (
    <>
      <title>Your account · Claimsight</title>
      <h1>Your account</h1>
      <dl className="facts">
        <dt>Name</dt>
        <dd>{name}</dd>
        <dt>Login</dt>
        <dd>{login}</dd>
        <dt>Roles</dt>
        <dd>
          <ul>
            {roles.map((role) => (
              <li key={role}>
                {ROLES[role]?.title ?? role}: <span className="soft">{ROLES[role]?.may}</span>
              </li>
            ))}
          </ul>
        </dd>
      </dl>
      <h2>Password</h2>
      {is_local ? (
        <PasswordForm current="Present password" />
      ) : (
        <p>You sign in with your organisation's account; change your password there.</p>
      )}
    </>
  );
}

/** All that one sees who signed in with a password that somebody else chose. */
export function ChoosePassword() {
  const signOut = useSignOut();
  return (
    <main className="sign-in">
      <title>Choose a password · Claimsight</title>
      <h1>Choose a password</h1>
      <p>The one that you were given is good for this alone.</p>
      <PasswordForm current="Password that you were given" />
      <button type="button" onClick={() => signOut.mutate()}>
        Sign out
      </button>
    </main>
  );
}
