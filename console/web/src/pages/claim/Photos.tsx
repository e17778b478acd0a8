import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { Link } from "react-router";
import { day } from "../../parts/words";
import { type Claim, claimPath, type Trail } from "./claim";

/** The photos of a claim, small; one at a time large in a dialog, by pointer or keys. */
export function Photos({ claim, ticket, trail }: { claim: Claim; ticket: number; trail: Trail }) {
  const [open, setOpen] = useState<number | null>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  const { photos } = claim;
  const address = (name: string, size: "thumbnail" | "full") =>
    claimPath(claim.claim_id, `/photos/${encodeURIComponent(name)}?ticket=${ticket}&size=${size}`);
  useEffect(() => {
    // The browser keeps the focus inside and gives it back at the end.
    if (open !== null && dialog.current?.open === false) dialog.current.showModal();
  }, [open]);
  if (photos.length === 0) return null;
  const go = (by: number) => setOpen((place) => (place === null ? null : (place + by + photos.length) % photos.length));
  function turn({ key }: KeyboardEvent) {
    if (key === "ArrowRight") go(1);
    if (key === "ArrowLeft") go(-1);
  }
  const shown = open === null ? undefined : photos[open];
  return (
    <section aria-labelledby="photos">
      <h2 id="photos">Photos</h2>
      <ul className="photos">
        {photos.map((photo, place) => (
          <li key={photo.name}>
            <button type="button" onClick={() => setOpen(place)} aria-haspopup="dialog">
              <img
                src={address(photo.name, "thumbnail")}
                alt={`${photo.name}, ${place + 1} of ${photos.length}: show it large`}
                loading="lazy"
              />
            </button>
            {photo.also.length > 0 && (
              <p>
                <strong className="bad">Also used in</strong>{" "}
                {photo.also.map(({ claim_id, event_time }, number) => (
                  <span key={claim_id}>
                    {number > 0 && ", "}
                    <Link to={`/claims/${encodeURIComponent(claim_id)}`} state={trail}>
                      claim {claim_id}
                    </Link>{" "}
                    of {day(event_time)}
                  </span>
                ))}
              </p>
            )}
          </li>
        ))}
      </ul>
      <dialog ref={dialog} className="photo" onClose={() => setOpen(null)} onKeyDown={turn} aria-label="Photo">
        {shown && open !== null && (
          <>
            <img src={address(shown.name, "full")} alt={`${shown.name}, ${open + 1} of ${photos.length}`} />
            <p aria-live="polite">
              {shown.name}, {open + 1} of {photos.length}; it came with {shown.width} × {shown.height} pixels
            </p>
            <div className="buttons">
              <button type="button" onClick={() => go(-1)} disabled={photos.length === 1}>
                Previous
              </button>
              <button type="button" onClick={() => go(1)} disabled={photos.length === 1}>
                Next
              </button>
              <button type="button" onClick={() => dialog.current?.close()}>
                Close
              </button>
            </div>
          </>
        )}
      </dialog>
    </section>
  );
}
