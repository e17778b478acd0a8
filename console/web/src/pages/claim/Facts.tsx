import { told } from "../../parts/words";
import type { Fact } from "./claim";

/** What is known of the claim now. */
export function Facts({ facts }: { facts: Fact[] }) {
  return (
    <section aria-labelledby="facts">
      <h2 id="facts">Facts</h2>
      <table className="facts">
        <caption>As known now; personal and sensitive columns are not shown.</caption>
        <tbody>
          {facts.map((fact) => (
            <tr key={fact.name}>
              <th scope="row">
                {capital(fact.title)}
                {fact.meaning && fact.meaning !== fact.title && <span className="soft">{fact.meaning}</span>}
              </th>
              <td className={fact.value === null ? "soft" : undefined}>{told(fact.value, fact.unit, fact.dtype)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
