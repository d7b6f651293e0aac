/* SPDX-License-Identifier: MIT
** Checks everything inside a segment but the signature: frames, lines, ids, times, zones, filters, roots, the
** genesis and the checkpoint it carries. Calls audit's leaf and tree.
*/
#ifndef RBT_ARCHIVE_SEGMENT_VERIFY_H
#define RBT_ARCHIVE_SEGMENT_VERIFY_H

#include "segment_reader.h"

/* Every problem of the readable, open segment goes to problems. verifiers are those that may have signed
** its checkpoint; one by a key that is not among them is no problem. SQLITE_OK when the check could be
** carried out. */
int rbt_segment_verify_contents(rbt_segment *segment, const rbt_verifier *verifiers, size_t count,
                                rbt_problems *problems, rbt_error *error);

/* What the manifest says, for a readable segment. */
void rbt_segment_summarize(const rbt_segment *segment, rbt_segment_summary *summary);

#endif
